//! `ringfort apply`: makes a folder the head revision of the running server, or changes nothing and says why.

use std::process::ExitCode;

use anyhow::Context;
use ringfort_wire::v1::{Applied, ApplyRequest, File, apply_response::Outcome};
use tonic::transport::Channel;

use crate::{admin, cli::ApplyArgs, commands::FOUND, fleet_folder, folders::Places, host};

/// What became of an apply.
pub(crate) enum ApplyOutcome {
    /// The revision in force from now on.
    Applied(Applied),
    /// The rendered problems; nothing changed.
    Rejected(String),
}

pub(crate) async fn run(args: &ApplyArgs) -> anyhow::Result<ExitCode> {
    let places = Places::resolve(&args.folders)?;
    let files = fleet_folder::read(&args.fleet)?;
    let fleet = match host::enforceable(&files) {
        Ok(fleet) => fleet,
        Err(problems) => {
            eprint!("{problems}");
            eprintln!("nothing was applied");
            return Ok(ExitCode::from(FOUND));
        }
    };
    let files = files.into_iter().filter(|file| fleet.files().contains(&file.path)).collect();
    let mut client = admin::server(&places.server_socket()).await?;
    match send(&mut client, files, &args.message, args.base).await? {
        ApplyOutcome::Applied(applied) => {
            print!("{}", applied.warnings_text);
            println!("{}", sentence(&applied));
            Ok(ExitCode::SUCCESS)
        }
        ApplyOutcome::Rejected(text) => {
            eprint!("{text}");
            eprintln!("nothing was applied");
            Ok(ExitCode::from(FOUND))
        }
    }
}

/// Sends the files to the server.
///
/// # Errors
/// Fails when the server cannot be asked; a refused fleet is an outcome, not an error.
pub(crate) async fn send(
    client: &mut ringfort_wire::v1::admin_client::AdminClient<Channel>,
    files: Vec<ringfort_fleet::FleetFile>,
    message: &str,
    base: Option<u64>,
) -> anyhow::Result<ApplyOutcome> {
    let files =
        files.into_iter().map(|file| File { path: file.path, bytes: file.bytes.into() }).collect();
    let author = author();
    let request = ApplyRequest { files, base_revision: base, author, message: message.to_owned() };
    let response =
        client.apply(request).await.map_err(|status| anyhow::anyhow!("{}", status.message()))?;
    match response.into_inner().outcome.context("the server answered without an outcome")? {
        Outcome::Applied(applied) => Ok(ApplyOutcome::Applied(applied)),
        Outcome::Rejected(rejected) => Ok(ApplyOutcome::Rejected(rejected.text)),
    }
}

/// One sentence about an applied revision.
pub(crate) fn sentence(applied: &Applied) -> String {
    if applied.unchanged {
        return format!("revision {} already says this: nothing to do", applied.revision);
    }
    let changed = applied.classes.len();
    format!(
        "revision {} is head; {changed} class{} changed",
        applied.revision,
        if changed == 1 { "" } else { "es" }
    )
}

#[expect(clippy::disallowed_methods, reason = "the command is where the environment is read (I7)")]
fn author() -> String {
    let uid = rustix::process::getuid().as_raw();
    std::env::var("USER").unwrap_or_else(|_unset| format!("uid {uid}"))
}
