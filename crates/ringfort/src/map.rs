//! The map of a fleet: who enters where and who may call whom, as text.

use ringfort_fleet::Compiled;
use ringfort_model::{
    Operation, Snapshot,
    snapshot::{Listener, Role, RouteAction},
};

/// Draws the gateways with their routes, then each service with its callers.
pub(crate) fn text(compiled: &Compiled) -> String {
    let mut text = String::new();
    for snapshot in compiled.snapshots.values() {
        if let Role::Gateway(gateway) = &snapshot.role {
            text.push_str(&format!("gateway {}  {}\n", snapshot.workload, snapshot.class));
            for listener in &gateway.listeners {
                text.push_str(&format!("  {}\n", urls(listener)));
            }
            for route in &gateway.routes {
                let target = match &route.action {
                    RouteAction::To { peer, rewrite: _ } => peer.to_string(),
                    RouteAction::Redirect { to, status } => format!("{status} {to}"),
                };
                for rule in &route.matches {
                    let methods = if rule.methods.is_empty() {
                        "any".to_owned()
                    } else {
                        rule.methods.join(",")
                    };
                    text.push_str(&format!(
                        "    {methods:<8} {}{} -> {target}\n",
                        rule.host, rule.path
                    ));
                }
            }
        }
    }
    for snapshot in compiled.snapshots.values() {
        text.push_str(&service(snapshot));
    }
    text
}

fn urls(listener: &Listener) -> String {
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    let note = if listener.redirect_to_https { "  (redirects to https)" } else { "" };
    let port = listener.bind.port();
    let urls: Vec<String> =
        listener.hosts.iter().map(|host| format!("{scheme}://{host}:{port}")).collect();
    format!("{}{note}", urls.join("  "))
}

fn service(snapshot: &Snapshot) -> String {
    let Role::Sidecar(sidecar) = &snapshot.role else { return String::new() };
    let mut text = format!("service {}  {}\n", snapshot.workload, snapshot.class);
    if let Some(local) = &sidecar.local {
        text.push_str(&format!("  program at {} ({})\n", local.address, local.protocol.as_str()));
    }
    for (name, caller) in &sidecar.callers {
        let only = match &caller.operations {
            Some(list) => list.iter().map(Operation::to_string).collect::<Vec<_>>().join(", "),
            None => "everything its policies permit".to_owned(),
        };
        text.push_str(&format!("  called by {name}: {only}\n"));
    }
    for (name, port) in &sidecar.outbound {
        text.push_str(&format!("  finds {name} at 127.0.0.1:{port}\n"));
    }
    if let Some(port) = sidecar.http_proxy {
        text.push_str(&format!("  finds its callees by HTTP_PROXY=http://127.0.0.1:{port}\n"));
    }
    text
}
