//! What the tour tries, wall by wall, from outside to inside; each attack has a control that must work.

use ringfort_model::Ring;

use super::{Attempt, Content, Edit, Expected, Intruder, Step, Visit};

const fn visit(method: &'static str, target: &'static str) -> Visit {
    Visit { method, target, host: None, fields: &[], body: Content::Empty }
}

const fn step(ring: Ring, title: &'static str, attempt: Attempt, expected: Expected) -> Step {
    Step { ring, title, attempt, expected }
}

const ORDER: Visit = Visit {
    body: Content::Json(r#"{"sku":"tea/green","quantity":1}"#),
    ..visit("POST", "/api/orders")
};

const REFUND: Visit = visit("POST", "/api/orders/1/refund");

/// The steps in order.
#[must_use]
pub fn steps() -> Vec<Step> {
    [at_the_edge(), around_the_proxy(), in_a_captured_program(), without_help()].concat()
}

fn at_the_edge() -> Vec<Step> {
    use Attempt::{PlainVisit, Visit as Try};
    use Ring::{Policy, Protocol, Transport};
    let smuggled_path =
        |title, target| step(Protocol, title, Try(visit("GET", target)), Expected::Refused(400));
    let forged = Visit {
        fields: &[
            ("x-real-ip", "203.0.113.66"),
            ("x_forwarded_for", "203.0.113.67"),
            ("x-forwarded-for", "203.0.113.68"),
            ("ringfort-caller", "spiffe://shop.internal/svc/forged"),
            ("x-user", "root-of-all"),
        ],
        ..visit("GET", "/intruder/fields")
    };
    let texts = &["203.0.113.66", "203.0.113.67", "203.0.113.68", "svc/forged", "root-of-all"];
    let foreign_host = Visit { host: Some("evil.example"), ..visit("GET", "/") };
    let flood = Visit { body: Content::Filler(20 * 1024), ..visit("POST", "/api/orders") };
    vec![
        step(Transport, "a visitor opens the shop", Try(visit("GET", "/")), Expected::Served(200)),
        step(
            Transport,
            "a visitor comes without TLS",
            PlainVisit(visit("GET", "/")),
            Expected::ToHttps,
        ),
        step(
            Protocol,
            "a slash inside a SKU stays data where the service says so",
            Try(visit("GET", "/api/stock/tea%2Fgreen")),
            Expected::Served(200),
        ),
        smuggled_path("the same slash before a service that does not", "/api/orders/1%2F2"),
        smuggled_path("a path climbs out of its route", "/api/stock/../orders"),
        smuggled_path("the same, encoded", "/api/stock/%2e%2e/orders"),
        smuggled_path("the same, behind a parameter", "/api/stock/..;/orders"),
        smuggled_path("an empty segment", "/api//orders"),
        smuggled_path("an encoded NUL byte", "/api/orders/%00"),
        step(
            Protocol,
            "a host the gateway does not serve",
            Try(foreign_host),
            Expected::Refused(421),
        ),
        step(
            Protocol,
            "forged addresses and identities in headers",
            Try(forged),
            Expected::NotForwarded(texts),
        ),
        step(Protocol, "a body above the limit of orders", Try(flood), Expected::Refused(413)),
        step(Policy, "a path no route names", Try(visit("GET", "/admin")), Expected::Refused(404)),
        step(
            Policy,
            "a method no route names",
            Try(visit("DELETE", "/api/orders")),
            Expected::Refused(405),
        ),
        step(
            Policy,
            "an order crosses every wall: web, orders, inventory, payments, ledger",
            Try(ORDER),
            Expected::Served(201),
        ),
    ]
}

fn around_the_proxy() -> Vec<Step> {
    let transport = |title, attempt, expected| step(Ring::Transport, title, attempt, expected);
    let intrude =
        |title, service, who, expected| transport(title, Attempt::Intrude(service, who), expected);
    let plaintext = Attempt::PlaintextToSidecar("orders");
    vec![
        transport("plain HTTP on the mutual-TLS port of orders", plaintext, Expected::Closed),
        intrude(
            "a handshake without a certificate",
            "orders",
            Intruder::Stranger,
            Expected::Closed,
        ),
        intrude(
            "the stolen key of web, where web may call",
            "orders",
            Intruder::Web,
            Expected::Reached,
        ),
        intrude("the same key, where web may not", "payments", Intruder::Web, Expected::Closed),
        intrude(
            "the name of orders, by a forged authority",
            "payments",
            Intruder::Forger,
            Expected::Closed,
        ),
        intrude(
            "an expired certificate of orders",
            "payments",
            Intruder::Expired,
            Expected::Closed,
        ),
    ]
}

fn in_a_captured_program() -> Vec<Step> {
    let intruder = |ring, title, target, expected| {
        step(ring, title, Attempt::Visit(visit("GET", target)), expected)
    };
    let refused = Expected::IntruderRefused;
    vec![
        intruder(
            Ring::Policy,
            "web reads the orders, as its line allows",
            "/intruder/read-orders",
            Expected::IntruderServed,
        ),
        intruder(
            Ring::Policy,
            "web forges an order, outside its `only:`",
            "/intruder/forge-order",
            refused,
        ),
        step(
            Ring::Witness,
            "the refusal is explained down to file and line",
            Attempt::ExplainLast,
            Expected::Explains(&["policy", "shop.yaml:"]),
        ),
        intruder(Ring::Policy, "web charges a card", "/intruder/charge", refused),
        intruder(Ring::Policy, "web looks into the stock", "/intruder/stock", refused),
        intruder(Ring::Policy, "web opens the ledger", "/intruder/ledger", refused),
        step(
            Ring::Policy,
            "orders refunds, which shop.cedar never permits",
            Attempt::Visit(REFUND),
            Expected::RefusedInside("payments"),
        ),
        step(
            Ring::Policy,
            "shop.cedar is edited live: now orders may refund",
            Attempt::AfterEdit(Edit::PermitRefund, REFUND),
            Expected::Served(201),
        ),
        step(
            Ring::Policy,
            "the edit is taken back: it may not",
            Attempt::AfterEdit(Edit::Restore, REFUND),
            Expected::RefusedInside("payments"),
        ),
    ]
}

fn without_help() -> Vec<Step> {
    let renewing = Attempt::WhileRenewing(visit("GET", "/api/orders"));
    vec![
        step(
            Ring::Transport,
            "the control plane is killed and the shop takes an order",
            Attempt::WithoutControlPlane(ORDER),
            Expected::Served(201),
        ),
        step(
            Ring::Transport,
            "all certificates are renewed under traffic",
            renewing,
            Expected::NoFailure,
        ),
    ]
}
