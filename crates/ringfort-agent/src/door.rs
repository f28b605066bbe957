//! A local socket that anyone may connect to: attests each connection once, then speaks HTTP/2 with it.
//!
//! # Invariants
//! - What a service is told about its caller was attested on this very connection.
//! - A connection that cannot be attested is served all the same, as nobody: the service says `PermissionDenied`, so
//!   that the caller learns why.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, rt::Executor, server::conn::http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use ringfort_model::Selectors;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

use crate::{
    Attestor,
    attest::{AttestPeerError, Peer},
    authority::PlainAuthority,
    quota::{Held, Quota, Who},
};

/// Most connections of one user, and of all: a sidecar and its program need 3.
const CONNECTIONS_EACH_MAX: u32 = 1024;
const CONNECTIONS_ALL_MAX: u32 = 4096;

/// Most peers of one user attested at a time; the others wait.
const ATTESTED_AT_ONCE_MAX: usize = 4;

/// Longest wait for an attestation. Digesting 1 GiB takes 0.6 s.
const ATTEST_WITHIN: Duration = Duration::from_secs(5);

/// Most streams of one connection.
const STREAMS_MAX: u32 = 64;

/// Largest head of a request.
const HEAD_BYTES_MAX: u32 = 16 * 1024;

/// A silent connection is asked for a sign of life; without one it is closed.
const PING_EVERY: Duration = Duration::from_secs(15);
const PONG_WITHIN: Duration = Duration::from_secs(15);

/// Pause after an error of `accept`, most often too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Longest life of a connection after the agent was asked to stop.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Who is at the other end of a connection.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Whom its quotas belong to.
    pub(crate) who: Who,
    /// What was attested, or why nothing could be.
    pub(crate) facts: Result<Selectors, AttestPeerError>,
}

/// A bound socket; dropping it removes its file.
#[derive(Debug)]
pub(crate) struct Door {
    listener: UnixListener,
    path: PathBuf,
}

/// What all connections of all doors share.
#[derive(Debug, Clone)]
pub(crate) struct Porch {
    pub(crate) attestor: Attestor,
    pub(crate) tracker: TaskTracker,
    pub(crate) shutdown: CancellationToken,
    attesting: Arc<Mutex<BTreeMap<u32, Arc<Semaphore>>>>,
}

/// Why a socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenSocketError {
    /// Another process answers on it.
    #[error("another process already serves `{path}`")]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// It cannot be created.
    #[error("cannot open socket `{path}`")]
    Bind {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Door {
    /// Opens a socket that every user may connect to. A file left over by a process that is gone is replaced.
    pub(crate) fn open(path: PathBuf) -> Result<Self, OpenSocketError> {
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            return Err(OpenSocketError::Taken { path });
        }
        match bind(&path) {
            Ok(listener) => Ok(Self { listener, path }),
            Err(source) => Err(OpenSocketError::Bind { path, source }),
        }
    }

    /// Serves connections until shutdown. `service` is made for each connection, for its caller.
    pub(crate) async fn serve<S>(self, porch: Porch, service: impl Fn(Caller) -> S)
    where
        S: Service<Request<Incoming>, Response = Response<tonic::body::Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        let connections = Quota::new(CONNECTIONS_EACH_MAX, CONNECTIONS_ALL_MAX);
        let (attested, mut arrivals) = tokio::sync::mpsc::channel(64);
        loop {
            tokio::select! {
                () = porch.shutdown.cancelled() => return,
                // Cancel-safe: a connection not accepted stays in the backlog.
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _unnamed)) => {
                        porch.admit(stream, &connections, attested.clone());
                    }
                    Err(error) => {
                        tracing::warn!(socket = %self.path.display(), %error, "cannot accept");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                // Cancel-safe: an arrival not taken stays queued. `attested` is held here, so it never closes.
                arrival = arrivals.recv() => {
                    let Some(Arrival { stream, caller, held }) = arrival else { return };
                    let connection = converse(stream, service(caller), porch.clone());
                    porch.tracker.spawn(async move {
                        connection.await;
                        drop(held);
                    });
                }
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Nothing can be done about a file that is already gone.
        drop(std::fs::remove_file(&self.path));
    }
}

