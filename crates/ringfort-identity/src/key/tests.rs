//! Keys survive their document, and print nothing.

use ringfort_model::Secret;

use super::{KeyError, KeyPair};

#[test]
fn a_key_survives_its_document() {
    let key = KeyPair::generate().unwrap();
    let read = KeyPair::from_pkcs8(key.pkcs8().clone()).unwrap();
    assert_eq!(read.public_point(), key.public_point());
    assert_eq!((key.public_point().len(), key.public_point()[0]), (65, 4), "an uncompressed point");
}

#[test]
fn other_documents_are_refused() {
    let key = KeyPair::generate().unwrap();
    let cut = key.pkcs8().expose()[1..].to_vec();
    let ed25519 = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
    for bytes in [Vec::new(), cut, ed25519.as_ref().to_vec()] {
        assert_eq!(KeyPair::from_pkcs8(Secret::new(bytes)).err(), Some(KeyError::Read));
    }
}

#[test]
fn debug_prints_no_key() {
    assert_eq!(format!("{:?}", KeyPair::generate().unwrap()), "KeyPair(***)");
}
