//! Ring `protocol`: what is malformed, too large or too slow. Each attack has its control.

use std::time::Duration;

use http::Request;
use ringfort_model::{ByteCount, Limits, Snapshot, snapshot::Protocol};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    caller::{self, get, raw, read_exactly, read_raw, soon, text},
    program::{self, frames, whole},
    routing::Shop,
    world::*,
};

async fn shop() -> Shop {
    Shop::open(Protocol::Http1, program::echo(false).await).await
}

/// A shop whose gateway has these limits.
async fn shop_with(limits: Limits) -> Shop {
    let edit = move |snapshot: &mut Snapshot| {
        let gateway = gateway_role(snapshot);
        gateway.listeners[0].limits = limits;
        for route in &mut gateway.routes {
            std::sync::Arc::make_mut(route).limits = limits;
        }
    };
    Shop::open_with(Protocol::Http1, program::echo(false).await, edit, |_| {}).await
}

/// Sends one raw request and expects this status, a decision, and no request upstream.
async fn check(shop: &Shop, request: &str, status: u16) {
    let before = shop.program.requests();
    let answer = raw(shop.gateway.gateway(), request.as_bytes()).await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?} -> {answer:?}");
    let id =
        answer.lines().find_map(|line| line.strip_prefix("ringfort-decision: ")).expect(&answer);
    let decision = shop.gateway.plane.view();
    eventually("the decision is kept", || decision.decision(id.parse().unwrap()).is_some()).await;
    assert_eq!(decision.decision(id.parse().unwrap()).unwrap().status, status);
    assert_eq!(shop.program.requests(), before, "{request:?}");
}

