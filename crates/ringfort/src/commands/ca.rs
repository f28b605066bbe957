//! `ringfort ca`: certificates looked at and renewed.

use std::{process::ExitCode, time::Duration};

use ringfort_model::{WallClock, WallTime};
use ringfort_wire::v1::{RenewRequest, StatusRequest};

use crate::{
    admin,
    cli::{CaArgs, CaCommand, ReportFormat, StatusArgs},
    clock::SystemClock,
    folders::Places,
};

pub(crate) async fn run(args: &CaArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        CaCommand::Status(args) => status(args).await,
        CaCommand::Renew { all: _, folders } => {
            let places = Places::resolve(folders)?;
            let mut client = admin::server(&places.server_socket()).await?;
            let renewed = client.renew(RenewRequest { all: true }).await?.into_inner();
            println!(
                "renewal {} announced: {} connected class{} take new certificates within 2 s",
                renewed.epoch,
                renewed.classes,
                if renewed.classes == 1 { "" } else { "es" }
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let places = Places::resolve(&args.folders)?;
    let mut client = admin::server(&places.server_socket()).await?;
    let status = client.status(StatusRequest {}).await?.into_inner();
    if args.format == ReportFormat::Json {
        let authorities: Vec<serde_json::Value> = status
            .authorities
            .iter()
            .map(|ca| {
                serde_json::json!({
                    "kind": ca.kind, "id": ca.id,
                    "not_before": wall(ca.not_before_ms).to_string(), "not_after": (ca.not_after_ms > 0).then(|| wall(ca.not_after_ms).to_string()),
                })
            })
            .collect();
        let report = serde_json::json!({
            "trust_domain": status.trust_domain, "renew_epoch": status.renew_epoch, "authorities": authorities,
        });
        println!("{report:#}");
        return Ok(ExitCode::SUCCESS);
    }
    println!("trust domain {}, renewal {}", status.trust_domain, status.renew_epoch);
    let now = SystemClock.now();
    for ca in &status.authorities {
        let end = wall(ca.not_after_ms);
        let life = match ca.not_after_ms {
            0 => "does not expire".to_owned(),
            _ => format!("expires {end} ({} left)", rough(end.since(now))),
        };
        println!("{:<8} {:<40} {life}", ca.kind, ca.id);
    }
    Ok(ExitCode::SUCCESS)
}

/// Milliseconds since the epoch as wall time.
pub(crate) fn wall(ms: u64) -> WallTime {
    WallTime::from_unix(Duration::from_millis(ms))
}

/// A duration in its largest fitting unit, for people.
pub(crate) fn rough(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds >= 172_800 => format!("{} d", seconds / 86_400),
        seconds if seconds >= 7_200 => format!("{} h", seconds / 3_600),
        seconds if seconds >= 120 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
