//! What flows: event streams, upgrades, reuse of connections, early answers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use ringfort_model::{Snapshot, snapshot::Protocol};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    caller::{self, get, read_exactly, read_raw, soon, text},
    program::{self, Program, frames, whole},
    routing::Shop,
    world::*,
};

#[tokio::test]
async fn events_come_one_by_one() {
    let (sender, body) = frames();
    let body = Arc::new(std::sync::Mutex::new(Some(body)));
    let program = program::http(false, move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Response::new(body) }
    })
    .await;
    let shop = Shop::open(Protocol::Http1, program).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let response = soon(client.send_request(get("/api/events"))).await.unwrap();
    let mut events = response.into_body();
    for number in 0..3 {
        // The next event is sent only after the last one has arrived: nothing may be held back.
        sender.send(Frame::data(format!("data: {number}\n\n").into())).await.unwrap();
        let frame = soon(events.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), format!("data: {number}\n\n"));
    }
}

/// A program that changes the protocol when asked, and then echoes.
async fn websocket() -> Program {
    program::http(false, |mut request| async move {
        let mut response = Response::new(whole(""));
        if request.headers().contains_key("upgrade") {
            caller::spawn(async move {
                let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
                let mut io = TokioIo::new(upgraded);
                let mut buffer = [0; 256];
                while let Ok(count @ 1..) = io.read(&mut buffer).await {
                    io.write_all(&buffer[..count]).await.unwrap();
                }
            });
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert("connection", "upgrade".parse().unwrap());
            response.headers_mut().insert("upgrade", "websocket".parse().unwrap());
        }
        response
    })
    .await
}

async fn websocket_shop() -> Shop {
    let edit = |snapshot: &mut Snapshot| {
        let mut live = route("live", "/live", "orders");
        live.upgrade = true;
        add_route(snapshot, live);
    };
    Shop::open_with(Protocol::Http1, websocket().await, edit, |_| {}).await
}

const UPGRADE: &str = "host: shop.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-key: x\r\n\r\n";

/// Reads a response head.
async fn read_head(tcp: &mut TcpStream) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push_str(&read_exactly(tcp, 1).await);
    }
    head
}

#[tokio::test]
async fn websockets_pass_both_proxies() {
    let shop = websocket_shop().await;
    let mut tcp = TcpStream::connect(shop.gateway.gateway()).await.unwrap();
    tcp.write_all(format!("GET /live HTTP/1.1\r\n{UPGRADE}").as_bytes()).await.unwrap();
    let head = read_head(&mut tcp).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains("upgrade: websocket"), "{head}");
    for word in ["one", "two"] {
        tcp.write_all(word.as_bytes()).await.unwrap();
        assert_eq!(read_exactly(&mut tcp, 3).await, word);
    }
    assert_eq!(shop.gateway.metric("ringfort_tunnels "), 1.0);
    tcp.shutdown().await.unwrap();
    assert_eq!(read_raw(&mut tcp).await, "");
    eventually("the tunnel is counted out", || shop.gateway.metric("ringfort_tunnels ") == 0.0)
        .await;
}

#[tokio::test]
async fn a_websocket_ends_when_its_route_is_taken_away() {
    let mut shop = websocket_shop().await;
    let mut tcp = TcpStream::connect(shop.gateway.gateway()).await.unwrap();
    tcp.write_all(format!("GET /live HTTP/1.1\r\n{UPGRADE}").as_bytes()).await.unwrap();
    read_head(&mut tcp).await;
    let mut snapshot = gateway(&shop.authority);
    let orders = [shop.sidecar.inbound()];
    add_peer(&shop.authority, &mut snapshot, "orders", Protocol::Http1, &orders);
    shop.gateway.apply(snapshot, Default::default()).await;
    assert_eq!(read_raw(&mut tcp).await, "");
}

#[tokio::test]
async fn an_upgrade_passes_only_where_the_route_says_so() {
    let shop = websocket_shop().await;
    for (path, upgrade) in [("/api/live", "websocket"), ("/live", "h2c"), ("/live", "foo")] {
        let request = format!("GET {path} HTTP/1.1\r\n{UPGRADE}")
            .replace("websocket\r", &format!("{upgrade}\r"));
        let mut tcp = TcpStream::connect(shop.gateway.gateway()).await.unwrap();
        tcp.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut tcp).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{path} {upgrade}: {head}");
        assert!(shop.program.last_field("upgrade").is_empty());
    }
}

