//! `ringfort up`: everything of a fleet that belongs to this host, watched and reloaded until told to end.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::Context;
use notify::{RecursiveMode, Watcher};
use ringfort_fleet::{Fleet, FleetFile};
use ringfort_model::Revision;
use tokio::sync::mpsc;

use crate::{
    cli::UpArgs,
    commands::{
        BAD,
        apply::sentence,
        roles::{runtime, until_signal},
    },
    fleet_folder,
    folders::Places,
    host::{self, Host, Output, Refused},
    map, terminal,
};

/// Editors write in several steps; an edit is read once it has been quiet for so long.
const QUIET: Duration = Duration::from_millis(150);
/// Pause before an edit is applied again that a dead server could not take.
const RETRY: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &UpArgs) -> anyhow::Result<ExitCode> {
    let places = Places::resolve(&args.folders)?;
    let files = fleet_folder::read(&args.fleet)?;
    let fleet = match host::enforceable(&files) {
        Ok(fleet) => fleet,
        Err(problems) => {
            eprint!("{problems}");
            eprintln!("nothing was started");
            return Ok(ExitCode::from(BAD));
        }
    };
    runtime()?.block_on(serve(&args.fleet, places, files, &fleet))
}

async fn serve(
    folder: &Path,
    places: Places,
    files: Vec<FleetFile>,
    fleet: &Fleet,
) -> anyhow::Result<ExitCode> {
    let shutdown = until_signal()?;
    let base = std::path::absolute(fleet_folder::folder_of(folder))?;
    let mut host = Host::start(
        places,
        base,
        fleet.compile(Revision::NONE).host_plan.metrics_bind,
        Output::Terminal,
    )
    .await?;
    let started = async {
        let applied = host.apply(files.clone(), "up").await?;
        println!("{}", sentence(&applied));
        announce(&host, fleet).await
    };
    let outcome = tokio::select! {
        // Whatever was started is stopped below in both cases.
        started = started => started,
        () = shutdown.cancelled() => Ok(()),
    };
    if outcome.is_ok() && !shutdown.is_cancelled() {
        follow(folder, &mut host, files, &shutdown).await?;
    }
    println!("stopping: gateways drain first, then sidecars, programs and the server");
    host.stop().await;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Waits until everything serves, then prints the map.
async fn announce(host: &Host, fleet: &Fleet) -> anyhow::Result<()> {
    let count = host.ready().await?;
    print!("{}", map::text(&fleet.compile(Revision::NONE)));
    println!("ready: {count} processes serve; runtime folder {}", host.places().run.display());
    Ok(())
}

/// Applies edits until the end; a bad edit is reported and changes nothing.
pub(super) async fn follow(
    folder: &Path,
    host: &mut Host,
    mut files: Vec<FleetFile>,
    shutdown: &tokio_util::sync::CancellationToken,
) -> anyhow::Result<()> {
    let (sender, mut edits) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // A full channel already says that something changed.
        let is_edit = event.is_ok_and(|event| !event.kind.is_access());
        if is_edit && sender.try_send(()).is_err() {
            tracing::trace!("an edit is already waiting");
        }
    })
    .context("cannot watch the fleet folder")?;
    let watched = fleet_folder::folder_of(folder);
    watcher
        .watch(&watched, RecursiveMode::Recursive)
        .with_context(|| format!("cannot watch `{}`", watched.display()))?;
    let mut again = false;
    loop {
        tokio::select! {
            // Cancel-safe: an edit not taken stays queued.
            edit = edits.recv() => if edit.is_none() { return Ok(()) },
            () = tokio::time::sleep(RETRY), if again => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        while tokio::time::timeout(QUIET, edits.recv()).await.is_ok_and(|edit| edit.is_some()) {}
        let reloaded = reload(folder, host, &files).await;
        again = reloaded.as_ref().is_err_and(|error| !error.is::<Refused>());
        match reloaded {
            Ok(Some(new)) => files = new,
            Ok(None) => {}
            Err(error) if again => eprintln!("{}; trying again", terminal::error_chain(&error)),
            Err(error) => {
                eprintln!("{}", error.to_string().trim_end());
                eprintln!("the edit was refused: what was in force stays in force");
            }
        }
    }
}

/// Reads the folder and applies it when it differs from `known`.
async fn reload(
    folder: &Path,
    host: &mut Host,
    known: &[FleetFile],
) -> anyhow::Result<Option<Vec<FleetFile>>> {
    let files = fleet_folder::read(folder)?;
    let same = files.len() == known.len()
        && files.iter().zip(known).all(|(new, old)| new.path == old.path && new.bytes == old.bytes);
    if same {
        return Ok(None);
    }
    let applied = host.apply(files.clone(), "edit of the fleet folder").await?;
    println!("{}", terminal::escape(&sentence(&applied)));
    Ok(Some(files))
}
