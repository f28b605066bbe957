//! Whose configuration is believed.

use ringfort_model::{ConfigVerifier as _, Digest, VerifyConfigError};

use super::{ConfigKey, ConfigKeys, ConfigPublicKey, ReadConfigKeyError};
use crate::tests::Counting;

#[track_caller]
fn check(key_id: &str, digest: u8, signature: &[u8], expected: Result<(), VerifyConfigError>) {
    let trusted: ConfigKeys = [key(1), key(2)].iter().map(|key| key.public().clone()).collect();
    assert_eq!(trusted.verify(key_id, &Digest::new([digest; 32]), signature), expected);
}

fn key(seed: u64) -> ConfigKey {
    ConfigKey::generate(&mut Counting(seed)).unwrap()
}

#[test]
fn only_the_named_and_trusted_key_vouches_for_exactly_this_digest() {
    let (one, two, stranger) = (key(1), key(2), key(3));
    let signature = one.sign(&Digest::new([7; 32]));
    let id = one.public().id().to_owned();
    let refused = || Err(VerifyConfigError::Signature(id.clone()));
    check(&id, 7, &signature, Ok(()));
    check(&id, 8, &signature, refused());
    check(&id, 7, &signature[..63], refused());
    check(&id, 7, &[], refused());
    check(&id, 7, &two.sign(&Digest::new([7; 32])), refused());
    let other = two.public().id().to_owned();
    check(&other, 7, &signature, Err(VerifyConfigError::Signature(other.clone())));
    let unknown = stranger.public().id().to_owned();
    let signed = stranger.sign(&Digest::new([7; 32]));
    check(&unknown, 7, &signed, Err(VerifyConfigError::UnknownKey(unknown.clone())));
    // A signature over the bare digest, without this purpose's prefix, is good for nothing here.
    let bare = one.pair.sign(&[7; 32]);
    check(&id, 7, bare.as_ref(), refused());
}

#[test]
fn a_key_survives_its_seed_and_prints_only_its_id() {
    let key = key(1);
    let again = ConfigKey::from_seed(key.seed().clone()).unwrap();
    assert_eq!(again.public(), key.public());
    assert_eq!(ConfigPublicKey::read(key.public().as_bytes()).as_ref(), Ok(key.public()));
    assert_eq!(ConfigPublicKey::read(&[1; 31]), Err(ReadConfigKeyError));
    assert_eq!(format!("{key:?}"), format!("ConfigKey({}, ***)", key.public().id()));
}
