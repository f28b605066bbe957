//! Between sidecars: identities, protocols, bytes.

use std::collections::BTreeMap;

use http::Request;
use http_body::Frame;
use http_body_util::BodyExt;
use ringfort_model::snapshot::{Endpoint, Protocol};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    caller::{self, get, read_exactly, read_raw, soon, text},
    program::{self, Program, frames, whole},
    world::*,
};

/// `web` and its sidecar, which calls `orders` behind another.
struct Pair {
    authority: Authority,
    program: Program,
    web: Proxy,
    orders: Proxy,
}

impl Pair {
    async fn open(protocol: Protocol, program: Program) -> Self {
        let authority = Authority::new("shop.test");
        let mut snapshot = sidecar(&authority, "orders", protocol, program.address);
        add_caller(&mut snapshot, "web", authority.service("web"));
        let orders = Proxy::start(&authority, snapshot).await;
        let snapshot = web(&authority, protocol, &[orders.inbound()]);
        let web = Proxy::start(&authority, snapshot).await;
        Self { authority, program, web, orders }
    }
}

/// A workload that only calls `orders`.
fn web(
    authority: &Authority,
    protocol: Protocol,
    endpoints: &[std::net::SocketAddr],
) -> ringfort_model::Snapshot {
    let mut snapshot = sidecar(authority, "web", Protocol::Http1, any_port());
    let role = sidecar_role(&mut snapshot);
    role.local = None;
    role.outbound = BTreeMap::from([(name("orders"), 0)]);
    role.http_proxy = Some(0);
    add_peer(authority, &mut snapshot, "orders", protocol, endpoints);
    snapshot
}

#[tokio::test]
async fn a_call_passes_two_sidecars() {
    let pair = Pair::open(Protocol::Http1, program::echo(false).await).await;
    let mut client = caller::http1(pair.web.outbound("orders")).await;
    let request = Request::post("/api/orders").header("host", "127.0.0.1:1").body(whole("hello"));
    let response = client.send_request(request.unwrap()).await.unwrap();
    assert_eq!(text(response).await, "/api/orders 5");
    let web = pair.authority.service("web").to_string();
    assert_eq!(pair.program.last_field("ringfort-caller"), [web]);
    assert_eq!(pair.program.last_field("host"), ["orders.fleet.internal"]);
    assert_eq!(pair.web.metric("http_client_request_duration_seconds_count"), 1.0);
    let permits = r#"ringfort_decisions_total{ring="policy",decision="permit""#;
    assert_eq!(pair.orders.metric(permits), 1.0);
}

