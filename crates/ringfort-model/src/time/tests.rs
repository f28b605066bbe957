//! Wall time prints as RFC 3339.

use std::time::Duration;

use super::WallTime;

#[track_caller]
fn check(seconds: u64, expected: &str) {
    let time = WallTime::from_unix(Duration::from_millis(seconds * 1000 + 7));
    assert_eq!(time.to_string(), expected);
}

#[test]
fn prints_rfc_3339_in_utc() {
    check(0, "1970-01-01T00:00:00.007Z");
    check(951_782_400, "2000-02-29T00:00:00.007Z");
    check(1_795_370_645, "2026-11-22T18:04:05.007Z");
    check(4_102_444_799, "2099-12-31T23:59:59.007Z");
}
