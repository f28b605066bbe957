//! What policies look at is never underestimated.

use super::*;

#[track_caller]
fn check(condition: &str, source: bool, operation: bool, http: bool, client_ip: bool) {
    let text = format!("permit (principal, action, resource) when {{ {condition} }};");
    assert_eq!(Needs::of(&text), Needs { source, operation, http, client_ip }, "{condition}");
}

#[test]
fn a_policy_needs_what_it_looks_at() {
    check("true", false, false, false, false);
    check("context.source.attested", true, false, false, false);
    check("context has operation && context.operation == \"GET /http\"", false, true, false, false);
    check("context has http.method", false, false, true, false);
    check("context . // comment\n client_ip.isIpv4()", false, false, false, true);
    check("context has acting && context.http.path like \"/*\"", false, false, true, false);
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
        check(condition, true, true, true, true);
    }
}