#[tokio::test]
async fn callees_are_found_by_name_through_the_http_proxy() {
    let pair = Pair::open(Protocol::Http1, program::echo(false).await).await;
    let proxy = pair.web.plane.address(crate::Socket::HttpProxy).unwrap();
    for host in ["orders", "orders.fleet.internal", "ORDERS.fleet.internal:80"] {
        let mut client = caller::http1(proxy).await;
        let request = Request::get(format!("http://{host}/stock")).header("host", host);
        let response = client.send_request(request.body(whole("")).unwrap()).await.unwrap();
        assert_eq!(text(response).await, "/stock 0", "{host}");
    }
    let mut client = caller::http1(proxy).await;
    let request = Request::get("http://payments/").header("host", "payments");
    let response = client.send_request(request.body(whole("")).unwrap()).await.unwrap();
    assert_eq!(response.status(), 403);
    let answer =
        caller::raw(proxy, b"CONNECT orders:443 HTTP/1.1\r\nhost: orders:443\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

#[tokio::test]
async fn plaintext_on_an_mtls_port_reaches_nobody() {
    let pair = Pair::open(Protocol::Http1, program::echo(false).await).await;
    let mut tcp = TcpStream::connect(pair.orders.inbound()).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nhost: orders\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 512];
    while let Ok(count @ 1..) = soon(tcp.read(&mut buffer)).await {
        answer.extend_from_slice(&buffer[..count]);
    }
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(pair.program.connections(), 0);
    let refused = r#"ringfort_decisions_total{ring="transport",decision="deny""#;
    eventually("it is recorded", || pair.orders.metric(refused) == 1.0).await;
}

#[tokio::test]
async fn only_callers_of_this_fleet_get_through_the_handshake() {
    let pair = Pair::open(Protocol::Http1, program::echo(false).await).await;
    let (authority, orders) = (&pair.authority, pair.authority.service("orders"));
    let stranger = Authority::new("shop.test");
    let attempts = [
        (authority.credentials(&authority.service("ledger")), "not in `callers`"),
        (stranger.credentials(&stranger.service("web")), "another authority"),
    ];
    for (credentials, what) in attempts {
        // A client that trusts our callee, so that the refusal is the callee's.
        let credentials = crate::Credentials {
            bundle: authority.credentials(&orders).bundle.clone(),
            ..(*credentials).clone()
        };
        let read =
            match caller::call(pair.orders.inbound(), &credentials, &orders, "http/1.1").await {
                Ok(mut tls) => {
                    drop(tls.write_all(b"GET / HTTP/1.1\r\nhost: o\r\n\r\n").await);
                    soon(tls.read(&mut [0; 16])).await
                }
                Err(error) => Err(error),
            };
        assert!(read.is_err(), "{what}: {read:?}");
    }
    assert_eq!(pair.program.connections(), 0);
    // Control: the real caller.
    let web = authority.credentials(&authority.service("web"));
    let tls = caller::call(pair.orders.inbound(), &web, &orders, "http/1.1").await.unwrap();
    let mut client = caller::http1_over(tls).await;
    assert_eq!(client.send_request(get("/")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_callee_with_the_wrong_identity_is_never_spoken_to() {
    let authority = Authority::new("shop.test");
    let program = program::echo(false).await;
    let mut snapshot = sidecar(&authority, "ledger", Protocol::Http1, program.address);
    add_caller(&mut snapshot, "web", authority.service("web"));
    let ledger = Proxy::start(&authority, snapshot).await;
    let web = Proxy::start(&authority, web(&authority, Protocol::Http1, &[ledger.inbound()])).await;
    let mut client = caller::http1(web.outbound("orders")).await;
    let response = client.send_request(get("/")).await.unwrap();
    assert_eq!(response.status(), 502);
    let id = response.headers()["ringfort-decision"].to_str().unwrap().to_owned();
    let decision = web.plane.view().decision(id.parse().unwrap()).unwrap();
    assert_eq!((decision.ring, decision.reason), ("transport", "wrong_callee"));
    assert!(decision.detail.contains("spiffe://shop.test/svc/ledger"), "{}", decision.detail);
    assert_eq!(program.connections(), 0);
}

#[tokio::test]
async fn http2_and_http1_meet_in_both_directions() {
    let pair = Pair::open(Protocol::Http2, program::echo(true).await).await;
    let mut client = caller::http1(pair.web.outbound("orders")).await;
    let request = Request::post("/a").header("host", "orders").body(whole("12345")).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(text(response).await, "/a 5");
    assert_eq!(pair.program.last().version, http::Version::HTTP_2);

    let pair = Pair::open(Protocol::Http1, program::echo(false).await).await;
    let mut client = caller::http2(pair.web.outbound("orders")).await;
    let request = Request::post("http://orders/b").body(whole("1234567")).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(text(response).await, "/b 7");
    assert_eq!(pair.program.last().version, http::Version::HTTP_11);
}

/// A gRPC-like program: sends each message back, then trailers.
async fn grpc() -> Program {
    program::http(true, |request| async move {
        let (sender, body) = frames();
        caller::spawn(async move {
            let mut asked = request.into_body();
            while let Some(Ok(frame)) = asked.frame().await {
                if let Ok(data) = frame.into_data() {
                    sender.send(Frame::data(data)).await.unwrap();
                }
            }
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            trailers.insert("x-detail", "kept".parse().unwrap());
            trailers.insert("ringfort-caller", "forged".parse().unwrap());
            drop(sender.send(Frame::trailers(trailers)).await);
        });
        let mut response = http::Response::new(body);
        response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        response
    })
    .await
}

#[tokio::test]
async fn grpc_streams_both_ways_and_keeps_its_trailers() {
    let pair = Pair::open(Protocol::Grpc, grpc().await).await;
    let mut client = caller::http2(pair.web.outbound("orders")).await;
    let (sender, body) = frames();
    let request = Request::post("http://orders/shop.Orders/Watch")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let response = soon(client.send_request(request)).await.unwrap();
    let mut answers = response.into_body();
    for number in 0..3 {
        sender.send(Frame::data(format!("m{number}").into())).await.unwrap();
        let frame = soon(answers.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), format!("m{number}"));
    }
    drop(sender);
    let trailers = soon(answers.frame()).await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers["x-detail"], "kept");
    assert!(!trailers.contains_key("ringfort-caller"));
    assert_eq!(pair.program.last_field("te"), ["trailers"]);
}

#[tokio::test]
async fn grpc_callers_are_refused_in_their_own_terms() {
    let pair = Pair::open(Protocol::Grpc, grpc().await).await;
    // The callee's own proxy refuses: its policies no longer permit the call.
    let mut snapshot = sidecar(&pair.authority, "orders", Protocol::Grpc, pair.program.address);
    add_caller(&mut snapshot, "web", pair.authority.service("web"));
    snapshot.policies.policies.clear();
    let mut orders = pair.orders;
    orders.apply(snapshot, BTreeMap::new()).await;
    let mut client = caller::http2(pair.web.outbound("orders")).await;
    let request = Request::post("http://orders/shop.Orders/Watch")
        .header("content-type", "application/grpc")
        .body(whole(""))
        .unwrap();
    let response = soon(client.send_request(request)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["grpc-status"], "7");
    let id = response.headers()["ringfort-decision"].to_str().unwrap().parse().unwrap();
    let decision = orders.plane.view().decision(id).expect("the callee's own decision");
    assert_eq!(decision.reason, "no_permit");
    assert_eq!(pair.program.requests(), 0);
}

#[tokio::test]
async fn a_program_cannot_speak_of_decisions() {
    let program = program::http(false, |_| async {
        let mut response = http::Response::new(whole(""));
        let id = "00000000000000000000000000000001".parse().unwrap();
        response.headers_mut().insert("ringfort-decision", id);
        response.headers_mut().insert("alt-svc", "h3=\":443\"".parse().unwrap());
        response
    })
    .await;
    let pair = Pair::open(Protocol::Http1, program).await;
    let mut client = caller::http1(pair.web.outbound("orders")).await;
    let response = client.send_request(get("/")).await.unwrap();
    assert!(!response.headers().contains_key("ringfort-decision"));
    assert!(!response.headers().contains_key("alt-svc"));
}

#[tokio::test]
async fn bytes_pass_with_both_half_closes() {
    let pair = Pair::open(Protocol::Tcp, program::bytes().await).await;
    let mut tcp = TcpStream::connect(pair.web.outbound("orders")).await.unwrap();
    tcp.write_all(b"append 1\n").await.unwrap();
    assert_eq!(read_exactly(&mut tcp, 9).await, "append 1\n");
    tcp.shutdown().await.unwrap();
    assert_eq!(read_raw(&mut tcp).await, "bye");
    let permits = r#"ringfort_decisions_total{ring="policy",decision="permit""#;
    assert_eq!(pair.orders.metric(permits), 1.0);
}

#[tokio::test]
async fn bytes_end_when_the_edge_is_taken_away() {
    let mut pair = Pair::open(Protocol::Tcp, program::bytes().await).await;
    let mut tcp = TcpStream::connect(pair.web.outbound("orders")).await.unwrap();
    tcp.write_all(b"x").await.unwrap();
    assert_eq!(read_exactly(&mut tcp, 1).await, "x");
    let mut snapshot = sidecar(&pair.authority, "orders", Protocol::Tcp, pair.program.address);
    // Control: a change that keeps the edge keeps the connection.
    add_caller(&mut snapshot, "web", pair.authority.service("web"));
    pair.orders.apply(snapshot.clone(), BTreeMap::new()).await;
    tcp.write_all(b"y").await.unwrap();
    assert_eq!(read_exactly(&mut tcp, 1).await, "y");
    snapshot.policies.policies.clear();
    pair.orders.apply(snapshot, BTreeMap::new()).await;
    assert_eq!(read_raw(&mut tcp).await, "");
}

#[tokio::test]
async fn a_dead_endpoint_is_stepped_over() {
    let authority = Authority::new("shop.test");
    let program = program::echo(false).await;
    let mut snapshot = sidecar(&authority, "orders", Protocol::Http1, program.address);
    add_caller(&mut snapshot, "web", authority.service("web"));
    let orders = Proxy::start(&authority, snapshot).await;
    let mut web_proxy = Proxy::start(&authority, web(&authority, Protocol::Http1, &[])).await;
    let mut client = caller::http1(web_proxy.outbound("orders")).await;
    let response = client.send_request(get("/")).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    drop(text(response).await);
    let dead = TcpStream::connect(orders.inbound()).await.unwrap().local_addr().unwrap();
    let at = |address| Endpoint { address, labels: BTreeMap::new() };
    let endpoints = BTreeMap::from([(name("orders"), vec![at(dead), at(orders.inbound())])]);
    web_proxy.apply(web(&authority, Protocol::Http1, &[]), endpoints).await;
    for _ in 0..20 {
        let response = client.send_request(get("/")).await.unwrap();
        assert_eq!(response.status(), 200);
        drop(text(response).await);
    }
}
