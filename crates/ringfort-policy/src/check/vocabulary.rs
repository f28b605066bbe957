//! What the schema knows, as the checks of single words need it: attributes of each action, and closed sets of words.

use crate::POSTURES;

/// The actions whose resource is a service or a route, and those of the fleet itself.
pub(super) const ACTIONS: [&str; 11] = [
    "call",
    "invoke",
    "visit",
    "administer",
    "view",
    "apply",
    "approve",
    "tap",
    "fault",
    "manage_identity",
    "issue_token",
];

/// The entity types.
pub(super) const KINDS: [&str; 11] = [
    "Label", "Group", "Client", "Gateway", "Fleet", "Visitor", "User", "Workload", "Service",
    "Route", "Action",
];

/// Attributes of `context` in requests of `action`.
pub(super) fn context(action: &str) -> &'static [&'static str] {
    match action {
        "call" => &["source", "operation", "http", "acting"],
        "invoke" => &["http", "operation", "client_ip", "auth"],
        "visit" => &["http", "operation", "client_ip"],
        _ => &["auth"],
    }
}

/// Attributes of `resource` in requests of `action`.
fn resource(action: &str) -> &'static [&'static str] {
    match action {
        "call" => &["protocol"],
        "invoke" | "visit" => &["service", "gateway"],
        _ => &[],
    }
}

/// The attributes of what `path` names, over all of `actions`; `None` if it is not a record or entity that is known.
pub(super) fn attributes(path: &[String], actions: &[&str]) -> Option<Vec<&'static str>> {
    let union = |of: fn(&str) -> &'static [&'static str]| {
        Some(actions.iter().flat_map(|action| of(action)).copied().collect())
    };
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    match names.as_slice() {
        ["context"] => union(context),
        ["resource"] => union(resource),
        ["principal"] => Some(Vec::new()),
        ["resource", "service"] => Some(vec!["protocol"]),
        ["context", "source"] => Some(vec!["posture", "attested", "known_exploited"]),
        ["context", "http"] => Some(vec!["method", "host", "path"]),
        ["context", "acting"] => Some(vec!["user", "auth"]),
        ["context", "auth"] | ["context", "acting", "auth"] => {
            Some(vec!["client", "scopes", "acr", "bound", "login_age_s", "mfa_age_s"])
        }
        _ => None,
    }
}

/// Every attribute there is, for paths that cannot be followed.
pub(super) const EVERY_ATTRIBUTE: [&str; 22] = [
    "source",
    "operation",
    "http",
    "acting",
    "client_ip",
    "auth",
    "posture",
    "attested",
    "known_exploited",
    "method",
    "host",
    "path",
    "user",
    "client",
    "scopes",
    "acr",
    "bound",
    "login_age_s",
    "mfa_age_s",
    "protocol",
    "service",
    "gateway",
];

/// The only words `path` can equal, if they are few.
pub(super) fn closed_words(path: &[String]) -> Option<&'static [&'static str]> {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    match names.as_slice() {
        ["context", "source", "posture"] => Some(&POSTURES),
        ["resource", "protocol"] | ["resource", "service", "protocol"] => {
            Some(&["http1", "http2", "grpc", "tcp"])
        }
        _ => None,
    }
}
