//! `ringfort explain`: a diagnostic code, a recorded decision, or what would happen to a request.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, bail};
use ringfort_model::DecisionId;
use ringfort_wire::v1::ExplainRequest;
use serde_json::Value;

use crate::{
    admin,
    cli::{ExplainArgs, ReportFormat},
    commands::FOUND,
    folders::Places,
    terminal,
};

pub(crate) async fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    if args.what == "request" {
        return request(args).await;
    }
    if args.what.starts_with("RF") {
        return code(args);
    }
    let Ok(id) = args.what.parse::<DecisionId>() else {
        bail!(
            "`{}` is no code (RF0401), no decision id (32 hex digits) and not the word `request`",
            terminal::escape(&args.what)
        );
    };
    decision(args, id).await
}

fn code(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let Some(text) = ringfort_fleet::code(&args.what) else {
        bail!(
            "there is no code `{}`: codes are RF and four digits, as `check` prints them",
            terminal::escape(&args.what)
        );
    };
    if args.format == ReportFormat::Json {
        println!(
            "{:#}",
            serde_json::json!({ "code": text.code, "title": text.title, "text": text.text })
        );
    } else {
        println!("{}: {}\n\n{}", text.code, text.title, text.text);
    }
    Ok(ExitCode::SUCCESS)
}

