//! The shop without walls: real programs on loopback that call each other directly.

use std::{collections::BTreeMap, net::SocketAddr};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Program, ServeOptions, serve, serve_on};
use crate::call::{Answer, Ask, Upstreams};

/// A running shop; its programs find each other by ports of their own.
struct Shop {
    addresses: BTreeMap<&'static str, SocketAddr>,
    client: Upstreams,
    programs: TaskTracker,
    shutdown: CancellationToken,
}

fn upstreams(addresses: &BTreeMap<&'static str, SocketAddr>) -> Upstreams {
    Upstreams::read(|variable| {
        addresses.get(variable.to_ascii_lowercase().as_str()).map(ToString::to_string)
    })
    .unwrap()
}

impl Shop {
    async fn open() -> Self {
        let mut addresses = BTreeMap::new();
        let mut listeners = Vec::new();
        for program in Program::ALL {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.insert(program.as_str(), listener.local_addr().unwrap());
            listeners.push((program, listener));
        }
        let client = upstreams(&addresses);
        let (programs, shutdown) = (TaskTracker::new(), CancellationToken::new());
        for (program, listener) in listeners {
            let options = ServeOptions {
                upstreams: client.clone(),
                public_url: "https://localhost:8443".to_owned(),
            };
            programs.spawn(serve_on(program, listener, options, shutdown.clone()));
        }
        programs.close();
        Self { addresses, client, programs, shutdown }
    }

    async fn close(self) {
        self.shutdown.cancel();
        self.programs.wait().await;
    }

    async fn ask(&self, callee: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.client.call(Ask { method, callee, path, body, trace: None }).await.unwrap()
    }

    /// The body of a page, for programs that are no callee of anyone.
    async fn page(&self, program: &str, path: &str) -> (u16, String) {
        let request = Request::get(path).header("host", program);
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let (head, body) = crate::call::send(self.addresses[program], request).await.unwrap();
        (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn an_order_reserves_charges_and_is_written_down() {
    let shop = Shop::open().await;
    let order = json!({ "sku": "tea/green", "quantity": 2 });
    let taken = shop.ask("orders", Method::POST, "/api/orders", Some(order)).await;
    let expected = json!({
        "id": 1, "sku": "tea/green", "quantity": 2, "cents": 1580, "charge": 1, "ledger_line": "1",
    });
    assert_eq!((taken.status, &taken.body), (201, &expected));

    let stock = shop.ask("inventory", Method::GET, "/api/stock/tea%2Fgreen", None).await;
    assert_eq!(stock.body["left"], 498);
    let line = shop.client.ledger("READ 1").await.unwrap();
    assert_eq!(line, "charge 1: 2 x tea/green, 1580 cents");
    let listed = shop.ask("orders", Method::GET, "/api/orders/", None).await;
    assert_eq!((&listed.body["count"], &listed.body["orders"][0]), (&json!(1), &expected));
    let found = shop.ask("orders", Method::GET, "/api/orders/1", None).await;
    assert_eq!(found.body, expected);
    let refunded = shop.ask("orders", Method::POST, "/api/orders/1/refund", None).await;
    assert_eq!(refunded.status, 201, "without walls payments refunds");
    shop.close().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let shop = Shop::open().await;
    for (callee, method, path, body, status) in [
        ("orders", Method::POST, "/api/orders", Some(json!({ "sku": "no/such" })), 404),
        ("orders", Method::POST, "/api/orders", Some(json!({ "quantity": 501 })), 409),
        ("orders", Method::GET, "/api/orders/7", None, 404),
        ("orders", Method::GET, "/api/orders/0", None, 404),
        ("orders", Method::POST, "/api/orders/7/refund", None, 404),
        ("orders", Method::DELETE, "/api/orders", None, 404),
        ("payments", Method::POST, "/charge", Some(json!({ "cents": -1 })), 400),
        ("payments", Method::POST, "/charge", Some(json!({ "cents": 1_000_001 })), 400),
        ("inventory", Method::GET, "/api/stock/tea/green", None, 404),
        ("inventory", Method::POST, "/reservations", Some(json!({ "sku": "tea/green" })), 400),
        ("inventory", Method::POST, "/reservations", Some(json!({ "x": "y".repeat(70_000) })), 413),
    ] {
        let answer = shop.ask(callee, method.clone(), path, body).await;
        assert_eq!(answer.status, status, "{method} {callee}{path}");
    }
    shop.close().await;
}

#[tokio::test]
async fn the_front_page_counts_orders_through_its_neighbour() {
    let shop = Shop::open().await;
    shop.ask("orders", Method::POST, "/api/orders", Some(json!({}))).await;
    let (status, page) = shop.page("web", "/").await;
    assert_eq!(status, 200);
    assert!(
        page.contains("Orders so far: <b>1</b>")
            && page.contains("curl -k https://localhost:8443/")
    );
    assert!(!page.contains("{{"));
    shop.close().await;
}

#[tokio::test]
async fn without_walls_the_intruder_gets_through() {
    let shop = Shop::open().await;
    for (attempt, status) in
        [("read-orders", 200), ("forge-order", 201), ("charge", 201), ("stock", 200)]
    {
        let (_, report) = shop.page("web", &format!("/intruder/{attempt}")).await;
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["seen"]["status"], status, "{attempt}");
    }
    assert_eq!(shop.page("web", "/intruder/unknown").await.0, 404);
    shop.close().await;
}

#[tokio::test]
async fn a_stopped_program_answers_nobody() {
    let shop = Shop::open().await;
    let (client, programs) = (shop.client.clone(), shop.programs.clone());
    shop.close().await;
    assert!(programs.is_empty());
    let ask = Ask { method: Method::GET, callee: "orders", path: "/", body: None, trace: None };
    assert!(client.call(ask).await.is_err());
    assert!(client.ledger("COUNT").await.is_err());
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let options = ServeOptions::read(|_| None).unwrap();
    let error = serve(Program::Web, port, options, CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.1:{port}"));
}

#[test]
fn a_program_has_its_name() {
    for program in Program::ALL {
        assert_eq!(program.to_string().parse(), Ok(program));
    }
    let unknown = "shop".parse::<Program>().unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "the shop has no program `shop`: web, orders, payments, inventory, ledger"
    );
}
