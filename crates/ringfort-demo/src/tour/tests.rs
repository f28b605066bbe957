//! The tour's judgement, and the tour through a shop without walls: every attack must be reported as broken.

use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use ringfort_model::Ring;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Attempt, Edit, Expected, Host, Intruder, Outcome, Report, Seen, drive::walk, steps};
use crate::{
    Program, ServeOptions, ShopPorts,
    call::{read_limited, send},
    serve_on,
};

fn answer(status: u16, decision: Option<&str>, body: &str) -> Seen {
    Seen::Answer {
        status,
        decision: decision.map(str::to_owned),
        location: None,
        body: body.to_owned(),
    }
}

#[track_caller]
fn check(expected: Expected, holds: &[Seen], fails: &[Seen]) {
    for seen in holds {
        assert!(expected.holds(seen), "{expected} should hold for {seen:?}");
    }
    for seen in fails {
        assert!(!expected.holds(seen), "{expected} should not hold for {seen:?}");
    }
}

#[test]
fn a_wall_is_told_from_a_program_by_the_decision_id() {
    let (program, wall) = (answer(404, None, ""), answer(404, Some("a1"), ""));
    check(
        Expected::Served(404),
        std::slice::from_ref(&program),
        &[wall.clone(), answer(200, None, "")],
    );
    let fault = Seen::Fault("no".to_owned());
    check(Expected::Refused(404), &[wall], &[program, answer(403, Some("a1"), ""), fault]);
}

#[test]
fn a_redirect_leads_to_https() {
    let to = |status, location: &str| Seen::Answer {
        status,
        decision: None,
        location: Some(location.to_owned()),
        body: String::new(),
    };
    let fails =
        [to(308, "http://localhost/"), to(200, "https://localhost/"), answer(308, None, "")];
    check(Expected::ToHttps, &[to(308, "https://localhost:8443/")], &fails);
}

