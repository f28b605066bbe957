//! Where a program finds its callees, by its variables; and which answers are a wall's.

use http::{HeaderMap, HeaderValue};

use super::{Upstreams, decision};

#[track_caller]
fn check(variables: &[(&str, &str)], expected: Result<&str, &str>) {
    let read = Upstreams::read(|name| {
        variables
            .iter()
            .find(|(variable, _)| *variable == name)
            .map(|(_, value)| (*value).to_owned())
    });
    let seen = match &read {
        Ok(upstreams) => {
            let ports = upstreams.ports.iter().map(|(name, address)| format!("{name}={address}"));
            let proxy = upstreams.http_proxy.iter().map(|address| format!("proxy={address}"));
            Ok(ports.chain(proxy).collect::<Vec<_>>().join(" "))
        }
        Err(error) => Err(error.to_string()),
    };
    let seen = seen.as_deref().map_err(String::as_str);
    assert_eq!(seen, expected, "{variables:?}");
}

#[test]
fn variables_name_addresses() {
    check(&[], Ok(""));
    check(&[("PAYMENTS", "127.0.0.1:7413"), ("OTHER", "x")], Ok("payments=127.0.0.1:7413"));
    check(&[("HTTP_PROXY", "http://127.0.0.1:7412")], Ok("proxy=127.0.0.1:7412"));
    check(&[("HTTP_PROXY", "http://127.0.0.1:7412/")], Ok("proxy=127.0.0.1:7412"));
    check(&[("HTTP_PROXY", "https://proxy")], Err("`HTTP_PROXY` is no address: `https://proxy`"));
    check(&[("LEDGER", "ledger:7405")], Err("`LEDGER` is no address: `ledger:7405`"));
}

#[test]
fn a_walls_answer_has_a_decision_id() {
    let check = |fields: &[(&'static str, &'static str)], body: &str, expected: Option<&str>| {
        let pairs = fields
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        let fields: HeaderMap = pairs.collect();
        assert_eq!(decision(&fields, body.as_bytes()).as_deref(), expected, "{fields:?} {body}");
    };
    let problem = ("content-type", "application/problem+json");
    check(&[("ringfort-decision", "a1")], "", Some("a1"));
    check(&[problem, ("ringfort-decision", "a1")], r#"{"decision":"b2"}"#, Some("a1"));
    check(&[problem], r#"{"status":403,"decision":"b2"}"#, Some("b2"));
    check(&[problem], r#"{"status":403}"#, None);
    check(&[("content-type", "application/json")], r#"{"decision":"b2"}"#, None);
    check(&[], "", None);
}
