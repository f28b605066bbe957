//! The whole agent on real sockets, with a small server behind it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

use super::*;
use server::{Clock, Server};

mod metrics;
mod relay;
mod server;
mod workload;

/// Bound of every wait; none is meant to be reached.
const BOUND: Duration = Duration::from_secs(20);

/// An agent in a folder of its own, and the server it talks to.
struct Host {
    dir: tempfile::TempDir,
    server: Server,
    children: Children,
    shutdown: CancellationToken,
    metrics: SocketAddr,
    tracker: TaskTracker,
}

impl Host {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let (children, shutdown) = (Children::new(), CancellationToken::new());
        let tracker = TaskTracker::new();
        let agent = Agent::start(AgentOptions {
            run_dir: dir.path().join("run"),
            server_socket: dir.path().join("server.sock"),
            metrics: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            clock: Arc::new(clock),
            children: children.clone(),
            tracker: tracker.clone(),
            shutdown: shutdown.clone(),
        });
        let metrics = agent.await.unwrap().metrics_address().unwrap();
        Self { dir, server: Server::new(clock), children, shutdown, metrics, tracker }
    }

    fn server_socket(&self) -> PathBuf {
        self.dir.path().join("server.sock")
    }

    /// A new connection to one of the agent's sockets.
    fn connect(&self, socket: &str) -> Channel {
        channel(&self.dir.path().join("run").join(socket))
    }

    /// Stops the agent; everything it does must end by itself.
    async fn stop(self) {
        self.shutdown.cancel();
        self.tracker.close();
        timeout(BOUND, self.tracker.wait()).await.unwrap();
        assert!(!self.dir.path().join("run").join(CONTROL_SOCKET).exists());
        assert!(!self.dir.path().join("run").join(WORKLOAD_SOCKET).exists());
    }
}

fn channel(socket: &Path) -> Channel {
    Endpoint::from_shared(format!("unix://{}", socket.display())).unwrap().connect_lazy()
}

fn options(dir: &Path) -> AgentOptions {
    AgentOptions {
        run_dir: dir.join("run"),
        server_socket: dir.join("server.sock"),
        metrics: None,
        clock: Arc::new(Clock::start()),
        children: Children::new(),
        tracker: TaskTracker::new(),
        shutdown: CancellationToken::new(),
    }
}

/// Stops an agent started with [`options`].
async fn stop(options: &AgentOptions) {
    options.shutdown.cancel();
    options.tracker.close();
    timeout(BOUND, options.tracker.wait()).await.unwrap();
}

#[tokio::test]
async fn a_second_agent_is_refused_and_a_left_over_socket_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let first = options(dir.path());
    Agent::start(first.clone()).await.unwrap();
    let refused = Agent::start(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, StartAgentError::Socket(OpenSocketError::Taken { .. })), "{refused}");
    stop(&first).await;
    // What a process killed by force leaves behind.
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("run").join(CONTROL_SOCKET)));
    let second = options(dir.path());
    Agent::start(second.clone()).await.unwrap();
    for socket in [CONTROL_SOCKET, WORKLOAD_SOCKET] {
        let mode = fs::metadata(dir.path().join("run").join(socket)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o666, "{socket}");
    }
    stop(&second).await;
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("run")).unwrap();
    let path = dir.path().join("run").join(WORKLOAD_SOCKET);
    fs::write(&path, "precious").unwrap();
    let refused = Agent::start(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, StartAgentError::Socket(OpenSocketError::Bind { .. })), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn a_folder_others_may_write_into_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    fs::create_dir(&run).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = Agent::start(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, StartAgentError::RunDirOpen { .. }), "{refused}");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
    Agent::start(options(dir.path())).await.unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let options = AgentOptions { metrics: Some(address), ..options(dir.path()) };
    let refused = Agent::start(options).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("cannot listen on `{address}` for metrics"));
    assert!(!dir.path().join("run").join(CONTROL_SOCKET).exists(), "nothing is left open");
}
