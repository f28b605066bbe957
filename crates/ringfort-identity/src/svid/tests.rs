//! Chain and key belong together.

use super::{BuildSvidError, Svid};
use crate::{
    KeyPair, VerifyPeerError,
    tests::{HOUR, authority, id, now, sign, svid},
};

#[test]
fn knows_who_it_is_and_until_when() {
    let svid = svid(&authority(), &id("orders"));
    assert_eq!(svid.id(), &id("orders"));
    assert_eq!(svid.not_after(), now().plus(12 * HOUR));
    assert_eq!(svid.chain_der().len(), 2);
    let text = format!("{svid:?}");
    assert!(text.contains("svc/orders") && !text.contains("key"), "{text}");
}

#[track_caller]
fn check(chain_der: Vec<Vec<u8>>, key: KeyPair, expected: BuildSvidError) {
    assert_eq!(Svid::new(chain_der, key).err(), Some(expected));
}

#[test]
fn other_keys_and_chains_are_refused() {
    let (authority, key) = (authority(), KeyPair::generate().unwrap());
    let chain = sign(&authority, &id("orders"), &key).chain_der;
    check(chain.clone(), KeyPair::generate().unwrap(), BuildSvidError::ForeignKey);
    let source = VerifyPeerError::NoCertificate;
    check(vec![], key.clone(), BuildSvidError::Identity { source });
    let source = VerifyPeerError::Malformed;
    check(vec![vec![1]], key.clone(), BuildSvidError::Identity { source });
    let source = VerifyPeerError::SpiffeId { source: ringfort_model::ParseSpiffeError::NoPath };
    check(vec![authority.root_der().to_vec()], key, BuildSvidError::Identity { source });
}
