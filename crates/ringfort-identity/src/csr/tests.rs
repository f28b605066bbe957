//! Which signing requests are believed.

use proptest::prelude::*;
use rcgen::CertificateParams;

use super::{CSR_BYTES_MAX, ReadCsrError, RequestedKey};
use crate::KeyPair;

#[track_caller]
fn check(der: &[u8], expected: Result<&[u8], ReadCsrError>) {
    let read = RequestedKey::from_csr(der);
    assert_eq!(read.as_ref().map(RequestedKey::public_point), expected.as_ref().copied());
}

#[test]
fn a_request_gives_its_key_and_nothing_else() {
    let key = KeyPair::generate().unwrap();
    check(&key.csr_der().unwrap(), Ok(key.public_point()));
    let boasting = CertificateParams::new(["admin.example".to_owned()]).unwrap();
    let boasting = boasting.serialize_request(&key).unwrap();
    check(boasting.der(), Ok(key.public_point()));
}

#[test]
fn requests_without_proof_or_of_other_algorithms_are_refused() {
    let key = KeyPair::generate().unwrap();
    let good = key.csr_der().unwrap();
    check(&[], Err(ReadCsrError::Malformed));
    check(&good[1..], Err(ReadCsrError::Malformed));
    check(&[good.as_slice(), &[0]].concat(), Err(ReadCsrError::Malformed));
    check(&vec![0x30; CSR_BYTES_MAX + 1], Err(ReadCsrError::TooLarge));
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let p384 = CertificateParams::default().serialize_request(&p384).unwrap();
    check(p384.der(), Err(ReadCsrError::Algorithm));
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let ed25519 = CertificateParams::default().serialize_request(&ed25519).unwrap();
    check(ed25519.der(), Err(ReadCsrError::Algorithm));

    // The attack: another's public key in a request signed with one's own.
    let victim = KeyPair::generate().unwrap();
    let at = good.windows(65).position(|window| window == key.public_point()).unwrap();
    let mut stolen = good;
    stolen[at..at + 65].copy_from_slice(victim.public_point());
    check(&stolen, Err(ReadCsrError::NoPossession));
}

#[test]
fn no_changed_bit_leads_to_another_key() {
    let key = KeyPair::generate().unwrap();
    let good = key.csr_der().unwrap();
    for (byte, bit) in (0..good.len()).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
        let mut changed = good.clone();
        changed[byte] ^= 1 << bit;
        // The parser forgives a tag outside the signed part; the key is the signed one all the same.
        if let Ok(read) = RequestedKey::from_csr(&changed) {
            assert_eq!(read.public_point(), key.public_point(), "byte {byte} bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(RequestedKey::from_csr(&bytes).is_err());
    }
}
