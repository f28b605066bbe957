//! Single decisions as a table; the index against Cedar itself is in `index/tests.rs`.

use ringfort_model::snapshot::{Place, PolicyRoute, PolicyService, Protocol};

use super::*;
use crate::HttpFacts;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn slice(policies: &[&str]) -> PolicySlice {
    let source = |(number, text): (usize, &&str)| PolicySource {
        id: format!("p{number}"),
        text: (*text).to_owned(),
        place: Place { file: "fleet.yaml".to_owned(), line: u32::try_from(number).unwrap() + 1 },
        generated: false,
    };
    let service = |protocol, labels: &[&str]| PolicyService {
        protocol,
        labels: labels.iter().map(|label| name(label)).collect(),
    };
    let route =
        |service: Option<&str>| PolicyRoute { service: service.map(name), gateway: name("public") };
    PolicySlice {
        policies: policies.iter().enumerate().map(source).collect(),
        workload_labels: [
            (name("web"), vec![name("front")]),
            (name("batch"), vec![]),
            (name("public"), vec![]),
        ]
        .into(),
        services: [
            (name("orders"), service(Protocol::Http1, &["pci"])),
            (name("ledger"), service(Protocol::Tcp, &[])),
        ]
        .into(),
        routes: [(name("stock"), route(Some("orders"))), (name("old"), route(None))].into(),
    }
}

/// `CALLER>SERVICE [OPERATION]` or `ROUTE METHOD PATH IP`; answers `permit pN`, `forbid pN`, `none` or `failed pN`.
#[track_caller]
fn check(policies: &[&str], question: &str, expected: &str) {
    let authorizer = Authorizer::new(&slice(policies)).unwrap();
    let words: Vec<&str> = question.splitn(4, ' ').collect();
    let verdict = match question.split_once('>') {
        Some((caller, rest)) => {
            let (service, operation) =
                rest.split_once(' ').map_or((rest, None), |(a, b)| (a, Some(b)));
            let (method, path) = operation.and_then(|o| o.split_once(' ')).unwrap_or(("GET", "/"));
            let http = HttpFacts { method, host: service, path };
            let (caller, service) = (name(caller), name(service));
            authorizer.decide(&Question::Call {
                caller: &caller,
                service: &service,
                operation,
                http: (service.as_str() != "ledger").then_some(http),
            })
        }
        None => authorizer.decide(&Question::Visit {
            route: &name(words[0]),
            operation: None,
            http: HttpFacts { method: words[1], host: "shop.example", path: words[2] },
            client_ip: words[3].parse().unwrap(),
        }),
    };
    let id = verdict.policy().map_or("?", |policy| policy.id.as_str());
    let answer = match &verdict {
        Verdict::Permit { .. } => format!("permit {id}"),
        Verdict::Forbid { .. } => format!("forbid {id}"),
        Verdict::NoPermit => "none".to_owned(),
        Verdict::Failed { .. } => format!("failed {id}"),
    };
    assert_eq!(answer, expected, "{question}");
    assert_eq!(verdict.is_permit(), expected.starts_with("permit"));
}

const CALL: &str = r#"permit (principal == Workload::"web", action == Action::"call", resource == Service::"orders");"#;

#[test]
fn denies_what_nothing_permits() {
    check(&[], "web>orders", "none");
    check(&[CALL], "batch>orders", "none");
    check(&[CALL], "web>ledger", "none");
    check(&[CALL], "stranger>orders", "none");
    check(&[CALL], "web>stranger", "none");
    check(&["permit (principal, action, resource);"], "stranger>orders", "none");
    check(&["permit (principal, action, resource);"], "nowhere GET / 10.0.0.1", "none");
}

#[test]
fn permits_by_every_form_of_head() {
    check(&[CALL], "web>orders", "permit p0");
    for head in [
        "principal, action, resource",
        r#"principal in Label::"front", action in [Action::"visit", Action::"call"], resource"#,
        r#"principal is Workload in Label::"front", action, resource is Service in Label::"pci""#,
        r#"principal in Workload::"web", action, resource in Service::"orders""#,
        r#"principal is Workload, action == Action::"call", resource in Label::"pci""#,
    ] {
        check(&[&format!("permit ({head});")], "web>orders", "permit p0");
    }
    for head in [
        r#"principal == Label::"front", action, resource"#,
        r#"principal is Visitor, action, resource"#,
        r#"principal, action == Action::"visit", resource"#,
        r#"principal in Label::"pci", action, resource"#,
        r#"principal, action, resource is Route"#,
        r#"principal in Service::"orders", action, resource"#,
    ] {
        check(&[&format!("permit ({head});")], "web>orders", "none");
    }
}

