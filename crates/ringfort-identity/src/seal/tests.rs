//! What was sealed opens unchanged, for the same key and purpose, or not at all.

use proptest::prelude::*;
use ringfort_model::Secret;

use super::{OpenSealedError, Sealer};
use crate::tests::Counting;

fn sealer(seed: u64) -> Sealer {
    Sealer::generate(&mut Counting(seed)).unwrap()
}

proptest! {
    #[test]
    fn opens_what_it_sealed(secret in proptest::collection::vec(any::<u8>(), 0..300), seed: u64) {
        let sealed =
            sealer(1).seal("p", &Secret::new(secret.clone()), &mut Counting(seed)).unwrap();
        prop_assert_eq!(sealed.len(), 1 + 12 + secret.len() + 16);
        let opened = sealer(1).open("p", &sealed).unwrap();
        prop_assert_eq!(opened.expose(), &secret);
    }

    #[test]
    fn refuses_every_change(at in 0_usize..49, bit in 0_u32..8) {
        let mut sealed =
            sealer(1).seal("p", &Secret::new(vec![7; 20]), &mut Counting(2)).unwrap();
        sealed[at] ^= 1 << bit;
        let expected = if at == 0 { OpenSealedError::Format } else { OpenSealedError::Refused };
        prop_assert_eq!(sealer(1).open("p", &sealed).err(), Some(expected));
    }
}

#[track_caller]
fn check(seed: u64, purpose: &str, bytes: usize, expected: Option<OpenSealedError>) {
    let sealed = sealer(1).seal("p", &Secret::new(vec![7; 20]), &mut Counting(2)).unwrap();
    let opened = sealer(seed).open(purpose, &sealed[..bytes]);
    assert_eq!(opened.err(), expected);
}

#[test]
fn opens_for_its_key_and_purpose_only() {
    check(1, "p", 49, None);
    check(3, "p", 49, Some(OpenSealedError::Refused));
    check(1, "q", 49, Some(OpenSealedError::Refused));
    check(1, "p", 48, Some(OpenSealedError::Refused));
    check(1, "p", 13, Some(OpenSealedError::Refused));
    check(1, "p", 12, Some(OpenSealedError::Format));
    check(1, "p", 0, Some(OpenSealedError::Format));
}

#[test]
fn seals_nothing_twice_alike_and_prints_nothing() {
    let random = &mut Counting(2);
    let secret = Secret::new(vec![7; 20]);
    let sealer = sealer(1);
    let (a, b) =
        (sealer.seal("p", &secret, random).unwrap(), sealer.seal("p", &secret, random).unwrap());
    assert_ne!(a, b);
    assert_eq!(format!("{sealer:?}"), "Sealer(***)");
}
