//! Waits after deaths.

use super::*;

/// `lived` in seconds, `expected` in milliseconds, one per death.
#[track_caller]
fn check(lived: &[u64], expected: &[u64]) {
    let mut backoff = Backoff::new();
    let waits: Vec<_> = lived.iter().map(|s| backoff.after(Duration::from_secs(*s))).collect();
    let expected: Vec<_> = expected.iter().map(|ms| Duration::from_millis(*ms)).collect();
    assert_eq!(waits, expected);
}

#[test]
fn early_deaths_double_the_wait_up_to_the_longest() {
    check(&[0, 0, 9, 0, 0, 0, 0, 0], &[100, 200, 400, 800, 1600, 3200, 5000, 5000]);
}

#[test]
fn a_steady_life_starts_over() {
    check(&[0, 0, 10, 0], &[100, 200, 100, 200]);
    check(&[3600, 3600], &[100, 100]);
}
