//! A proxy as a process: admin socket, keeper, data plane, and an orderly end.

use std::{io, num::NonZero, path::PathBuf, sync::Arc, time::Duration};

use ringfort_identity::{SystemRandom, Tls};
use ringfort_model::{Name, SecureRandom, WallClock};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin::{self, Board},
    files::{self, Files},
    keeper::{Keeper, State},
    plane::{LogTarget, PlaneOptions},
};

/// Most data threads.
const THREADS_MAX: u16 = 256;

/// Longest name of a host.
const HOST_BYTES_MAX: usize = 256;

/// What a proxy is started with.
#[derive(Debug)]
pub struct ProxyOptions {
    /// The workload it is for; the identity it gets must be this one's.
    pub name: Name,
    /// The agent's socket.
    pub control_socket: PathBuf,
    /// Folder for what survives a reboot: `NAME/snapshot.bin`, `NAME/port`.
    pub state_dir: PathBuf,
    /// Folder for what does not: `NAME.sock`, `NAME.identity`, `NAME.decisions.jsonl`.
    pub run_dir: PathBuf,
    /// Data threads: 1 to 256; what lies outside is moved to the nearest.
    pub threads: usize,
    /// Wall clock.
    pub clock: Arc<dyn WallClock>,
    /// Ends the proxy: it drains, then [`run`] returns.
    pub shutdown: CancellationToken,
}

/// Why a proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum RunProxyError {
    /// Its folders cannot be made.
    #[error("cannot make the folders of the proxy")]
    Folders(#[source] io::Error),
    /// Its admin socket cannot be had.
    #[error("cannot open the admin socket `{path}`")]
    Admin {
        /// Where.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
}

/// Runs a proxy until `shutdown` or `POST /drain`, and drains it. Access-log lines go to standard output.
///
/// # Errors
/// [`RunProxyError`]: it never began. What fails later is refused, reported and tried again.
pub async fn run(options: ProxyOptions) -> Result<(), RunProxyError> {
    let files = Files::new(&options.run_dir, &options.state_dir, &options.name);
    files.prepare().map_err(RunProxyError::Folders)?;
    let path = files.socket.clone();
    let listener = admin::open(&path)
        .await
        .map_err(|source| RunProxyError::Admin { path: path.clone(), source })?;
    let drain = options.shutdown.child_token();
    let board = Board::new(drain.clone());
    let (tasks, stop_admin) = (TaskTracker::new(), CancellationToken::new());
    let answering = admin::serve(listener, Arc::clone(&board), tasks.clone(), stop_admin.clone());
    drop(tasks.spawn(answering));
    let keeper = Keeper {
        instance: format!("{}@{}", options.name, host()),
        tls: Tls::new(Arc::clone(&options.clock)),
        plane_options: plane_options(&options, &files),
        name: options.name,
        files,
        clock: options.clock,
        board,
        state: State::default(),
    };
    let cut = Box::pin(keeper.keep(options.control_socket, drain, &tasks)).await;
    tracing::info!(cut, "drained");
    stop_admin.cancel();
    tasks.close();
    // An admin connection that lingers does not hold up the end.
    if tokio::time::timeout(Duration::from_secs(1), tasks.wait()).await.is_err() {
        tracing::debug!("admin connections were still open");
    }
    if let Err(error) = std::fs::remove_file(&path) {
        tracing::debug!(%error, "the admin socket stays");
    }
    Ok(())
}

fn plane_options(options: &ProxyOptions, files: &Files) -> PlaneOptions {
    let mut process = [0; 8];
    SystemRandom.fill(&mut process);
    let threads = u16::try_from(options.threads).unwrap_or(THREADS_MAX).min(THREADS_MAX);
    PlaneOptions {
        threads: NonZero::new(threads).unwrap_or(NonZero::<u16>::MIN),
        clock: Arc::clone(&options.clock),
        log: LogTarget::Stdout,
        decisions_file: Some(files.decisions.clone()),
        inbound_port: files.kept_port(),
        process: u64::from_le_bytes(process),
    }
}

/// The name of this host, as instances carry it.
fn host() -> String {
    let read = files::read(std::path::Path::new("/proc/sys/kernel/hostname"), HOST_BYTES_MAX);
    let text = read.ok().flatten().and_then(|bytes| String::from_utf8(bytes).ok());
    let good = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
    text.map(|text| text.trim().to_owned()).filter(good).unwrap_or_else(|| "localhost".to_owned())
}
