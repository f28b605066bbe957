//! Minutes of mixed load while everything changes: certificates, policies, the server.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Request;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Bytes, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use tokio_util::task::TaskTracker;

use crate::{
    echo::tcp_round_trip,
    host::{Host, now, signal, wait_for},
    wall::{Shop, server_pid},
};

/// How long the load lasts.
const LOAD: Duration = Duration::from_secs(300);
/// How often every certificate is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(30);
/// How often the policy changes: 10 times.
const EDIT_EVERY: Duration = Duration::from_secs(28);
/// How often the server is killed: 3 times.
const KILL_EVERY: Duration = Duration::from_secs(75);

/// What the load saw.
#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    wrong: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl Tally {
    fn wrong(&self, what: String) {
        self.wrong
            .lock()
            .unwrap()
            .push(format!("{what} (after {} answers)", self.answered.load(Ordering::Relaxed)));
    }
}

/// One client with a kept-alive connection that repeats a request and demands a status.
struct Client {
    port: u16,
    host: &'static str,
    method: &'static str,
    path: &'static str,
    body: usize,
    expected: u16,
    sender: Option<SendRequest<Full<Bytes>>>,
    tracker: TaskTracker,
}

impl Client {
    async fn ask(&mut self) -> Result<u16, String> {
        let mut sender = match self.sender.take() {
            Some(sender) if sender.is_ready() => sender,
            _ => self.connect().await?,
        };
        let body = Full::new(Bytes::from(vec![b'x'; self.body]));
        let request =
            Request::builder().method(self.method).uri(self.path).header("host", self.host);
        let response = sender
            .send_request(request.body(body).unwrap())
            .await
            .map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let closes = response.headers().get("connection").is_some_and(|value| value == "close");
        read(Limited::new(response.into_body(), 1024 * 1024)).await?;
        if !closes && sender.ready().await.is_ok() {
            self.sender = Some(sender);
        }
        Ok(status)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let stream = tokio::net::TcpStream::connect(address)
            .await
            .map_err(|error| format!("connect: {error}"))?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        self.tracker.spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    async fn run(mut self, tally: Arc<Tally>) {
        while !tally.ended.load(Ordering::Relaxed) {
            match self.ask().await {
                Ok(status) if status == self.expected => {
                    tally.answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(status) => {
                    tally.wrong(format!("{} {} answered {status}", self.method, self.path));
                }
                Err(error) => tally.wrong(format!("{} {} failed: {error}", self.method, self.path)),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the body is wrapped in `Limited`")]
async fn read(body: Limited<hyper::body::Incoming>) -> Result<(), String> {
    body.collect().await.map(drop).map_err(|error| error.to_string())
}

fn start_load(shop: &Shop, tally: &Arc<Tally>) -> tokio::runtime::Runtime {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let tracker = TaskTracker::new();
    let plans: [(u16, &str, &str, &str, usize, u16); 6] = [
        (shop.http, "localhost", "GET", "/orders/7", 0, 200),
        (shop.http, "localhost", "POST", "/orders/7", 10_000, 200),
        (shop.http, "localhost", "GET", "/admin", 0, 404),
        (shop.to_payments, "payments", "POST", "/charge", 200, 200),
        (shop.to_payments, "payments", "GET", "/charge", 0, 403),
        (shop.to_payments, "payments", "POST", "/steal", 100, 403),
    ];
    let guard = runtime.enter();
    for (port, host, method, path, body, expected) in plans {
        for _ in 0..2 {
            let tracker_of_client = tracker.clone();
            let client = Client {
                port,
                host,
                method,
                path,
                body,
                expected,
                sender: None,
                tracker: tracker_of_client,
            };
            tracker.spawn(client.run(Arc::clone(tally)));
        }
    }
    let (tally, port) = (Arc::clone(tally), shop.to_ledger);
    tracker.spawn(async move {
        while !tally.ended.load(Ordering::Relaxed) {
            match tcp_round_trip(port, &[7; 20_000]).await {
                Ok(back) if back.len() == 20_000 => {
                    tally.answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(back) => tally.wrong(format!("tcp: {} of 20000 bytes came back", back.len())),
                Err(error) => tally.wrong(format!("tcp: {error}")),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    drop(guard);
    runtime
}

/// Resident memory of each proxy in KiB, by name.
fn memory(host: &Host) -> Vec<(String, u64)> {
    let report = host.ringfort(&["status", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    let rows = report["proxies"].as_array().unwrap();
    rows.iter()
        .map(|row| {
            (row["name"].as_str().unwrap().to_owned(), resident_kib(row["pid"].as_u64().unwrap()))
        })
        .collect()
}

fn resident_kib(pid: u64) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn slow_nothing_allowed_fails_and_nothing_denied_passes_while_everything_changes() {
    let shop = Shop::new();
    let (host, _programs) = shop.start();
    let tally = Arc::new(Tally::default());
    let runtime = start_load(&shop, &tally);
    let start = now();
    let (mut renewals, mut edits, mut kills) = (0_u32, 0_u32, 0_u32);
    let mut at_two_minutes = Vec::new();
    while now() - start < LOAD {
        let passed = now() - start;
        if passed >= RENEW_EVERY * (renewals + 1) && renewals < 9 {
            renewals += 1;
            wait_for("the server to renew", Duration::from_secs(20), || {
                host.ringfort(&["ca", "renew", "--all"]).status.success().then_some(())
            });
        }
        if passed >= EDIT_EVERY * (edits + 1) && edits < 10 {
            edits += 1;
            edit(&host, &shop, edits);
        }
        if passed >= KILL_EVERY * (kills + 1) && kills < 3 {
            kills += 1;
            signal(server_pid(&host), "-KILL");
        }
        if passed >= Duration::from_secs(120) && at_two_minutes.is_empty() {
            at_two_minutes = memory(&host);
        }
        std::thread::park_timeout(Duration::from_millis(200));
    }
    let at_end = memory(&host);
    tally.ended.store(true, Ordering::Relaxed);
    drop(runtime);
    let wrong = tally.wrong.lock().unwrap();
    let answered = tally.answered.load(Ordering::Relaxed);
    println!(
        "{answered} answers, {renewals} renewals, {edits} edits, {kills} kills; memory {at_two_minutes:?} -> {at_end:?}"
    );
    assert!(
        wrong.is_empty(),
        "{} wrong of {answered}, the first: {:#?}",
        wrong.len(),
        wrong.iter().take(10).collect::<Vec<_>>()
    );
    assert!(answered > 10_000, "only {answered} answers in {LOAD:?}: that is no load");
    assert_eq!((renewals, edits, kills), (9, 10, 3));
    for ((name, before), (_, after)) in at_two_minutes.iter().zip(&at_end) {
        let allowed = before + (before / 10).max(4 * 1024);
        assert!(after <= &allowed, "{name} grew from {before} KiB to {after} KiB");
    }
}

/// Lets orders refund, or not, in turns; then what is in force must agree.
fn edit(host: &Host, shop: &Shop, turn: u32) {
    let permits = turn % 2 == 1;
    let only = if permits { "\"POST /charge\", \"POST /refund\"" } else { "\"POST /charge\"" };
    fs::write(host.fleet().join("shop.yaml"), shop.fleet(only)).unwrap();
    let expected = if permits { 200 } else { 403 };
    let url = format!("http://127.0.0.1:{}/refund", shop.to_payments);
    wait_for("the edit to be in force", Duration::from_secs(20), || {
        (crate::host::curl(&["-X", "POST", &url]).0 == expected).then_some(())
    });
}
