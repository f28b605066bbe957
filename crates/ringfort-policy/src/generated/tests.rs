//! Generated texts pass the same checks as written ones, and mean exactly their line.

use ringfort_model::{Name, Operation, snapshot::Protocol};

use super::*;
use crate::{NamedEdge, NamedRoute, NamedService, PolicyFile, SchemaNames, check, parse};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn http(method: &str, pattern: &str) -> Operation {
    Operation::Http { method: method.to_owned(), pattern: pattern.parse().unwrap() }
}

#[track_caller]
fn is_valid(text: &str) {
    let service = NamedService { protocol: Some(Protocol::Http1), labels: Vec::new() };
    let route = NamedRoute {
        service: Some(name("orders")),
        gateway: name("public"),
        has_user: false,
        required: None,
    };
    let names = SchemaNames {
        gateways: [(name("public"), vec![])].into(),
        services: [(name("web"), service.clone()), (name("orders"), service)].into(),
        routes: [(name("stock"), route)].into(),
        edges: [((name("web"), name("orders")), NamedEdge::default())].into(),
        ..SchemaNames::default()
    };
    let file = PolicyFile { path: "generated.cedar".to_owned(), text: text.to_owned() };
    assert_eq!(check(&names, &[file]), [], "{text}");
}

#[test]
fn generated_permits_are_valid() {
    let (web, orders) = (name("web"), name("orders"));
    let grpc = Operation::Grpc { service: "shop.Orders".to_owned(), method: "Place".to_owned() };
    for only in [
        None,
        Some(vec![http("GET", "/x/{id}")]),
        Some(vec![grpc, http("POST", "/a\"]b'c"), http("PUT", "/\u{e9}/*")]),
    ] {
        is_valid(&call_permit(&web, &orders, only.as_deref()));
    }
    is_valid(&visit_permit(&name("stock")));
}

#[test]
fn an_empty_list_permits_nothing() {
    let text = call_permit(&name("web"), &name("orders"), Some(&[]));
    assert!(text.ends_with("when { false };"), "{text}");
    assert!(parse::policy("p", &text).is_ok());
}

#[test]
fn quoting_keeps_every_text() {
    for text in [
        "",
        "a",
        "\"",
        "\\",
        "a\"].contains(context.operation) || true || [\"",
        "\n\0\u{202e}\u{301}'*",
    ] {
        assert_eq!(crate::lex::unquote(&quoted(text)).as_deref(), Some(text), "{text:?}");
    }
}