/// Exit 0 when the request would be allowed, 1 when it would be refused.
async fn request(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let (method, target) = match args.request.as_slice() {
        [] => (String::new(), String::new()),
        [method, target] => (method.clone(), target.clone()),
        _ => {
            bail!("give a method and a path, e.g. `request --as orders --to payments POST /charge`")
        }
    };
    let callee = args
        .callee
        .clone()
        .context("say whom with --to SERVICE (or a host, for a visitor at a gateway)")?;
    let request = ExplainRequest {
        r#as: args.caller.clone().unwrap_or_default(),
        to: callee,
        method,
        target,
    };
    let report = match &args.fleet {
        Some(folder) => {
            let files = crate::fleet_folder::read(folder)?;
            ringfort_control::explain_files(&files, &request)?
        }
        None => {
            let places = Places::resolve(&args.folders)?;
            let mut client = admin::server(&places.server_socket()).await?;
            let answer = client.explain(request).await;
            answer.map_err(|status| anyhow::anyhow!("{}", status.message()))?.into_inner()
        }
    };
    if args.format == ReportFormat::Json {
        let rings: Vec<Value> = report
            .rings
            .iter()
            .map(|ring| {
                serde_json::json!({
                    "ring": ring.ring, "verdict": ring.verdict, "detail": ring.detail, "place": ring.place,
                })
            })
            .collect();
        println!("{:#}", serde_json::json!({ "allowed": report.allowed, "rings": rings }));
    } else {
        print!("{}", report.text);
    }
    Ok(if report.allowed { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

async fn decision(args: &ExplainArgs, id: DecisionId) -> anyhow::Result<ExitCode> {
    let places = Places::resolve(&args.folders)?;
    let unknown = "each proxy keeps its newest 4096 decisions and the last 16 MiB of refusals";
    if args.format == ReportFormat::Json {
        let found = find(&places.proxies(), id).await?;
        let found = found
            .with_context(|| format!("no proxy of this host remembers decision {id}: {unknown}"))?;
        let decision: Value =
            serde_json::from_slice(&found).context("a proxy answered with bad JSON")?;
        println!("{decision:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let story = recorded(&places, id).await?;
    let story = story
        .with_context(|| format!("no proxy of this host remembers decision {id}: {unknown}"))?;
    print!("{story}");
    Ok(ExitCode::SUCCESS)
}

/// A recorded decision for people, with the smallest change that would allow it when a server can be asked.
///
/// # Errors
/// Fails when nothing runs here, or a proxy answers with what is no decision.
pub(crate) async fn recorded(places: &Places, id: DecisionId) -> anyhow::Result<Option<String>> {
    let Some(found) = find(&places.proxies(), id).await? else { return Ok(None) };
    let decision: Value =
        serde_json::from_slice(&found).context("a proxy answered with bad JSON")?;
    let mut text = story(&decision);
    if let Some(advice) = advice(places, &decision).await {
        text.push_str(&format!("now, by the same rules:\n{advice}"));
    }
    Ok(Some(text))
}

/// What the server says about the same request at the head revision; `None` when it cannot say.
async fn advice(places: &Places, decision: &Value) -> Option<String> {
    let text = |value: &Value, key: &str| {
        value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let request = decision.get("request");
    let part = |key: &str| request.map(|request| text(request, key)).unwrap_or_default();
    let is_gateway = text(decision, "ingress") == "gateway";
    let ask = ExplainRequest {
        r#as: if is_gateway { String::new() } else { text(decision, "source") },
        to: if is_gateway { part("host") } else { text(decision, "destination") },
        method: part("method"),
        target: part("path"),
    };
    let mut client = admin::server(&places.server_socket()).await.ok()?;
    let report = client.explain(ask).await.ok()?.into_inner();
    Some(report.text)
}

/// Asks every proxy's socket, then every file of refusals, for a decision.
///
/// # Errors
/// Fails when the folder of proxies cannot be read.
pub(crate) async fn find(proxies: &Path, id: DecisionId) -> anyhow::Result<Option<Vec<u8>>> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(proxies)
        .with_context(|| format!("nothing runs here: cannot read `{}`", proxies.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if name.ends_with(".sock") {
            match admin::proxy(&path, &format!("/decisions/{id}")).await {
                Ok(Some(bytes)) => return Ok(Some(bytes.to_vec())),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "proxy skipped"),
            }
        } else if name.contains(".decisions.jsonl") {
            files.push(path);
        }
    }
    let needle = id.to_string();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some(line) = text.lines().find(|line| line.contains(&needle)) {
            return Ok(Some(line.as_bytes().to_vec()));
        }
    }
    Ok(None)
}

/// A recorded decision for people: one sentence, then ring by ring.
fn story(decision: &Value) -> String {
    let text = |key: &str| {
        decision.get(key).and_then(Value::as_str).map(terminal::escape).unwrap_or_default()
    };
    let permitted = decision.get("permits").and_then(Value::as_bool).unwrap_or(false);
    let verb = if permitted { "allowed" } else { "refused" };
    let mut story =
        format!("{verb} by ring {} ({}): {}\n", text("ring"), text("reason"), text("detail"));
    story.push_str(&format!("  when      {}\n", text("time")));
    story.push_str(&format!("  who       {} -> {}\n", text("source"), text("destination")));
    if let Some(request) = decision.get("request") {
        let part = |key: &str| {
            request.get(key).and_then(Value::as_str).map(terminal::escape).unwrap_or_default()
        };
        story.push_str(&format!(
            "  request   {} {}{}\n",
            part("method"),
            part("host"),
            part("path")
        ));
    }
    if let Some(policy) = decision.get("policy") {
        let part = |key: &str| {
            policy.get(key).and_then(Value::as_str).map(terminal::escape).unwrap_or_default()
        };
        story.push_str(&format!("  policy    {} at {}\n", part("id"), part("place")));
    }
    if let Some(revision) = decision.get("revision").and_then(Value::as_u64) {
        story.push_str(&format!("  revision  {revision}\n"));
    }
    for step in decision.get("walk").and_then(Value::as_array).into_iter().flatten() {
        let part = |key: &str| {
            step.get(key).and_then(Value::as_str).map(terminal::escape).unwrap_or_default()
        };
        story.push_str(
            format!("  {:<10}{:<13}{}", part("ring"), part("outcome"), part("detail")).trim_end(),
        );
        story.push('\n');
    }
    story
}
