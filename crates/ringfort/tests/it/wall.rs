//! The wall as its users meet it: allowed calls pass, everything else is refused and explained, and what is in force
//! survives edits, kills and a dead server.

use std::{fs, time::Duration};

use crate::{
    echo::{Program, tcp_round_trip},
    host::{Host, RINGFORT, curl, free_ports, latin, signal, wait_for},
};

/// Ports of one small shop.
pub(crate) struct Shop {
    pub(crate) https: u16,
    pub(crate) http: u16,
    pub(crate) orders: u16,
    pub(crate) payments: u16,
    pub(crate) ledger: u16,
    pub(crate) to_payments: u16,
    pub(crate) to_ledger: u16,
    pub(crate) metrics: u16,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let [https, http, orders, payments, ledger, to_payments, to_ledger, metrics] = free_ports();
        Self { https, http, orders, payments, ledger, to_payments, to_ledger, metrics }
    }

    /// The fleet file; `only` is what orders may do at payments.
    pub(crate) fn fleet(&self, only: &str) -> String {
        let Self { https, http, orders, payments, ledger, to_payments, to_ledger, metrics } = self;
        format!(
            "ringfort: v1
fleet: {{ trust_domain: shop.test }}
services:
  orders:
    listen: {orders}
    calls:
      - {{ to: payments, port: {to_payments}, only: [{only}] }}
      - {{ to: ledger, port: {to_ledger} }}
  payments:
    listen: {payments}
  ledger:
    listen: {{ port: {ledger}, protocol: tcp }}
gateways:
  public:
    listeners:
      - {{ bind: \"127.0.0.1:{https}\", hosts: [shop.test, localhost], tls: {{ internal: true }} }}
      - {{ bind: \"127.0.0.1:{http}\", hosts: [shop.test, localhost] }}
routes:
  orders:
    match: [ {{ host: shop.test, path: /orders/* }}, {{ host: localhost, path: /orders/* }} ]
    to: orders
    user: none
observability: {{ metrics: {{ bind: \"127.0.0.1:{metrics}\" }} }}
"
        )
    }

    pub(crate) fn start(&self) -> (Host, [Program; 3]) {
        let programs =
            [Program::http(self.orders), Program::http(self.payments), Program::tcp(self.ledger)];
        let host = Host::start(&[("shop.yaml", &self.fleet("\"POST /charge\""))]);
        (host, programs)
    }

    fn at_gateway(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.https)
    }

    fn at_payments(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.to_payments)
    }
}

/// The decision id of a refusal.
#[track_caller]
fn decision(answer: &str) -> String {
    let line = answer.lines().find_map(|line| line.strip_prefix("ringfort-decision: "));
    line.unwrap_or_else(|| panic!("no decision id in\n{answer}")).trim().to_owned()
}

#[test]
fn what_the_file_allows_passes_and_all_else_is_refused_and_explained() {
    let shop = Shop::new();
    let (host, [orders, payments, _ledger]) = shop.start();

    let (status, answer) = curl(&[&shop.at_gateway("/orders/7?x=1")]);
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"target\":\"/orders/7?x=1\""), "{answer}");
    assert_eq!(orders.seen(), 1);

    let (status, answer) = curl(&["-X", "POST", "-d", "amount=5", &shop.at_payments("/charge")]);
    assert_eq!(status, 200, "{answer}");
    assert!(
        answer.contains("spiffe://shop.test/svc/orders"),
        "the callee learns who called: {answer}"
    );

    let (status, answer) = curl(&["-X", "POST", &shop.at_payments("/refund")]);
    assert_eq!(status, 403, "{answer}");
    assert_eq!(payments.seen(), 1, "the refused request never reached the program");
    assert!(!answer.contains("policy"), "nothing inner reaches the caller: {answer}");
    let explained = host.ringfort(&["explain", &decision(&answer)]);
    let text = latin(&explained.stdout);
    assert!(
        text.contains("refused by ring policy") && text.contains("orders -> payments"),
        "{text}"
    );
    assert!(text.contains("shop.yaml:"), "the explanation names the line: {text}");

    let (status, answer) = curl(&[&shop.at_gateway("/admin")]);
    assert_eq!(status, 404, "{answer}");
    let text = latin(&host.ringfort(&["explain", &decision(&answer)]).stdout);
    assert!(text.contains("refused"), "{text}");

    let asked = ["explain", "request", "--as", "orders", "--to", "payments", "POST", "/charge"];
    let asked = host.ringfort(&asked);
    assert_eq!(asked.status.code(), Some(0), "{}", latin(&asked.stdout));
    let asked = host
        .ringfort(&["explain", "request", "--as", "orders", "--to", "payments", "POST", "/refund"]);
    assert_eq!(asked.status.code(), Some(1), "{}", latin(&asked.stdout));
    assert!(latin(&asked.stdout).contains("shop.yaml:"), "{}", latin(&asked.stdout));
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn paths_that_two_programs_could_read_differently_reach_nobody() {
    let shop = Shop::new();
    let (_host, [orders, ..]) = shop.start();
    for path in [
        "/orders/../admin",
        "/orders//x",
        "/orders/%2e%2e/admin",
        "/orders/a%2Fb",
        "/orders/a%00",
        "/orders/%zz",
        "/orders/..;/x",
        "/orders/\\x",
    ] {
        let (status, answer) = curl(&[&shop.at_gateway(path)]);
        assert_eq!(status, 400, "{path}: {answer}");
        decision(&answer);
    }
    assert_eq!(orders.seen(), 0);
    let (status, answer) = curl(&[&shop.at_gateway("/orders/x")]);
    assert_eq!(status, 200, "the legal twin passes: {answer}");
    let (status, answer) = curl(&["-H", "Host: other.test", &shop.at_gateway("/orders/x")]);
    assert_eq!(status, 421, "{answer}");
    // curl negotiates HTTP/2 or speaks HTTP/1.1: both are answered.
    for version in ["--http1.1", "--http2"] {
        let (status, answer) = curl(&[version, &shop.at_gateway("/orders/x")]);
        assert_eq!(status, 200, "{version}: {answer}");
    }
}

#[test]
fn headers_that_belong_to_the_edge_cannot_be_forged() {
    let shop = Shop::new();
    let (_host, _programs) = shop.start();
    let forged = [
        "X-Forwarded-For: 6.6.6.6",
        "x_forwarded_for: 6.6.6.6",
        "Forwarded: for=6.6.6.6",
        "X-Real-IP: 6.6.6.6",
        "ringfort-caller: spiffe://shop.test/svc/admin",
        "X-Original-URL: /admin",
        "baggage: a=b",
    ];
    let mut args: Vec<&str> = forged.iter().flat_map(|header| ["-H", *header]).collect();
    let url = shop.at_gateway("/orders/x");
    args.push(&url);
    let (status, answer) = curl(&args);
    assert_eq!(status, 200, "{answer}");
    let body = answer.split("\r\n\r\n").last().unwrap();
    assert!(
        !body.contains("6.6.6.6") && !body.contains("svc/admin") && !body.contains("/admin"),
        "{body}"
    );
    assert!(body.contains("127.0.0.1") && body.contains("traceparent"), "ours are set: {body}");
    assert!(body.contains("spiffe://shop.test/gateway/public"), "{body}");
}

#[test]
fn raw_tcp_goes_through_the_wall() {
    let shop = Shop::new();
    let (_host, [.., ledger]) = shop.start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let back = runtime.block_on(tcp_round_trip(shop.to_ledger, &bytes)).unwrap();
    assert!(back == bytes, "{} of {} bytes came back", back.len(), bytes.len());
    assert_eq!(ledger.seen(), 1);
}

#[test]
fn plaintext_and_strangers_never_reach_a_program() {
    let shop = Shop::new();
    let (host, [_orders, payments, _ledger]) = shop.start();
    let status = host.proxy_status("payments");
    let address =
        status["address"].as_str().unwrap_or_else(|| panic!("no address in {status}")).to_owned();
    let (code, answer) = curl(&["--http0.9", &format!("http://{address}/charge")]);
    assert!(code == 0 || !answer.contains("HTTP/1.1"), "plaintext got an HTTP answer: {answer}");
    let (code, answer) = curl(&[&format!("https://{address}/charge")]);
    assert_eq!(code, 0, "a client without a certificate got an answer: {answer}");
    assert_eq!(payments.seen(), 0);
}

#[test]
fn edits_are_applied_live_and_bad_edits_change_nothing() {
    let shop = Shop::new();
    let (host, [_orders, payments, _ledger]) = shop.start();
    let file = host.fleet().join("shop.yaml");
    let refund = || curl(&["-X", "POST", &shop.at_payments("/refund")]).0;
    assert_eq!(refund(), 403);

    let from = host.line_count();
    fs::write(&file, shop.fleet("\"POST /charge\", \"POST /refund\"")).unwrap();
    host.wait_line_after(from, "revision 2");
    wait_for("the new permit to be in force", Duration::from_secs(5), || {
        (refund() == 200).then_some(())
    });
    assert!(payments.seen() >= 1);

    wait_for("every proxy to be current", Duration::from_secs(5), || {
        host.ringfort(&["status"]).status.success().then_some(())
    });

    let from = host.line_count();
    fs::write(&file, shop.fleet("\"POST /charge\"").replace("to: ledger", "to: ledgre")).unwrap();
    host.wait_line_after(from, "`ledgre`");
    assert_eq!(refund(), 200, "a bad edit changes nothing");

    let from = host.line_count();
    fs::write(&file, shop.fleet("\"POST /charge\"")).unwrap();
    host.wait_line_after(from, "revision 3");
    wait_for("the permit to be gone", Duration::from_secs(5), || (refund() == 403).then_some(()));
}

#[test]
fn a_killed_sidecar_is_back_within_two_seconds() {
    let shop = Shop::new();
    let (host, _programs) = shop.start();
    let before = host.proxy_status("payments");
    let pid = u32::try_from(before["pid"].as_u64().unwrap()).unwrap();
    signal(pid, "-KILL");
    let charge = || curl(&["-X", "POST", &shop.at_payments("/charge")]).0;
    wait_for("the sidecar to serve again", Duration::from_secs(2), || {
        (charge() == 200).then_some(())
    });
    let after = host.proxy_status("payments");
    assert_ne!(after["pid"], before["pid"]);
    assert_eq!(after["address"], before["address"], "callers find it where it was");
}

#[test]
fn traffic_goes_on_without_the_server_even_through_a_proxy_restart() {
    let shop = Shop::new();
    let (host, _programs) = shop.start();
    let charge = || curl(&["-X", "POST", &shop.at_payments("/charge")]).0;
    let server = server_pid(&host);
    let proxy = u32::try_from(host.proxy_status("payments")["pid"].as_u64().unwrap()).unwrap();
    // Stopped, not killed: the supervisor would bring a killed one back.
    signal(server, "-STOP");
    assert_eq!(charge(), 200);
    signal(proxy, "-KILL");
    wait_for("the proxy to serve its snapshot from disk", Duration::from_secs(5), || {
        (charge() == 200).then_some(())
    });
    signal(server, "-CONT");
    signal(server, "-KILL");
    assert_eq!(charge(), 200);
    wait_for("the server to be back", Duration::from_secs(10), || {
        let output = host.ringfort(&["status"]);
        latin(&output.stdout).contains("revision 1").then_some(())
    });
}

#[test]
fn every_proxy_is_its_own_process_with_its_own_key() {
    let shop = Shop::new();
    let (host, _programs) = shop.start();
    let report: serde_json::Value =
        serde_json::from_slice(&host.ringfort(&["status", "--format", "json"]).stdout).unwrap();
    let rows = report["proxies"].as_array().unwrap();
    let mut pids: Vec<u64> = rows.iter().filter_map(|row| row["pid"].as_u64()).collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 4, "{report:#}");
    let key_of = |name: &str| {
        let path = host.run().join("proxies").join(format!("{name}.identity"));
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap()) & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
        let text = fs::read_to_string(&path).unwrap();
        let begin = text.find("PRIVATE KEY-----").unwrap_or_else(|| panic!("no key of {name}"));
        text.chars().skip(begin).take(160).collect()
    };
    let names = ["orders", "payments", "ledger", "public"];
    let keys: std::collections::BTreeSet<String> = names.into_iter().map(key_of).collect();
    assert_eq!(keys.len(), 4, "every proxy has a key of its own");
}

#[test]
fn metrics_of_all_proxies_stand_at_one_endpoint() {
    let shop = Shop::new();
    let (_host, _programs) = shop.start();
    assert_eq!(curl(&[&shop.at_gateway("/orders/x")]).0, 200);
    let (status, text) = curl(&[&format!("http://127.0.0.1:{}/metrics", shop.metrics)]);
    assert_eq!(status, 200, "{text}");
    for wanted in [
        "http_server_request_duration_seconds",
        "ringfort_decisions_total",
        "ringfort_config_revision",
        "ringfort_cert_expiry_timestamp_seconds",
        "service=\"payments\"",
        "service=\"public\"",
    ] {
        assert!(text.contains(wanted), "no `{wanted}` in\n{text}");
    }
}

#[test]
fn nothing_outlives_a_supervisor_that_was_killed() {
    let [port, to_ledger, metrics] = free_ports();
    let fleet = format!(
        "ringfort: v1
services:
  web: {{ calls: [ {{ to: ledger, port: {to_ledger} }} ] }}
  ledger:
    listen: {{ port: {port}, protocol: tcp }}
    run: {{ command: [\"{RINGFORT}\", demo-service, ledger, --port, \"{port}\"] }}
observability: {{ metrics: {{ bind: \"127.0.0.1:{metrics}\" }} }}
"
    );
    let host = Host::start(&[("fleet.yaml", &fleet)]);
    let listens = |port: u16| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    wait_for("the program to listen", Duration::from_secs(10), || listens(port).then_some(()));
    assert!(listens(to_ledger) && listens(metrics));
    signal(host.pid(), "-KILL");
    wait_for("every port to be free", Duration::from_secs(10), || {
        (!listens(port) && !listens(to_ledger) && !listens(metrics)).then_some(())
    });
}

#[test]
fn a_demand_nothing_would_enforce_is_refused_by_name() {
    let demands = [
        (
            "services: { web: { listen: 8080, resilience: { breaker: { window: 30s } } } }",
            "breaker",
        ),
        ("services: { web: { listen: 8080, egress: [ { host: api.example } ] } }", "egress"),
        ("services: { web: { listen: 8080 } }\nfirewall: { mode: enforce }", "firewall"),
        ("services: { web: { listen: 8080, supply: { mode: enforce } } }", "supply"),
    ];
    for (text, word) in demands {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("fleet.yaml"), format!("ringfort: v1\n{text}\n")).unwrap();
        let output = std::process::Command::new(RINGFORT)
            .arg("up")
            .arg(dir.path())
            .arg("--state")
            .arg(dir.path().join("state"))
            .arg("--run")
            .arg(dir.path().join("run"))
            .output()
            .unwrap();
        let said = latin(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{word}: {said}");
        assert!(said.contains("fleet.yaml:") && said.contains(word), "{word}: {said}");
        assert!(!dir.path().join("state").exists(), "nothing was started");
    }
}

#[test]
fn a_program_cannot_attest_itself_at_the_server() {
    use ringfort_wire::v1::{SignRequest, link_client::LinkClient};
    let shop = Shop::new();
    let (host, _programs) = shop.start();
    let uri = format!("unix://{}", host.run().join("server.sock").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(async {
        let channel =
            tonic::transport::Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
        let request = SignRequest { csr_der: Vec::new().into(), for_foreign: false };
        LinkClient::new(channel).sign(request).await.unwrap_err()
    });
    assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{refused}");
    assert!(
        host.ringfort(&["status"]).status.success(),
        "operators of the same user still may ask"
    );
}

/// The server is the supervisor's child whose command line says so.
#[track_caller]
pub(crate) fn server_pid(host: &Host) -> u32 {
    let children = format!("/proc/{0}/task/{0}/children", host.pid());
    let threads = fs::read_dir(format!("/proc/{}/task", host.pid())).unwrap();
    let mut pids = fs::read_to_string(children).unwrap();
    for thread in threads.flatten() {
        pids.push_str(&fs::read_to_string(thread.path().join("children")).unwrap_or_default());
        pids.push(' ');
    }
    let is_server = |pid: &&str| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).nth(1) == Some(b"server".as_slice())
    };
    let found = pids.split_whitespace().find(is_server);
    found.unwrap_or_else(|| panic!("no server among {pids}")).parse().unwrap()
}
