//! A stored snapshot comes back whole or not at all.

use super::*;
use crate::assemble::tests::TestDigester;

fn file() -> Vec<u8> {
    let stored = v1::StoredSnapshot { revision_floor: 7, ..v1::StoredSnapshot::default() };
    write(&stored, &TestDigester).unwrap()
}

#[track_caller]
fn check(change: impl FnOnce(&mut Vec<u8>), expected: &str) {
    let mut bytes = file();
    change(&mut bytes);
    assert_eq!(read(&bytes, &TestDigester).unwrap_err().to_string(), expected);
}

#[test]
fn comes_back() {
    assert_eq!(read(&file(), &TestDigester).unwrap().revision_floor, 7);
}

#[test]
fn damage_is_found() {
    let damaged = "damaged: the content differs from its digest";
    let format = "not a stored snapshot of this format";
    check(|bytes| *bytes.last_mut().unwrap() ^= 1, damaged);
    check(|bytes| bytes[20] ^= 1, damaged);
    check(|bytes| bytes.truncate(bytes.len() - 1), damaged);
    check(|bytes| bytes.push(0), damaged);
    check(|bytes| bytes[0] ^= 1, format);
    check(|bytes| bytes.truncate(30), format);
    check(Vec::clear, format);
    check(|bytes| bytes.resize(FILE_BYTES_MAX + 1, 0), "larger than 67108864 bytes");
}

#[test]
fn every_single_byte_flip_is_found() {
    for at in 0..file().len() {
        let mut bytes = file();
        bytes[at] ^= 0x40;
        assert!(read(&bytes, &TestDigester).is_err(), "byte {at}");
    }
}
