//! New states under load, and the end: no request fails that the states allow.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Response;
use ringfort_model::{Revision, snapshot::Protocol};
use tokio_util::task::TaskTracker;

use super::{
    caller::{self, get, soon, text},
    program::{self, whole},
    routing::Shop,
    world::*,
};

/// Callers that ask as fast as they can and count what they get.
struct Load {
    tasks: TaskTracker,
    stop: Arc<AtomicBool>,
    fine: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
}

impl Load {
    fn start(address: std::net::SocketAddr, callers: usize) -> Self {
        let load = Self {
            tasks: TaskTracker::new(),
            stop: Arc::default(),
            fine: Arc::default(),
            failed: Arc::default(),
        };
        for _ in 0..callers {
            let (stop, fine, failed) =
                (Arc::clone(&load.stop), Arc::clone(&load.fine), Arc::clone(&load.failed));
            drop(load.tasks.spawn(async move {
                let mut client = caller::http1(address).await;
                while !stop.load(Ordering::SeqCst) {
                    if client.ready().await.is_err() {
                        client = caller::http1(address).await;
                    }
                    match client.send_request(get("/api/x")).await {
                        Ok(response) if response.status() == 200 => {
                            drop(text(response).await);
                            fine.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(_) | Err(_) => drop(failed.fetch_add(1, Ordering::SeqCst)),
                    }
                }
            }));
        }
        load.tasks.close();
        load
    }

    fn fine(&self) -> usize {
        self.fine.load(Ordering::SeqCst)
    }

    async fn stop(self) -> (usize, usize) {
        self.stop.store(true, Ordering::SeqCst);
        soon(self.tasks.wait()).await;
        (self.fine(), self.failed.load(Ordering::SeqCst))
    }
}

fn next(shop: &Shop, revision: u64) -> ringfort_model::Snapshot {
    let mut snapshot = gateway(&shop.authority);
    snapshot.revision = Revision::new(revision);
    let orders = [shop.sidecar.inbound()];
    add_peer(&shop.authority, &mut snapshot, "orders", Protocol::Http1, &orders);
    add_route(&mut snapshot, route("api", "/api/*", "orders"));
    snapshot
}

#[tokio::test]
async fn states_change_under_load_without_a_failed_request() {
    let mut shop = Shop::open(Protocol::Http1, program::echo(false).await).await;
    let load = Load::start(shop.gateway.gateway(), 4);
    for revision in 2..30 {
        let seen = load.fine();
        shop.gateway.apply(next(&shop, revision), Default::default()).await;
        eventually("requests go on", || load.fine() > seen + 4).await;
    }
    assert_eq!(shop.gateway.metric("ringfort_config_revision "), 29.0);
    let (fine, failed) = load.stop().await;
    assert!(fine > 100, "{fine}");
    assert_eq!(failed, 0);
}

#[tokio::test]
async fn a_state_that_cannot_come_into_force_changes_nothing() {
    let mut shop = Shop::open(Protocol::Http1, program::echo(false).await).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut snapshot = next(&shop, 2);
    let mut second = plain_listener();
    second.bind = taken.local_addr().unwrap();
    gateway_role(&mut snapshot).listeners.push(second);
    let refused = shop.gateway.try_apply(snapshot.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("cannot listen on"), "{refused}");
    let mut broken = next(&shop, 2);
    broken.policies.policies[0].text = "permit (nonsense".to_owned();
    assert!(shop.gateway.try_apply(broken).await.is_err());
    let mut foreign = next(&shop, 2);
    foreign.class = shop.authority.gateway("other");
    assert!(shop.gateway.try_apply(foreign).await.is_err());
    assert_eq!(shop.gateway.plane.revision(), Revision::new(1));
    let mut client = caller::http1(shop.gateway.gateway()).await;
    assert_eq!(client.send_request(get("/api/x")).await.unwrap().status(), 200);
    drop(taken);
    shop.gateway.try_apply(snapshot).await.unwrap();
    assert_eq!(shop.gateway.plane.revision(), Revision::new(2));
}

#[tokio::test]
async fn listeners_come_and_go_with_the_state() {
    let mut shop = Shop::open(Protocol::Http1, program::echo(false).await).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut snapshot = next(&shop, 2);
    let mut second = plain_listener();
    second.bind = free;
    gateway_role(&mut snapshot).listeners.push(second);
    shop.gateway.apply(snapshot, Default::default()).await;
    let mut client = caller::http1(free).await;
    assert_eq!(client.send_request(get("/api/x")).await.unwrap().status(), 200);
    shop.gateway.apply(next(&shop, 3), Default::default()).await;
    let refused = || std::net::TcpStream::connect(free).is_err();
    eventually("the socket is closed", refused).await;
}

#[tokio::test]
async fn a_drain_finishes_what_it_took() {
    let (release, gate) = tokio::sync::watch::channel(false);
    let program = program::http(false, move |_| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.unwrap();
            Response::new(whole("done"))
        }
    })
    .await;
    let shop = Shop::open(Protocol::Http1, program).await;
    let gateway_at = shop.gateway.gateway();
    let mut client = caller::http1(gateway_at).await;
    let asked = TaskTracker::new().spawn(async move {
        let response = client.send_request(get("/api/x")).await.unwrap();
        let closes = response.headers().get("connection").cloned();
        (closes, text(response).await)
    });
    eventually("the request is on its way", || shop.program.requests() == 1).await;
    let Shop { gateway, .. } = shop;
    let draining =
        TaskTracker::new().spawn(async move { gateway.plane.drain(Duration::from_secs(10)).await });
    eventually("nothing is accepted", || std::net::TcpStream::connect(gateway_at).is_err()).await;
    release.send(true).unwrap();
    let (closes, body) = soon(asked).await.unwrap();
    assert_eq!(body, "done");
    assert_eq!(closes.unwrap(), "close");
    assert_eq!(soon(draining).await.unwrap(), 0);
}

