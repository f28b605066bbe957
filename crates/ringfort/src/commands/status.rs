//! `ringfort status`: what is in force, proxy by proxy; works without a server, from the proxies' own sockets.

use std::{collections::BTreeMap, path::Path, process::ExitCode, time::Duration};

use anyhow::Context;
use ringfort_model::WallClock;
use ringfort_wire::v1::{StatusRequest, StatusResponse};
use serde_json::{Value, json};

use crate::{
    admin,
    cli::{ReportFormat, StatusArgs},
    clock::SystemClock,
    commands::{
        FOUND,
        ca::{rough, wall},
    },
    folders::Places,
    terminal,
};

/// How long a server may take to answer; the proxies speak for themselves meanwhile.
const SERVER_ANSWER_MAX: Duration = Duration::from_secs(3);

/// Exit 0 when every proxy serves the head revision, 1 when one lags behind, refuses, or the server is away.
pub(crate) async fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let places = Places::resolve(&args.folders)?;
    let proxies = of_proxies(&places.proxies()).await?;
    let server = match tokio::time::timeout(SERVER_ANSWER_MAX, of_server(&places)).await {
        Ok(Ok(server)) => Some(server),
        Ok(Err(error)) => {
            tracing::debug!(%error, "server away");
            None
        }
        Err(_elapsed) => None,
    };
    let good = proxies
        .iter()
        .all(|(name, status)| is_current(server.as_ref(), name, status) == Some(true));
    if args.format == ReportFormat::Json {
        println!("{:#}", json_report(server.as_ref(), &proxies));
    } else {
        print!("{}", text_report(server.as_ref(), &proxies));
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

async fn of_server(places: &Places) -> anyhow::Result<StatusResponse> {
    let mut client = admin::server(&places.server_socket()).await?;
    Ok(client.status(StatusRequest {}).await?.into_inner())
}

/// Asks each proxy of this host; one that does not answer stands with its error.
async fn of_proxies(folder: &Path) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    let entries = std::fs::read_dir(folder).with_context(|| {
        format!("nothing runs here: cannot read `{}` (pass --run DIR)", folder.display())
    })?;
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some(name) = name.strip_suffix(".sock") else { continue };
        let status = match admin::proxy(&path, "/status").await {
            Ok(Some(bytes)) => {
                serde_json::from_slice(&bytes).context("a proxy answered with bad JSON")?
            }
            Ok(None) => json!({ "error": "the proxy has no status" }),
            Err(error) => json!({ "error": format!("{error:#}") }),
        };
        found.insert(name.to_owned(), status);
    }
    Ok(found)
}

/// Whether a proxy has in force what the server wants it to have; `None` when the server does not say. Compared by
/// digest: an apply that changes nothing for a class makes no new manifest for it.
fn is_current(server: Option<&StatusResponse>, name: &str, status: &Value) -> Option<bool> {
    let wanted = server?.proxies.iter().find(|proxy| proxy.workload == name)?;
    let digest = status.get("digest").and_then(Value::as_str)?;
    Some(digest == hex(&wanted.expected_digest))
}

fn number(status: &Value, key: &str) -> Option<u64> {
    status.get(key).and_then(Value::as_u64)
}

fn json_report(of_server: Option<&StatusResponse>, proxies: &BTreeMap<String, Value>) -> Value {
    let server = of_server.map(|server| {
        json!({
            "revision": server.revision,
            "digest": hex(&server.digest),
            "trust_domain": server.trust_domain,
            "applied_at": wall(server.applied_at_ms).to_string(),
            "author": server.author,
            "message": server.message,
            "renew_epoch": server.renew_epoch,
            "rings_not_in_force": server.rings_not_in_force,
        })
    });
    let proxies: Vec<Value> = proxies
        .iter()
        .map(|(name, status)| {
            let mut row = status.clone();
            if let Some(row) = row.as_object_mut() {
                row.insert("name".to_owned(), json!(name));
                row.insert("current".to_owned(), json!(is_current(of_server, name, status)));
            }
            row
        })
        .collect();
    json!({ "server": server, "proxies": proxies })
}

fn text_report(server: Option<&StatusResponse>, proxies: &BTreeMap<String, Value>) -> String {
    let mut text = String::new();
    match server {
        Some(server) => {
            text.push_str(&format!(
                "revision {} ({}) of {}, applied {} by {}\n",
                server.revision,
                hex(&server.digest).chars().take(12).collect::<String>(),
                server.trust_domain,
                wall(server.applied_at_ms),
                terminal::escape(&server.author),
            ));
            text.push_str(&format!(
                "rings not in force: {}\n",
                server.rings_not_in_force.join(", ")
            ));
        }
        None => text.push_str("the server is away: proxies serve their last good snapshot\n"),
    }
    text.push_str(&format!(
        "{:<20}{:<14}{:<10}{:<14}{:<14}\n",
        "PROXY", "STATE", "REVISION", "DIGEST", "CERTIFICATE"
    ));
    for (name, status) in proxies {
        text.push_str(&row(name, status, is_current(server, name, status)));
    }
    text
}

fn row(name: &str, status: &Value, is_current: Option<bool>) -> String {
    if let Some(error) = status.get("error").and_then(Value::as_str) {
        return format!("{name:<20}{:<14}{}\n", "unreachable", terminal::escape(error));
    }
    let text = |key: &str| {
        status.get(key).and_then(Value::as_str).map(terminal::escape).unwrap_or_default()
    };
    let revision = number(status, "revision").unwrap_or(0);
    let nack = text("nack");
    let behind = match is_current {
        Some(false) if nack.is_empty() => "  behind the head".to_owned(),
        Some(false) => format!("  behind the head: {nack}"),
        Some(true) | None => String::new(),
    };
    let certificate = number(status, "certificate_not_after_ms").map_or_else(
        || "none".to_owned(),
        |ms| format!("{} left", rough(wall(ms).since(SystemClock.now()))),
    );
    let digest: String = text("digest").chars().take(12).collect();
    format!("{name:<20}{:<14}{revision:<10}{digest:<14}{certificate:<14}{behind}\n", text("state"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