#[test]
fn a_forbid_wins() {
    let forbid = r#"forbid (principal, action, resource in Label::"pci");"#;
    check(&[CALL, forbid], "web>orders", "forbid p1");
    check(&[forbid, CALL], "web>orders", "forbid p0");
    let narrow = r#"forbid (principal, action, resource) when { context has operation && context.operation == "GET /x" };"#;
    check(&[CALL, narrow], "web>orders GET /x", "forbid p1");
    check(&[CALL, narrow], "web>orders GET /y", "permit p0");
    check(&[narrow], "web>orders GET /x", "forbid p0");
    check(&[narrow], "web>orders GET /y", "none");
}

#[test]
fn a_policy_that_fails_denies() {
    let broken =
        "permit (principal, action, resource) when { context.acting.user == context.acting.user };";
    check(&[CALL, broken], "web>orders", "failed p1");
    let broken = r#"forbid (principal, action, resource) when { context.http.method == "GET" };"#;
    check(&[CALL, broken], "web>orders GET /", "forbid p1");
    let ledger = r#"permit (principal, action, resource == Service::"ledger");"#;
    check(&[ledger, broken], "web>ledger", "failed p1");
    check(&[ledger, broken, "forbid (principal, action, resource);"], "web>ledger", "forbid p2");
}

#[test]
fn the_context_is_that_of_the_schema() {
    let when =
        |condition: &str| format!("permit (principal, action, resource) when {{ {condition} }};");
    for (condition, question) in [
        (
            r#"context.source.posture == "unknown" && context.source.attested && !context.source.known_exploited"#,
            "web>orders",
        ),
        (
            r#"context has http && context.http == {method: "POST", host: "orders", path: "/a"}"#,
            "web>orders POST /a",
        ),
        (r#"context has operation && context.operation == "POST /a""#, "web>orders POST /a"),
        (r#"!(context has operation) && !(context has acting)"#, "web>orders"),
        (r#"!(context has http)"#, "web>ledger"),
        (
            r#"resource.protocol == "http1" && principal in Label::"front" && resource in Label::"pci""#,
            "web>orders",
        ),
        (
            r#"context == {source: {posture: "unknown", attested: true, known_exploited: false}}"#,
            "web>ledger",
        ),
        (
            r#"context["http"].path like "/a/*" && context.http.method == "GET""#,
            "stock GET /a/b 10.1.2.3",
        ),
        (r#"context.client_ip.isInRange(ip("10.0.0.0/8"))"#, "stock GET / 10.1.2.3"),
        (r#"context.client_ip.isInRange(ip("10.0.0.0/8"))"#, "stock GET / ::ffff:10.1.2.3"),
        (
            r#"!(context has source) && context has client_ip && context.client_ip.isIpv6()"#,
            "stock GET / 2001:db8::1",
        ),
        (
            r#"resource.service == Service::"orders" && resource.gateway == Gateway::"public""#,
            "stock GET / ::1",
        ),
        (
            r#"resource.service in Label::"pci" && principal == Visitor::"anonymous""#,
            "stock GET / ::1",
        ),
        (r#"resource.service == Service::"ringfort""#, "old GET / ::1"),
        (
            r#"context == {http: {method: "GET", host: "shop.example", path: "/"}, client_ip: ip("::1")}"#,
            "stock GET / ::1",
        ),
    ] {
        check(&[&when(condition)], question, "permit p0");
        check(&[&when(&format!("!({condition})"))], question, "none");
    }
}

#[test]
fn a_slice_with_an_unreadable_policy_builds_nothing() {
    for text in [
        "permit (principal, action);",
        "",
        "permit (principal == ?principal, action, resource);",
        "permit (principal, action, resource); permit (principal, action, resource);",
    ] {
        assert!(Authorizer::new(&slice(&[CALL, text])).is_err(), "{text}");
    }
}

#[test]
fn equal_ids_are_told_apart() {
    let mut slice =
        slice(&[CALL, "forbid (principal, action, resource) when { !context.source.attested };"]);
    slice.policies[1].id = slice.policies[0].id.clone();
    let authorizer = Authorizer::new(&slice).unwrap();
    let (caller, service) = (name("web"), name("orders"));
    let question =
        Question::Call { caller: &caller, service: &service, operation: None, http: None };
    assert_eq!(authorizer.decide(&question).policy().unwrap().place.line, 1);
}
