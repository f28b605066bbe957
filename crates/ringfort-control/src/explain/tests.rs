//! What a request meets, as text an operator reads.

use ringfort_fleet::FleetFile;
use ringfort_wire::v1::ExplainRequest;

use super::{ExplainRequestError, explain_files};

const SHOP: &str = r#"ringfort: v1
services:
  orders:
    listen: 8080
    calls:
      - { to: payments, only: ["POST /charge"] }
      - ledger
  payments: { listen: 8081 }
  ledger: { listen: { port: 5432, protocol: tcp } }
gateways:
  public:
    listeners: [ { bind: "127.0.0.1:8443", hosts: [shop.test], tls: internal } ]
routes:
  orders:
    match: [ { host: shop.test, path: /orders/* } ]
    to: orders
    user: none
"#;

fn ask(caller: &str, callee: &str, request: &str) -> Result<(bool, String), ExplainRequestError> {
    let files = [FleetFile { path: "shop.yaml".to_owned(), bytes: SHOP.as_bytes().to_vec() }];
    let (method, target) = request.split_once(' ').unwrap_or_default();
    let request = ExplainRequest {
        r#as: caller.to_owned(),
        to: callee.to_owned(),
        method: method.to_owned(),
        target: target.to_owned(),
    };
    explain_files(&files, &request).map(|answer| (answer.allowed, answer.text))
}

#[track_caller]
fn check(caller: &str, callee: &str, request: &str, allowed: bool, words: &[&str]) {
    let (seen, text) = ask(caller, callee, request).unwrap();
    assert_eq!(seen, allowed, "{text}");
    for word in words {
        assert!(text.contains(word), "no `{word}` in\n{text}");
    }
}

#[test]
fn an_allowed_call_names_the_line_that_permits_it() {
    check("orders", "payments", "POST /charge", true, &["allowed", "permitted by", "shop.yaml:6"]);
    check("orders", "ledger", "", true, &["bytes", "permitted by", "shop.yaml:7"]);
    check(
        "",
        "shop.test",
        "GET /orders/7",
        true,
        &["route `orders`", "then `public` calls `orders`"],
    );
}

#[test]
fn a_refused_call_names_the_ring_and_the_smallest_change() {
    let change = ["no policy permits it", "add `POST /refund` to `only` at shop.yaml:6"];
    check("orders", "payments", "POST /refund", false, &change);
    check("payments", "orders", "GET /", false, &["transport", "no edge", "not reached"]);
    check("orders", "payments", "POST /a/../charge", false, &["protocol"]);
    check("", "shop.test", "GET /admin", false, &["no route takes GET /admin"]);
    check("", "other.test", "GET /", false, &["421"]);
}

#[test]
fn a_question_without_meaning_is_an_error() {
    let unknown = |kind: &'static str, name: &str| ExplainRequestError::Unknown {
        kind,
        name: name.to_owned(),
    };
    assert_eq!(ask("nobody", "orders", "GET /"), Err(unknown("workload", "nobody")));
    assert_eq!(ask("orders", "nobody", "GET /"), Err(unknown("service", "nobody")));
    let no_request = ExplainRequestError::NoRequest("payments".parse().unwrap());
    assert_eq!(ask("orders", "payments", ""), Err(no_request));
}
