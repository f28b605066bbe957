//! Which `traceparent` is continued, and what is sent on.

use std::num::NonZero;

use super::{ParseTraceParentError, TraceParent};
use crate::SecureRandom;

struct Fixed(u8);

impl SecureRandom for Fixed {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

#[track_caller]
fn check(values: &[&str], expected: Option<&str>) {
    let parsed = TraceParent::parse(values.iter().map(|value| value.as_bytes()));
    let printed = parsed.map(|parent| parent.to_string());
    assert_eq!(printed, expected.map(ToOwned::to_owned).ok_or(ParseTraceParentError), "{values:?}");
}

const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_valid_field_is_continued() {
    check(&[GOOD], Some(GOOD));
    check(&[" 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 "], Some(GOOD));
    let unsampled = GOOD.replace("-01", "-00");
    check(&[&unsampled], Some(&unsampled));
    check(&[&GOOD.replace("-01", "-ff")], Some(GOOD));
    check(&[&format!("01{}-what-comes", GOOD.strip_prefix("00").unwrap())], Some(GOOD));
}

#[test]
fn anything_else_begins_a_new_trace() {
    check(&[], None);
    check(&[GOOD, GOOD], None);
    for bad in [
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319\u{e4}-b7ad6b7169203331-01",
    ] {
        check(&[bad], None);
    }
}

#[test]
fn a_new_trace_has_the_given_randomness() {
    let begun = TraceParent::begin(&mut Fixed(0xAB), true);
    assert_eq!(begun.to_string(), format!("00-{}-{}-01", "ab".repeat(16), "ab".repeat(8)));
    let next = begun.next(&mut Fixed(0xCD));
    assert_eq!(next.to_string(), format!("00-{}-{}-01", "ab".repeat(16), "cd".repeat(8)));
    let zero = TraceParent::begin(&mut Fixed(0), false);
    assert_eq!((zero.trace_id, zero.span_id), (NonZero::<u128>::MIN, NonZero::<u64>::MIN));
}
