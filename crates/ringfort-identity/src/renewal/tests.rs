//! Renewal lies where it was asked for, give or take 10 %, and always inside the life.

use std::time::Duration;

use proptest::prelude::*;
use ringfort_model::{Percent, SecureRandom};

use super::renewal_time;
use crate::tests::now;

/// Draws the same four bytes every time.
struct Drawn(u32);

impl SecureRandom for Drawn {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0.to_be_bytes());
    }
}

#[track_caller]
fn check(life_s: u64, percent: u8, drawn: u32, expected_s: u64) {
    let percent = Percent::new(percent).unwrap();
    let end = now().plus(Duration::from_secs(life_s));
    let due = renewal_time(now(), end, percent, &mut Drawn(drawn));
    assert_eq!(due.since(now()), Duration::from_secs(expected_s));
}

#[test]
fn the_jitter_is_a_tenth_either_way() {
    check(1000, 50, 0, 450);
    check(1000, 50, 100_000, 500);
    check(1000, 50, 200_000, 550);
    check(1000, 50, 200_001, 450);
    check(1000, 100, 200_000, 950);
    check(1000, 0, 200_000, 0);
    check(0, 50, 7, 0);
}

proptest! {
    #[test]
    fn is_always_inside_the_life(life_s in 1_u64..200_000_000, percent in 0_u8..=100, drawn: u32) {
        let end = now().plus(Duration::from_secs(life_s));
        let percent = Percent::new(percent).unwrap();
        let due = renewal_time(now(), end, percent, &mut Drawn(drawn));
        prop_assert!(now() <= due && due < end);
    }

    #[test]
    fn a_life_that_ends_before_it_begins_is_renewed_at_once(back_s in 0_u64..1000, drawn: u32) {
        let end = now().minus(Duration::from_secs(back_s));
        let percent = Percent::new(50).unwrap();
        prop_assert_eq!(renewal_time(now(), end, percent, &mut Drawn(drawn)), now());
    }
}
