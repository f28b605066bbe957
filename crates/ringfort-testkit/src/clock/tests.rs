//! The clock of tests.

use std::time::Duration;

use ringfort_model::WallClock;

use super::TestClock;

#[test]
fn clones_share_one_time() {
    let clock = TestClock::new();
    let other = clock.clone();
    assert_eq!(clock.now().to_string(), "2026-11-22T12:00:00.000Z");
    clock.advance(Duration::from_secs(90));
    assert_eq!(other.now().to_string(), "2026-11-22T12:01:30.000Z");
}
