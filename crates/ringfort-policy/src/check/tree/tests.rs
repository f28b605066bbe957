//! Every form of the syntax tree that names something, read from real policies.

use super::*;

fn attribute(path: &[&str], attribute: &str, is_test: bool) -> Mention {
    let path = path.iter().map(|name| (*name).to_owned()).collect();
    Mention::Attribute { path, attribute: attribute.to_owned(), is_test }
}

#[track_caller]
fn check(condition: &str, expected: &[Mention]) {
    let text = format!("permit (principal, action, resource) when {{ {condition} }};");
    let policy = crate::parse::policy("p", &text).unwrap();
    // The order of a JSON object's fields is not ours to promise.
    let sorted = |mentions: &[Mention]| {
        let mut lines: Vec<String> =
            mentions.iter().map(|mention| format!("{mention:?}")).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&mentions(&policy).unwrap()), sorted(expected), "{condition}");
}

#[test]
fn attributes_are_found_in_every_form() {
    check("context has a", &[attribute(&["context"], "a", true)]);
    check(r#"context has "a b""#, &[attribute(&["context"], "a b", true)]);
    check(
        "context has a.b",
        &[attribute(&["context"], "a", true), attribute(&["context", "a"], "b", true)],
    );
    check(
        r#"context["a"].b"#,
        &[attribute(&["context", "a"], "b", false), attribute(&["context"], "a", false)],
    );
    check("{x: 1}.x == 1", &[attribute(&[], "x", false)]);
    check(
        "(if principal has a then true else resource has b) || !(context has c)",
        &[
            attribute(&["resource"], "b", true),
            attribute(&["principal"], "a", true),
            attribute(&["context"], "c", true),
        ],
    );
}

#[test]
fn entities_patterns_and_words_are_found() {
    let entity =
        |kind: &str, id: &str| Mention::Entity { kind: kind.to_owned(), id: id.to_owned() };
    let compared = |word: &str| Mention::Compared {
        path: vec!["context".to_owned(), "a".to_owned()],
        word: word.to_owned(),
    };
    let read = attribute(&["context"], "a", false);
    check(r#"[A::"x", B::C::"y"].contains(principal)"#, &[entity("A", "x"), entity("B::C", "y")]);
    check(r#"context.a == "w""#, &[compared("w"), read.clone()]);
    check(r#""w" != context.a"#, &[compared("w"), read.clone()]);
    check(r#"["v", "w"].contains(context.a)"#, &[compared("v"), compared("w"), read.clone()]);
    let pattern = vec![Some("/".to_owned()), None, Some("*".to_owned())];
    let path = vec!["context".to_owned(), "a".to_owned()];
    check(r#"context.a like "/*\*""#, &[Mention::Like { path, pattern }, read]);
}

#[test]
fn the_head_is_read_too() {
    let text = r#"permit (principal is W in L::"l", action in [Action::"a", Action::"b"], resource == S::"s");"#;
    let policy = crate::parse::policy("p", text).unwrap();
    let entity = |mention| match mention {
        Mention::Entity { kind, id } => Some(format!("{kind} {id}")),
        Mention::Attribute { .. } | Mention::Like { .. } | Mention::Compared { .. } => None,
    };
    let mut found: Vec<String> =
        mentions(&policy).unwrap().into_iter().filter_map(entity).collect();
    found.sort();
    assert_eq!(found, ["Action a", "Action b", "L l", "S s"]);
}