#[tokio::test]
async fn callers_in_the_middle_of_their_work_are_told_to_go() {
    let shop = Shop::open(Protocol::Http1, program::echo(false).await).await;
    let at = shop.gateway.gateway();
    let asked = Arc::new(AtomicUsize::new(0));
    let (callers, counted) = (TaskTracker::new(), Arc::clone(&asked));
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let asked = Arc::clone(&counted);
        tasks.push(callers.spawn(async move {
            let mut client = caller::http1(at).await;
            loop {
                let response = client.send_request(get("/api/x")).await.expect("an answer");
                assert_eq!(response.status(), 200);
                let last = response.headers().get("connection").is_some_and(|it| it == "close");
                drop(text(response).await);
                asked.fetch_add(1, Ordering::SeqCst);
                if last {
                    return;
                }
                client.ready().await.expect("a connection");
            }
        }));
    }
    eventually("all are at work", || asked.load(Ordering::SeqCst) > 50).await;
    let Shop { gateway, .. } = shop;
    assert_eq!(soon(gateway.plane.drain(Duration::from_secs(10))).await, 0);
    for task in tasks {
        soon(task).await.expect("no caller had a failed request");
    }
}

#[tokio::test]
async fn a_drain_cuts_and_counts_what_does_not_finish() {
    let program = program::http(false, |_| std::future::pending()).await;
    let shop = Shop::open(Protocol::Http1, program).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let asked = TaskTracker::new().spawn(async move { client.send_request(get("/api/x")).await });
    eventually("the request is on its way", || shop.program.requests() == 1).await;
    assert_eq!(soon(shop.gateway.plane.drain(Duration::from_millis(100))).await, 1);
    assert!(soon(asked).await.unwrap().is_err());
}

#[tokio::test]
async fn a_revocation_before_the_response_begins_ends_the_response() {
    let (release, gate) = tokio::sync::watch::channel(false);
    let program = program::http(false, move |_| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.unwrap();
            let (sender, body) = program::frames();
            caller::spawn(async move {
                // Always one more frame: the response never waits for its callee.
                let piece = bytes::Bytes::from(vec![b'x'; 1024]);
                while sender.send(hyper::body::Frame::data(piece.clone())).await.is_ok() {}
            });
            Response::new(body)
        }
    })
    .await;
    let mut shop = Shop::open(Protocol::Http1, program).await;
    let mut client = caller::http1(shop.gateway.gateway()).await;
    let asked = TaskTracker::new().spawn(async move { client.send_request(get("/api/x")).await });
    eventually("the request is on its way", || shop.program.requests() == 1).await;
    let mut without_route = next(&shop, 2);
    gateway_role(&mut without_route).routes.clear();
    without_route.policies.routes.clear();
    without_route.policies.policies.clear();
    shop.gateway.apply(without_route, Default::default()).await;
    release.send(true).unwrap();
    // It breaks off, with or without its head having left.
    if let Ok(response) = soon(asked).await.unwrap() {
        let body = soon(caller::read_all(response.into_body())).await;
        assert!(body.is_err(), "the response went on");
    }
}

#[tokio::test]
async fn a_swap_before_the_wait_is_not_missed() {
    let (swaps, seen) = tokio::sync::watch::channel(4_u64);
    let judged = std::rc::Rc::new(std::cell::Cell::new(4));
    swaps.send_replace(5);
    soon(crate::exchange::swapped_since(seen.clone(), std::rc::Rc::clone(&judged))).await;
    assert_eq!(judged.get(), 5);
    let again = crate::exchange::swapped_since(seen, judged);
    let waited = tokio::time::timeout(Duration::from_millis(50), again).await;
    assert!(waited.is_err(), "a swap counts once");
}