#[test]
fn what_a_program_reports_of_its_own_call_is_read() {
    let seen = |body: &str| answer(200, None, body);
    let refused = seen(r#"{"seen":{"status":403,"decision":"a1"}}"#);
    let served = seen(r#"{"seen":{"status":200,"decision":null}}"#);
    let broken = seen(r#"{"seen":{"error":"no way"}}"#);
    let plain = seen(r#"{"seen":{"status":404,"decision":null}}"#);
    assert_eq!(refused.decision().as_deref(), Some("a1"));
    let others = [served.clone(), broken.clone(), plain.clone(), seen("x")];
    check(Expected::IntruderRefused, std::slice::from_ref(&refused), &others);
    check(Expected::IntruderServed, &[served], &[refused, broken, plain]);

    let inside = |body: &str| answer(502, None, body);
    check(
        Expected::RefusedInside("payments"),
        &[inside(r#"{"failed":"payments","status":403,"decision":"a1"}"#)],
        &[
            inside(r#"{"failed":"ledger","status":403,"decision":"a1"}"#),
            inside(r#"{"failed":"payments","status":403,"decision":null}"#),
            inside(r#"{"failed":"payments","status":500,"decision":"a1"}"#),
            answer(201, None, "{}"),
        ],
    );
}

#[test]
fn everything_else_is_judged_by_what_came_back() {
    let closed = |bytes: &[u8]| Seen::Closed { bytes: bytes.to_vec() };
    check(
        Expected::Closed,
        &[closed(b""), closed(b"\x15\x03\x03")],
        &[closed(b"HTTP/1.1 200"), answer(400, None, "")],
    );
    let text = |text: &str| Seen::Text(text.to_owned());
    check(
        Expected::Explains(&["policy", "shop.yaml:"]),
        &[text("policy at shop.yaml:19")],
        &[text("policy"), text("")],
    );
    let texts: &'static [&'static str] = &["forged", "6.6.6.6"];
    check(
        Expected::NotForwarded(texts),
        &[answer(200, None, "[]")],
        &[answer(200, None, "a 6.6.6.6"), answer(400, None, "")],
    );
    let repeated = |made, failed| Seen::Repeated { made, failed };
    check(Expected::NoFailure, &[repeated(9, 0)], &[repeated(9, 1), repeated(0, 0)]);
}

#[test]
fn a_report_names_what_did_not_hold() {
    let all = steps();
    let outcome = |seen: Seen| Outcome { number: 1, step: all[0], seen };
    let held = outcome(answer(200, None, "page"));
    let broken = outcome(answer(403, Some("a1"), ""));
    assert_eq!(
        held.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
        "1 held transport a visitor opens the shop 200"
    );
    assert!(
        broken.to_string().contains("BROKEN")
            && broken.to_string().contains("expected: 200 of the shop")
    );
    let report = |outcomes: Vec<Outcome>| Report { outcomes };
    assert!(report(vec![held.clone()]).all_held());
    assert!(!report(vec![held, broken.clone()]).all_held() && !report(Vec::new()).all_held());
    assert_eq!(report(vec![broken]).to_string(), "1 of 1 steps did not hold");
}

#[test]
fn every_wall_the_demo_has_is_shown() {
    for ring in Ring::ALL.into_iter().filter(|ring| ring.is_built()) {
        assert!(steps().iter().any(|step| step.ring == ring), "{ring}");
    }
    let titles: std::collections::BTreeSet<_> = steps().iter().map(|step| step.title).collect();
    assert_eq!(titles.len(), steps().len());
}

/// A host whose gateway lets everything through.
struct Open {
    gateway: SocketAddr,
    orders: SocketAddr,
}

impl Host for Open {
    type Stream = TcpStream;

    async fn visit(&self) -> Result<TcpStream, String> {
        TcpStream::connect(self.gateway).await.map_err(|error| error.to_string())
    }

    async fn intrude(
        &self,
        address: SocketAddr,
        _who: Intruder,
    ) -> Result<Option<TcpStream>, String> {
        TcpStream::connect(address).await.map(Some).map_err(|error| error.to_string())
    }

    async fn edit(&self, _edit: Edit) -> Result<(), String> {
        Ok(())
    }

    async fn sidecar(&self, _service: &str) -> Result<SocketAddr, String> {
        Ok(self.orders)
    }

    async fn explain(&self, _decision: &str) -> Result<String, String> {
        Ok("nothing is recorded".to_owned())
    }

    async fn kill_server(&self) -> Result<(), String> {
        Ok(())
    }

    async fn server_answers(&self) -> Result<(), String> {
        Ok(())
    }

    async fn renew_all(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Forwards by the first segments of the path, and checks nothing.
async fn forward(
    addresses: BTreeMap<Program, SocketAddr>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = read_limited(body, 1 << 20).await.unwrap();
    let program = match head.uri.path() {
        path if path.starts_with("/api/stock") => Program::Inventory,
        path if path.starts_with("/api") => Program::Orders,
        _ => Program::Web,
    };
    let request = Request::from_parts(head, Full::new(body));
    let (head, body) = send(addresses[&program], request).await.unwrap();
    Ok(Response::from_parts(head, Full::new(body)))
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn without_walls_the_tour_reports_every_attack_as_broken() {
    let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let (mut addresses, mut listeners) = (BTreeMap::new(), Vec::new());
    for program in Program::ALL {
        let (listener, address) = listen().await;
        addresses.insert(program, address);
        listeners.push((program, listener));
    }
    let by_variable = |variable: &str| {
        let program = variable.to_ascii_lowercase().parse().ok()?;
        addresses.get(&program).map(ToString::to_string)
    };
    for (program, listener) in listeners {
        let options = ServeOptions::read(by_variable).unwrap();
        tasks.spawn(serve_on(program, listener, options, shutdown.clone()));
    }
    let (listener, gateway) = listen().await;
    let (gateway_tasks, forwarded) = (tasks.clone(), addresses.clone());
    let accepting = shutdown.clone();
    tasks.spawn(accepting.run_until_cancelled_owned(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let addresses = forwarded.clone();
            let service = service_fn(move |request| forward(addresses.clone(), request));
            gateway_tasks
                .spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }));

    let host = Open { gateway, orders: addresses[&Program::Orders] };
    let ports = ShopPorts { https: gateway.port(), http: gateway.port(), ..ShopPorts::WRITTEN };
    // These two wait for what never comes here.
    let waits = |step: &super::Step| {
        matches!(step.attempt, Attempt::WhileRenewing(_) | Attempt::AfterEdit(Edit::Restore, _))
    };
    let quick = |step: &super::Step| !waits(step);
    let report = walk(&host, &ports, steps().into_iter().filter(quick).collect(), |_| {}).await;
    for outcome in &report.outcomes {
        let is_control = matches!(
            outcome.step.expected,
            Expected::Served(_) | Expected::IntruderServed | Expected::Reached
        );
        assert_eq!(outcome.held(), is_control, "{outcome}");
    }
    shutdown.cancel();
    tasks.close();
    tasks.wait().await;
}
