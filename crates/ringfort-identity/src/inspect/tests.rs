//! Facts of certificates.

use proptest::prelude::*;

use super::{InspectError, inspect};
use crate::{
    KeyPair,
    tests::{HOUR, authority, id, now, sign},
};

#[test]
fn reads_who_and_when() {
    let issued = sign(&authority(), &id("orders"), &KeyPair::generate().unwrap());
    let facts = inspect(&issued.chain_der[0]).unwrap();
    assert_eq!(facts.spiffe_id, Some(id("orders")));
    assert_eq!(facts.not_before, now().minus(crate::authority::BACKDATE));
    assert_eq!(facts.not_after, now().plus(12 * HOUR));
    assert_eq!(facts.serial, issued.serial);
    assert!(facts.serial.len() == 32 && facts.serial.bytes().all(|b| b.is_ascii_hexdigit()));
}

#[test]
fn refuses_what_is_not_exactly_one_certificate() {
    let root = authority().root_der().to_vec();
    for bad in [Vec::new(), root[1..].to_vec(), [root.as_slice(), &root].concat()] {
        assert_eq!(inspect(&bad), Err(InspectError));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert_eq!(inspect(&bytes), Err(InspectError));
    }
}
