//! What policies look at is never underestimated.

use super::*;

/// Compares the needs of a condition with a list of attributes.
#[track_caller]
fn check(condition: &str, expected: &str) {
    let text = format!("permit (principal, action, resource) when {{ {condition} }};");
    let has = |word: &str| expected.split(' ').any(|known| known == word);
    let expected = Needs {
        source: has("source"),
        operation: has("operation"),
        http: has("http"),
        client_ip: has("client_ip"),
    };
    assert_eq!(Needs::of(&text), expected, "{condition}");
}

#[test]
fn a_policy_needs_what_it_looks_at() {
    check("true", "");
    check("context.source.attested", "source");
    check("context has operation && context.operation == \"GET /http\"", "operation");
    check("context has http.method", "http");
    check("context . // comment\n client_ip.isIpv4()", "client_ip");
    check("context has acting && context.http.path like \"/*\"", "http");
    check("context has source && context has client_ip", "source client_ip");
}

#[test]
fn a_policy_that_takes_the_context_whole_needs_everything() {
    for condition in [
        "context == {}",
        "[context].contains(principal)",
        "context[\"http\"].method == \"GET\"",
        "context has \"source\"",
        "(context).http.method == \"GET\"",
        "(if true then context else context).source.attested",
    ] {
        check(condition, "source operation http client_ip");
    }
}
