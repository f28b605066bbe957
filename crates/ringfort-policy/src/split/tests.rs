//! Policies of a file keep their places, whatever stands between them.

use super::*;

#[track_caller]
fn check(text: &str, expected: &[(&str, u32, &str)]) {
    let file = PolicyFile { path: "a.cedar".to_owned(), text: text.to_owned() };
    let policies = split(&file).unwrap();
    let found: Vec<(&str, u32, &str)> = policies
        .iter()
        .map(|policy| (policy.id.as_str(), policy.place.line, policy.text.as_str()))
        .collect();
    assert_eq!(found, expected);
    assert!(policies.iter().all(|policy| policy.place.file == "a.cedar" && !policy.generated));
}

#[test]
fn every_policy_has_its_line() {
    check("", &[]);
    check("// only; a comment", &[]);
    let permit = "permit (principal, action, resource);";
    check(
        &format!("// first;\n\n{permit}\n\n\n  {permit}\n"),
        &[("a.cedar:3", 3, permit), ("a.cedar:6", 6, permit)],
    );
}

#[test]
fn comments_and_texts_are_no_borders() {
    check(
        "// a; b\npermit (principal, action, // c;\n resource)\nwhen { \";\" == \"}\" };  forbid (principal, action, resource);\n\n@id(\"x-1\")\n// d\nforbid (principal, action, resource);",
        &[
            (
                "a.cedar:2",
                2,
                "permit (principal, action, // c;\n resource)\nwhen { \";\" == \"}\" };",
            ),
            ("a.cedar:4", 4, "forbid (principal, action, resource);"),
            ("x-1", 6, "@id(\"x-1\")\n// d\nforbid (principal, action, resource);"),
        ],
    );
}

#[test]
fn policies_on_one_line_are_told_apart() {
    let permit = "permit (principal, action, resource);";
    check(&format!("{permit} {permit}"), &[("a.cedar:1", 1, permit), ("a.cedar:1:39", 1, permit)]);
}

#[test]
fn a_file_without_an_end_has_no_policies() {
    let file = |text: &str| PolicyFile { path: "a.cedar".to_owned(), text: text.to_owned() };
    let error = split(&file("forbid (principal, action, resource);\n permit (")).unwrap_err();
    let SplitPolicyError::NoSemicolon { span } = error else { panic!("{error:?}") };
    assert_eq!((span.line, span.column, span.offset), (2, 2, 39));
    let error = split(&file("permit (principal, action, resource) when { \"; };")).unwrap_err();
    assert!(matches!(error, SplitPolicyError::Unterminated { .. }));
}

#[test]
fn a_file_of_one_long_line_is_cut_in_linear_time() {
    let permit = "permit (principal, action, resource);";
    let file = PolicyFile { path: "a.cedar".to_owned(), text: permit.repeat(20_000) };
    let policies = split(&file).unwrap();
    assert_eq!(policies.len(), 20_000);
    assert!(policies.iter().all(|policy| policy.text == permit));
}