#[tokio::test]
async fn connections_are_reused_on_every_hop() {
    let shop = {
        let authority = Authority::new("shop.test");
        let program = program::echo(false).await;
        let mut snapshot = sidecar(&authority, "orders", Protocol::Http1, program.address);
        add_caller(&mut snapshot, "public", authority.gateway("public"));
        let sidecar = Proxy::start_with(&authority, snapshot, 1).await;
        let mut snapshot = gateway(&authority);
        add_peer(&authority, &mut snapshot, "orders", Protocol::Http1, &[sidecar.inbound()]);
        add_route(&mut snapshot, route("api", "/api/*", "orders"));
        let gateway = Proxy::start_with(&authority, snapshot, 1).await;
        Shop { authority, program, sidecar, gateway }
    };
    let mut client = caller::http1(shop.gateway.gateway()).await;
    for number in 0..50_u32 {
        let request = match number % 3 {
            0 => get("/api/x"),
            1 => {
                Request::post("/api/x").header("host", "shop.example").body(whole("body")).unwrap()
            }
            _ => Request::head("/api/x").header("host", "shop.example").body(whole("")).unwrap(),
        };
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        drop(text(response).await);
    }
    assert_eq!(shop.program.requests(), 50);
    assert_eq!(shop.program.connections(), 1);
    assert_eq!(shop.sidecar.metric("ringfort_handshakes_total "), 1.0);
}

#[tokio::test]
async fn responses_without_a_body_are_complete() {
    let program = program::http(false, |request| async move {
        let status = if request.uri().path().ends_with("none") { 204 } else { 304 };
        let mut response = Response::new(whole(""));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    })
    .await;
    let shop = Shop::open(Protocol::Http1, program).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    for (path, status) in [("/api/none", 204), ("/api/same", 304), ("/api/none", 204)] {
        let response = soon(client.send_request(get(path))).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(text(response).await, "");
    }
    let odd = "http_server_request_duration_seconds_count";
    let view = shop.gateway.plane.view().metrics_text().unwrap();
    assert!(
        view.lines()
            .filter(|line| line.starts_with(odd))
            .all(|line| line.contains(r#"error_type="""#)),
        "{view}"
    );
}

#[tokio::test]
async fn a_request_on_a_connection_that_just_died_is_sent_once_more() {
    // Answers one request per connection, keeps the connection open in words, and then closes it at the next request.
    let served = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&served);
    let program = program::raw(move |mut tcp, _| {
        let served = Arc::clone(&counted);
        async move {
            let mut buffer = [0; 2048];
            let Ok(1..) = tcp.read(&mut buffer).await else { return };
            served.fetch_add(1, Ordering::SeqCst);
            tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            drop(tcp.read(&mut buffer).await);
        }
    })
    .await;
    let authority = Authority::new("shop.test");
    let mut snapshot = sidecar(&authority, "orders", Protocol::Http1, program.address);
    add_caller(&mut snapshot, "web", authority.service("web"));
    let orders = Proxy::start_with(&authority, snapshot, 1).await;
    let web = authority.credentials(&authority.service("web"));
    let tls = caller::call(orders.inbound(), &web, &authority.service("orders"), "http/1.1").await;
    let mut client = caller::http1_over(tls.unwrap()).await;
    for _ in 0..5 {
        let response = soon(client.send_request(get("/"))).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(text(response).await, "ok");
    }
    assert_eq!(served.load(Ordering::SeqCst), 5);
    // What may have been done already is not done twice.
    let request = Request::post("/").header("host", "orders").body(whole("pay")).unwrap();
    let response = soon(client.send_request(request)).await.unwrap();
    assert_eq!(response.status(), 502);
}

#[tokio::test]
async fn an_answer_before_the_body_is_complete_passes() {
    let program = program::http(false, |_unread| async move {
        let mut response = Response::new(whole("enough"));
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response
    })
    .await;
    let shop = Shop::open(Protocol::Http1, program).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let (sender, body) = frames();
    sender.send(Frame::data("first".into())).await.unwrap();
    let request = Request::post("/api/x").header("host", "shop.example").body(body).unwrap();
    let response = soon(client.send_request(request)).await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(soon(text(response)).await, "enough");
    drop(sender);
}

#[tokio::test]
async fn a_caller_that_leaves_ends_the_call_behind_it() {
    let program = program::http(false, |_| std::future::pending()).await;
    let shop = Shop::open(Protocol::Http1, program).await;
    let mut tcp = TcpStream::connect(shop.gateway.gateway()).await.unwrap();
    tcp.write_all(b"GET /api/x HTTP/1.1\r\nhost: shop.example\r\n\r\n").await.unwrap();
    eventually("the program has the request", || shop.program.requests() == 1).await;
    drop(tcp);
    let idle = || {
        shop.gateway.metric("http_server_active_requests ") == 0.0
            && shop.sidecar.metric("http_server_active_requests ") == 0.0
    };
    eventually("both proxies are idle", idle).await;
    let cancelled = r#"http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="_OTHER""#;
    assert_eq!(shop.gateway.metric(cancelled), 1.0);
}