/// A connection whose caller is known.
struct Arrival {
    stream: UnixStream,
    caller: Caller,
    held: Held<u32>,
}

impl Porch {
    pub(crate) fn new(
        attestor: Attestor,
        tracker: TaskTracker,
        shutdown: CancellationToken,
    ) -> Self {
        Self { attestor, tracker, shutdown, attesting: Arc::default() }
    }

    /// Attests a connection on a task of its own, so that a slow disk holds up nobody else.
    fn admit(
        &self,
        stream: UnixStream,
        connections: &Quota<u32>,
        attested: tokio::sync::mpsc::Sender<Arrival>,
    ) {
        let peer = Peer::of(&stream);
        // Who has no number here has no user either; they share one count.
        let uid = peer.as_ref().map_or(u32::MAX, Peer::uid);
        let Some(held) = connections.take(uid) else {
            tracing::warn!(uid, "too many connections; one was closed");
            return;
        };
        let porch = self.clone();
        self.tracker.spawn(async move {
            let facts = match peer {
                Ok(peer) => porch.attest(peer).await,
                Err(error) => Err(error),
            };
            if let Err(error) = &facts {
                tracing::warn!(uid, reason = crate::reason(error), "cannot attest a connection");
            }
            let who = facts.as_ref().map_or(Who::User(uid), Who::of);
            let arrival = Arrival { stream, caller: Caller { who, facts }, held };
            // Fails only when the door was closed meanwhile.
            drop(attested.send(arrival).await);
        });
    }

    async fn attest(&self, peer: Peer) -> Result<Selectors, AttestPeerError> {
        let turn = self.turn(peer.uid());
        let within = async {
            let permit = turn.acquire_owned().await.map_err(|_closed| AttestPeerError::Busy)?;
            let attestor = self.attestor.clone();
            let read = self.tracker.spawn_blocking(move || {
                let facts = attestor.attest(peer);
                // Kept while a read hangs, even when nobody waits for it any more.
                drop(permit);
                facts
            });
            read.await.map_err(|_panicked| AttestPeerError::Busy)?
        };
        timeout(ATTEST_WITHIN, within).await.map_err(|_elapsed| AttestPeerError::Busy)?
    }

    fn turn(&self, uid: u32) -> Arc<Semaphore> {
        let mut attesting = self.attesting.lock().unwrap_or_else(PoisonError::into_inner);
        attesting.retain(|_uid, turn| {
            Arc::strong_count(turn) > 1 || turn.available_permits() < ATTESTED_AT_ONCE_MAX
        });
        let new = || Arc::new(Semaphore::new(ATTESTED_AT_ONCE_MAX));
        Arc::clone(attesting.entry(uid).or_insert_with(new))
    }
}

/// Speaks HTTP/2 with one connection until it ends; after shutdown for a bounded time.
async fn converse<S>(stream: UnixStream, service: S, porch: Porch)
where
    S: Service<Request<Incoming>, Response = Response<tonic::body::Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let answer = hyper::service::service_fn(move |request| {
        let mut service = service.clone();
        async move {
            std::future::poll_fn(|context| service.poll_ready(context)).await?;
            service.call(request).await
        }
    });
    // What gRPC clients send as authority over a Unix socket is mostly none.
    let stream = PlainAuthority::new(stream);
    let mut builder = http2::Builder::new(OnTracker(porch.tracker));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), answer));
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(reason = crate::reason(&error), "a connection broke off");
            }
            return;
        }
        // Losing it is safe: a token stays cancelled.
        () = porch.shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    // Streams end by themselves on shutdown; who does not read their end is cut off.
    drop(timeout(CLOSE_WITHIN, connection).await);
}

/// Runs the streams of a connection on the tracker.
#[derive(Debug, Clone)]
struct OnTracker(TaskTracker);

impl<F> Executor<F> for OnTracker
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        // Left over: nobody answered on it. Anything else is not ours to remove, and binding says so.
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}