#[tokio::test]
async fn paths_with_two_readings_reach_nobody() {
    let shop = shop().await;
    for path in [
        "/api/../private",
        "/api/%2e%2e/private",
        "/api/..%2fprivate",
        "/api//x",
        "/api/%2Fx",
        "/api/a\\b",
        "/api/%5Cb",
        "/api/%00",
        "/api/%zz",
        "/api/%252e",
        "/api/;k=v",
        "/api/%c0%ae",
        "api/x",
        "*",
    ] {
        check(&shop, &format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n"), 400).await;
    }
    let fine = "GET /api/x%7e HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";
    assert!(raw(shop.gateway.gateway(), fine.as_bytes()).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn heads_that_are_no_http_get_a_recorded_answer() {
    let shop = shop().await;
    for (request, status) in [
        ("GET /api/x HTTP/1.1\r\n\r\n", 400),
        ("GET /api/x HTTP/1.1\r\nhost: shop.example\r\nhost: shop.example\r\n\r\n", 400),
        ("GET http://shop.example/api/x HTTP/1.1\r\nhost: other.example\r\n\r\n", 400),
        ("GET /api/x HTTP/1.1\r\nhost: a@shop.example\r\n\r\n", 400),
        ("GET /api/x HTTP/1.1\r\nhost : shop.example\r\n\r\n", 400),
        ("GET /api/x HTTP/1.1\r\nhost: shop.example\r\n folded\r\n\r\n", 400),
        ("GET /api/x HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 5, 5\r\n\r\n", 400),
        ("GET /api/x HTTP/1.1\r\nhost: shop.example\r\ncontent-length: +5\r\n\r\n", 400),
        ("GET /api/x HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: xchunked\r\n\r\n", 400),
        ("GET /api/x HTTP/1.1\r\nhost: shop.example\r\nconnection: x-real-ip\r\n\r\n", 400),
        (
            "GET /api/x HTTP/1.1\r\nhost: shop.example\r\nauthorization: a\r\nauthorization: b\r\n\r\n",
            400,
        ),
        ("CONNECT shop.example:443 HTTP/1.1\r\nhost: shop.example:443\r\n\r\n", 405),
        ("GET / HTTP/9.9\r\nhost: shop.example\r\n\r\n", 400),
    ] {
        check(&shop, request, status).await;
    }
}

#[tokio::test]
async fn early_data_may_not_write() {
    let shop = shop().await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    for (method, status) in [("POST", 425), ("GET", 200)] {
        let request = Request::builder().method(method).uri("/api/x");
        let request = request.header("host", "shop.example").header("early-data", "1");
        let response = client.send_request(request.body(whole("")).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{method}");
        drop(text(response).await);
    }
}

#[tokio::test]
async fn heads_are_bounded() {
    let shop = shop().await;
    let url = "a".repeat(9000);
    check(&shop, &format!("GET /{url} HTTP/1.1\r\nhost: shop.example\r\n\r\n"), 414).await;
    let field = "x".repeat(20_000);
    check(&shop, &format!("GET /api HTTP/1.1\r\nhost: shop.example\r\nx-a: {field}\r\n\r\n"), 431)
        .await;
    let fields: String = (0..120).map(|number| format!("x-{number}: 1\r\n")).collect();
    check(&shop, &format!("GET /api HTTP/1.1\r\nhost: shop.example\r\n{fields}\r\n"), 431).await;
    let huge = "y".repeat(600_000);
    check(&shop, &format!("GET /api HTTP/1.1\r\nhost: shop.example\r\nx-a: {huge}\r\n\r\n"), 431)
        .await;
}

#[tokio::test]
async fn bodies_are_bounded_announced_or_not() {
    let shop = shop_with(Limits { body: ByteCount::bytes(1000), ..Limits::STANDARD }).await;
    let announced = "POST /api/x HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 1001\r\n\r\n";
    check(&shop, announced, 413).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let (sender, body) = frames();
    let request = Request::post("/api/x").header("host", "shop.example").body(body).unwrap();
    caller::spawn(async move {
        while sender.send(http_body::Frame::data(vec![7; 300].into())).await.is_ok() {}
    });
    assert_eq!(soon(client.send_request(request)).await.unwrap().status(), 413);
    let refused = r#"ringfort_decisions_total{ring="protocol",decision="deny",reason="body_size""#;
    eventually("both are refused", || shop.gateway.metric(refused) == 2.0).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let request = Request::post("/api/x").header("host", "shop.example");
    let response =
        client.send_request(request.body(whole(&"b".repeat(1000))).unwrap()).await.unwrap();
    assert_eq!(text(response).await, "/api/x 1000");
}

#[tokio::test]
async fn a_refusal_is_not_overtaken_by_a_reset() {
    let shop = shop().await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    for _ in 0..20 {
        // Refused by its path alone, while half a mebibyte is on its way.
        let body = whole(&"x".repeat(512 * 1024));
        let request = Request::post("/nowhere").header("host", "shop.example").body(body);
        let response = soon(client.send_request(request.unwrap())).await.unwrap();
        assert_eq!(response.status(), 404);
        drop(text(response).await);
        soon(client.ready()).await.unwrap();
    }
}

#[tokio::test]
async fn a_slow_head_is_answered_and_left() {
    let limits = Limits { header_timeout: Duration::from_millis(300), ..Limits::STANDARD };
    let shop = shop_with(limits).await;
    check(&shop, "GET /api/x HTTP/1.1\r\nhost: shop", 408).await;
    // On a kept connection the time of a head begins with its first byte.
    let mut tcp = TcpStream::connect(shop.gateway.gateway()).await.unwrap();
    tcp.write_all(b"GET /api/x HTTP/1.1\r\nhost: shop.example\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("/api/x 0\r\n0\r\n\r\n") {
        answer.push_str(&read_exactly(&mut tcp, 1).await);
    }
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    tcp.write_all(b"GET /api").await.unwrap();
    let answer = read_raw(&mut tcp).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let limits = Limits { idle: Duration::from_millis(200), ..Limits::STANDARD };
    let shop = shop_with(limits).await;
    let mut tcp = TcpStream::connect(shop.gateway.gateway()).await.unwrap();
    tcp.write_all(b"GET /api/x HTTP/1.1\r\nhost: shop.example\r\n\r\n").await.unwrap();
    let answer = read_raw(&mut tcp).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_slow_body_is_answered_and_left() {
    let limits = Limits { body_idle: Duration::from_millis(200), ..Limits::STANDARD };
    let shop = shop_with(limits).await;
    let request = "POST /api/x HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 10\r\n\r\nhalf";
    let answer = raw(shop.gateway.gateway(), request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn an_expected_continue_comes_only_for_what_will_pass() {
    let shop = shop_with(Limits { body: ByteCount::bytes(10), ..Limits::STANDARD }).await;
    let head = |length: u32| {
        format!(
            "POST /api/x HTTP/1.1\r\nhost: shop.example\r\nexpect: 100-continue\r\n\
             connection: close\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let answer = raw(shop.gateway.gateway(), head(11).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let mut tcp = TcpStream::connect(shop.gateway.gateway()).await.unwrap();
    tcp.write_all(head(5).as_bytes()).await.unwrap();
    let mut first = [0; 25];
    soon(tcp.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    tcp.write_all(b"12345").await.unwrap();
    let answer = read_raw(&mut tcp).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("/api/x 5"), "{answer}");
}

#[tokio::test]
async fn smuggled_lengths_do_not_hide_a_second_request() {
    let shop = shop().await;
    let request = "POST /api/x HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 4\r\n\
                   transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /api/canary HTTP/1.1\r\nhost: shop.example\r\n\r\n";
    drop(raw(shop.gateway.gateway(), request.as_bytes()).await);
    let seen = shop.program.seen.lock().unwrap();
    assert!(seen.iter().all(|head| !head.uri.path().contains("canary")));
    assert!(seen.iter().all(|head| !head.headers.contains_key("content-length")));
}

#[tokio::test]
async fn a_malformed_response_is_a_bad_gateway() {
    let program = program::raw(|mut tcp, _| async move {
        let mut buffer = [0; 1024];
        drop(tcp.read(&mut buffer).await);
        drop(tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\nx").await);
    })
    .await;
    let shop = Shop::open(Protocol::Http1, program).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let response = client.send_request(get("/api/x")).await.unwrap();
    assert_eq!(response.status(), 502);
}

#[tokio::test]
async fn a_late_response_is_a_gateway_timeout() {
    let program = program::http(false, |_| std::future::pending()).await;
    let edit = |snapshot: &mut Snapshot| {
        let route = &mut gateway_role(snapshot).routes[0];
        std::sync::Arc::make_mut(route).timeout = Some(Duration::from_millis(200));
    };
    let shop = Shop::open_with(Protocol::Http1, program, edit, |_| {}).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let response = soon(client.send_request(get("/api/x"))).await.unwrap();
    assert_eq!(response.status(), 504);
}

#[tokio::test]
async fn a_full_service_says_when_to_come_back() {
    let program = program::http(false, |_| std::future::pending()).await;
    let edit = |snapshot: &mut Snapshot| {
        edit_peer(snapshot, "orders", |peer| peer.resilience.concurrency = 2);
    };
    let shop = Shop::open_with(Protocol::Http1, program, edit, |_| {}).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut client = caller::http1(shop.gateway.gateway()).await;
        waiting.push(tokio_util::task::TaskTracker::new().spawn(async move {
            drop(client.send_request(get("/api/x")).await);
        }));
    }
    eventually("two requests are in flight", || shop.program.requests() == 2).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let response = client.send_request(get("/api/x")).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    // Callers that go away give their room back.
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    eventually("the room is free", || shop.gateway.metric("http_server_active_requests ") == 0.0)
        .await;
}

#[tokio::test]
async fn a_listener_has_room_for_so_many_connections() {
    let limits = Limits { connections: 1, ..Limits::STANDARD };
    let edit = move |snapshot: &mut Snapshot| {
        gateway_role(snapshot).listeners[0].limits = limits;
        for route in &mut gateway_role(snapshot).routes {
            std::sync::Arc::make_mut(route).limits = limits;
        }
    };
    let shop = Shop::open_with(Protocol::Http1, program::echo(false).await, edit, |_| {}).await;
    let mut tcp = Vec::new();
    for _ in 0..8 {
        tcp.push(TcpStream::connect(shop.gateway.gateway()).await.unwrap());
    }
    let refused = r#"ringfort_decisions_total{ring="load",decision="deny",reason="connections""#;
    // One per data thread stays.
    eventually("the others are refused", || shop.gateway.metric(refused) >= 6.0).await;
}
