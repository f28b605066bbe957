//! PEM texts are read strictly and written as other programs expect them.

use ringfort_model::Secret;

use super::{ReadPemError, decode_certificates, decode_key, encode_certificates, encode_key};
use crate::{
    KeyPair,
    tests::{authority, id, sign},
};

#[test]
fn certificates_survive() {
    let chain = sign(&authority(), &id("orders"), &KeyPair::generate().unwrap()).chain_der;
    let text = encode_certificates(chain.iter().map(Vec::as_slice));
    assert_eq!(text.matches("-----BEGIN CERTIFICATE-----\n").count(), 2);
    assert!(text.lines().all(|line| line.len() <= 64) && !text.contains('\r'));
    assert_eq!(decode_certificates(&text), Ok(chain));
}

#[test]
fn keys_survive() {
    let key = KeyPair::generate().unwrap();
    let text = encode_key(&key);
    assert!(text.expose().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert_eq!(decode_key(&text).unwrap().public_point(), key.public_point());
}

#[track_caller]
fn check(text: &str, certificates: ReadPemError, key: ReadPemError) {
    assert_eq!(decode_certificates(text), Err(certificates));
    assert_eq!(decode_key(&Secret::new(text.to_owned())).err(), Some(key));
}

#[test]
fn other_texts_are_refused() {
    use ReadPemError::{Count, Key, Malformed, Section, TooLarge};
    let section = |expected, found: &str| Section { expected, found: found.to_owned() };
    check("", Count { found: 0 }, Count { found: 0 });
    check(
        "-----BEGIN X-----\nAAAA\n-----END X-----\n",
        section("CERTIFICATE", "X"),
        section("PRIVATE KEY", "X"),
    );
    check("-----BEGIN X-----\nAAAA\n-----END Y-----\n", Malformed, Malformed);
    check(&" ".repeat(super::PEM_BYTES_MAX + 1), TooLarge, TooLarge);
    let one = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let source = crate::KeyError::Read;
    check(one, section("CERTIFICATE", "PRIVATE KEY"), Key { source });
    check(&one.repeat(2), section("CERTIFICATE", "PRIVATE KEY"), Count { found: 2 });
}
