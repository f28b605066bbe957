//! The agent of one host: both sockets and the address of the metrics.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use ringfort_model::WallClock;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Attestor, Children,
    door::{Door, OpenSocketError, Porch},
    metrics::MetricsListener,
    relay::Relays,
    workload_api::WorkloadApis,
};

/// What the agent needs. There is no default: each caller states its paths.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// Folder of the sockets; made when it is missing.
    pub run_dir: PathBuf,
    /// The server's socket; it may appear later.
    pub server_socket: PathBuf,
    /// Where metrics are scraped; `None` for nowhere. Port 0 takes a free one.
    pub metrics: Option<SocketAddr>,
    /// The wall clock, for the life of certificates.
    pub clock: Arc<dyn WallClock>,
    /// The children the supervisor registers.
    pub children: Children,
    /// Where everything runs; it is empty once the agent has ended.
    pub tracker: TaskTracker,
    /// Ends the agent.
    pub shutdown: CancellationToken,
}

/// A serving agent. It goes on without this value; its end is that of the shutdown token and the tracker.
#[derive(Debug, Clone, Copy)]
pub struct Agent {
    metrics_address: Option<SocketAddr>,
}

/// Why the agent cannot start. Nothing is left open.
#[derive(Debug, thiserror::Error)]
pub enum StartAgentError {
    /// The folder of the sockets cannot be made or read.
    #[error("cannot use `{path}` as run-time folder")]
    RunDir {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others may write into the folder, so they could put their own sockets there.
    #[error(
        "`{path}` may be written by others, who could take the place of the agent; \
         it must belong to this user or root and be writable for the owner alone (mode 0755)"
    )]
    RunDirOpen {
        /// The folder.
        path: PathBuf,
    },
    /// A socket cannot be opened.
    #[error(transparent)]
    Socket(#[from] OpenSocketError),
    /// The address of the metrics is taken or not allowed.
    #[error("cannot listen on `{address}` for metrics")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Name of the SPIFFE Workload API's socket in the run-time folder.
pub const WORKLOAD_SOCKET: &str = "workload.sock";
/// Name of the control link's socket in the run-time folder.
pub const CONTROL_SOCKET: &str = "control.sock";
/// Folder of the proxies' admin sockets in the run-time folder.
pub const PROXIES_DIR: &str = "proxies";

impl Agent {
    /// Opens both sockets and the address of the metrics, so that whatever is wrong is known before anything runs,
    /// and serves them on the tracker until shutdown. Connections are closed within a second after that.
    ///
    /// # Errors
    /// - [`StartAgentError::RunDir`], [`StartAgentError::RunDirOpen`]: the folder cannot be used.
    /// - [`StartAgentError::Socket`]: another agent serves there, or the socket cannot be created.
    /// - [`StartAgentError::Metrics`]: the address cannot be bound.
    pub async fn start(options: AgentOptions) -> Result<Self, StartAgentError> {
        let AgentOptions { run_dir, server_socket, metrics, clock, children, tracker, shutdown } =
            options;
        prepare(&run_dir)?;
        let workload = Door::open(run_dir.join(WORKLOAD_SOCKET))?;
        let control = Door::open(run_dir.join(CONTROL_SOCKET))?;
        let mut metrics_address = None;
        if let Some(address) = metrics {
            let failed = |source| StartAgentError::Metrics { address, source };
            let bound = MetricsListener::bind(address, run_dir.join(PROXIES_DIR)).await;
            let listener = bound.map_err(failed)?;
            metrics_address = Some(listener.address());
            tracker.spawn(listener.serve(tracker.clone(), shutdown.clone()));
        }
        let porch = Porch::new(Attestor::new(children), tracker.clone(), shutdown.clone());
        let relays = Relays::new(server_socket.clone(), shutdown.clone());
        let apis = WorkloadApis::new(server_socket, clock, tracker.clone(), shutdown);
        tracker.spawn(control.serve(porch.clone(), move |caller| relays.of(caller)));
        tracker.spawn(workload.serve(porch, move |caller| apis.of(caller)));
        Ok(Self { metrics_address })
    }

    /// Where metrics are scraped.
    #[must_use]
    pub const fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }
}

/// Makes the folder, and refuses one into which others could put their own sockets.
fn prepare(run_dir: &Path) -> Result<(), StartAgentError> {
    let failed = |source| StartAgentError::RunDir { path: run_dir.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o755).create(run_dir).map_err(failed)?;
    let found = fs::metadata(run_dir).map_err(failed)?;
    let is_owned = [0, rustix::process::geteuid().as_raw()].contains(&found.uid());
    if !is_owned || found.mode() & 0o022 != 0 {
        return Err(StartAgentError::RunDirOpen { path: run_dir.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
