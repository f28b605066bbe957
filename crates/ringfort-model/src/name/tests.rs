//! Which texts are names.

use super::{Name, ParseNameError};

#[track_caller]
fn check(text: &str, expected: Result<(), ParseNameError>) {
    assert_eq!(text.parse::<Name>().map(|_| ()), expected, "{text:?}");
}

#[test]
fn a_name_is_one_dns_label_in_lower_case() {
    check("orders", Ok(()));
    check("a", Ok(()));
    check("pay-1", Ok(()));
    check(&"a".repeat(63), Ok(()));
    check(&"a".repeat(64), Err(ParseNameError::TooLong));
    check("", Err(ParseNameError::Empty));
    for bad in ["1a", "-a", "A", "a_b", "a.b", "a b", "ä", "a\0", "a/b"] {
        check(bad, Err(ParseNameError::Character));
    }
    check("plaintext", Err(ParseNameError::Reserved("plaintext".to_owned())));
}
