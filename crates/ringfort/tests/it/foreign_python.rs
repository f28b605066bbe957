//! Clients and servers in Python: streaming gRPC, WebSocket, and the SPIFFE Workload API.

use std::process::Command;

use crate::{
    foreign::{python, run, script, yaml_list},
    host::{Host, free_ports, latin},
};

/// The `run:` command of a script.
fn command(name: &str, args: &[&str]) -> String {
    let (python, script) = (python(), script(name));
    // `-B`: no compiled files beside the scripts.
    let mut command = vec![python.to_str().unwrap(), "-B", script.to_str().unwrap()];
    command.extend(args);
    yaml_list(&command)
}

fn client(name: &str) -> Command {
    let mut command = Command::new(python());
    command.arg("-B").arg(script(name));
    command
}

#[test]
fn grpcio_streams_through_both_proxies() {
    let [sums, to_sums, limited, metrics] = free_ports();
    let server = command("grpc_server.py", &[&sums.to_string()]);
    let fleet = format!(
        "ringfort: v1
fleet: {{ trust_domain: sums.test }}
services:
  sums:
    listen: {{ port: {sums}, protocol: grpc }}
    run: {{ command: {server} }}
  web:
    calls: [ {{ to: sums, port: {to_sums} }} ]
  visitor:
    calls: [ {{ to: sums, port: {limited}, only: [\"streaming.Sums/CountTo\"] }} ]
observability: {{ metrics: {{ bind: \"127.0.0.1:{metrics}\" }} }}
"
    );
    let host = Host::start(&[("sums.yaml", &fleet)]);
    host.wait_line("gRPC service serves");
    assert_eq!(run(client("grpc_client.py").arg(to_sums.to_string())), "ok\n");
    // Where only one of its calls is allowed, the first that it makes is denied in the words of gRPC.
    let denied = client("grpc_client.py").arg(limited.to_string()).output().unwrap();
    let text = latin(&denied.stderr);
    assert!(!denied.status.success() && text.contains("StatusCode.PERMISSION_DENIED"), "{text}");
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn websockets_talk_through_both_proxies() {
    let [https, echo, to_echo, metrics] = free_ports();
    let server = command("websocket_server.py", &[&echo.to_string()]);
    let fleet = format!(
        "ringfort: v1
fleet: {{ trust_domain: echo.test }}
services:
  echo:
    listen: {echo}
    run: {{ command: {server} }}
  web:
    calls: [ {{ to: echo, port: {to_echo} }} ]
gateways:
  public:
    listeners: [ {{ bind: \"127.0.0.1:{https}\", hosts: [localhost], tls: {{ internal: true }} }} ]
routes:
  echo: {{ match: [ {{ host: localhost, path: /echo }} ], to: echo, user: none, upgrade: true }}
  plain: {{ match: [ {{ host: localhost, path: /plain }} ], to: echo, user: none }}
observability: {{ metrics: {{ bind: \"127.0.0.1:{metrics}\" }} }}
"
    );
    let host = Host::start(&[("echo.yaml", &fleet)]);
    host.wait_line("WebSocket echo serves");
    let gateway = format!("wss://localhost:{https}/echo");
    let sidecar = format!("ws://127.0.0.1:{to_echo}/echo");
    assert_eq!(run(client("websocket_client.py").args([&gateway, &sidecar])), "ok\n");
    // A route that does not say `upgrade` passes none.
    let refused =
        client("websocket_client.py").arg(gateway.replace("/echo", "/plain")).output().unwrap();
    let text = latin(&refused.stderr);
    assert!(
        !refused.status.success() && text.contains("server rejected WebSocket connection"),
        "{text}"
    );
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn the_spiffe_package_fetches_verifies_and_renews_an_svid() {
    let [orders, metrics] = free_ports();
    let watcher = command("spiffe_client.py", &["watch"]);
    let fleet = format!(
        "ringfort: v1
fleet: {{ trust_domain: shop.test }}
services:
  orders:
    listen: {orders}
    run: {{ command: {watcher} }}
observability: {{ metrics: {{ bind: \"127.0.0.1:{metrics}\" }} }}
"
    );
    let host = Host::start(&[("shop.yaml", &fleet)]);
    let id = "svid spiffe://shop.test/svc/orders serial ";
    let (first_at, first) = host.wait_line_after(0, id);

    let renewed = host.ringfort(&["ca", "renew", "--all"]);
    assert!(renewed.status.success(), "{}", latin(&renewed.stderr));
    let (_, second) = host.wait_line_after(first_at + 1, id);
    assert_ne!(first, second, "a renewed certificate has a new serial");

    // Attack: the same program by the same user, started by nobody the agent knows.
    let socket = format!("unix://{}", host.run().join("workload.sock").display());
    let stranger =
        client("spiffe_client.py").env("SPIFFE_ENDPOINT_SOCKET", socket).output().unwrap();
    let text = latin(&stranger.stderr);
    assert!(
        !stranger.status.success() && text.to_lowercase().contains("no identity is issued"),
        "{text}"
    );
    assert_eq!(host.stop(), Some(0));
}
