//! Tokens and string escapes.

use super::*;

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let tokens = tokens(text).unwrap();
    for token in &tokens {
        assert!(text.get(token.offset..).unwrap().starts_with(token.text));
    }
    assert_eq!(tokens.iter().map(|token| token.text).collect::<Vec<_>>(), expected);
}

#[test]
fn tokens_are_words_texts_and_marks() {
    check("", &[]);
    check("a::b == \"c d\" && !x1_y", &["a", "::", "b", "=", "=", "\"c d\"", "&&", "!", "x1_y"]);
    check("a // \"b\n\"//\" c", &["a", "\"//\"", "c"]);
    check("a // b\rc", &["a", "c"]);
    check(r#""a\"b\\" "c""#, &[r#""a\"b\\""#, r#""c""#]);
    check("\u{e9}:\u{2028}:", &["\u{e9}", ":", ":"]);
}

#[test]
fn a_text_must_end() {
    assert_eq!(tokens(r#"ab "c\""#), Err(Unterminated { offset: 3 }));
    assert_eq!(tokens("\""), Err(Unterminated { offset: 0 }));
}

#[test]
fn escapes_are_read_as_the_engine_reads_them() {
    for (token, value) in [
        (r#""a""#, Some("a")),
        (r#""\n\r\t\0\\\"\'""#, Some("\n\r\t\0\\\"'")),
        (r#""\x41\u{e9}\u{1F600}""#, Some("A\u{e9}\u{1F600}")),
        (r#""/\*""#, Some(r"/\*")),
        (r#""\q""#, None),
        (r#""\x4""#, None),
        (r#""\xff""#, None),
        (r#""\u{d800}""#, None),
        ("a", None),
    ] {
        assert_eq!(unquote(token).as_deref(), value, "{token}");
        if let Some(value) = value.filter(|value| !value.contains('*')) {
            let text = format!("permit (principal == A::{token}, action, resource);");
            let policy = crate::parse::policy("p", &text).unwrap();
            let expected = cedar_policy::EntityUid::from_type_name_and_id(
                "A".parse().unwrap(),
                cedar_policy::EntityId::new(value),
            );
            assert_eq!(
                policy.principal_constraint(),
                cedar_policy::PrincipalConstraint::Eq(expected)
            );
        }
    }
}
