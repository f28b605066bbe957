//! The role: open the store, put the head in force, listen on a Unix socket until told to stop.

use std::{
    io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ringfort_identity::Sha256Digester;
use ringfort_model::{Digester, Name, WallClock};
use ringfort_store::{OpenStoreError, QueryStoreError, Store};
use ringfort_wire::{
    discovery::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer,
    resource::MESSAGE_BYTES_MAX,
    v1::{admin_server::AdminServer, link_server::LinkServer},
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport;

use crate::{
    admin::AdminService,
    ads::AdsService,
    authority::{self, KeepKeysError, KeyKeeper, SealingKeyError},
    link::LinkService,
    peer::Guarded,
    server::{Server, now},
};

/// Largest message of an operator: a whole fleet folder (16 MiB of documents) with its contracts.
const OPERATOR_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most streams of one connection; an agent relays each local connection over its own.
const STREAMS_MAX: u32 = 1024;

/// How long a call may take until its first answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

const PING_EVERY: Duration = Duration::from_secs(15);
const PONG_WITHIN: Duration = Duration::from_secs(15);

/// Instance changes within this time are told in one message.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// How often authorities and logs are looked after.
const MAINTAIN_EVERY: Duration = Duration::from_hours(1);

/// How long open calls may go on after the order to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// What a server is started with.
#[derive(Debug)]
pub struct ServerOptions {
    /// Where it listens; an old socket nobody listens on is replaced. Mode 0600.
    pub socket: PathBuf,
    /// The database file, created when missing.
    pub database: PathBuf,
    /// The file of the 32-byte key that seals secrets in the database; made (mode 0600) on the first start.
    pub sealing_key: PathBuf,
    /// Name of this host.
    pub host: Name,
    /// Process id of this host's agent, whose word about processes is taken; `None` takes that of any process of the
    /// server's own user.
    pub agent: Option<u32>,
    /// The wall clock.
    pub clock: Arc<dyn WallClock>,
    /// Stops the server.
    pub shutdown: CancellationToken,
}

/// Why a server does not start or ends early.
#[derive(Debug, thiserror::Error)]
pub enum RunServerError {
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Store(#[source] OpenStoreError),
    /// The store cannot be read.
    #[error("cannot read the store")]
    Read(#[source] QueryStoreError),
    /// The sealing key cannot be used.
    #[error(transparent)]
    SealingKey(#[from] SealingKeyError),
    /// The fleet's keys cannot be used.
    #[error("cannot use the fleet's keys")]
    Keys(#[source] KeepKeysError),
    /// The socket cannot be made.
    #[error("cannot listen on `{path}`")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something else lies where the socket belongs.
    #[error("`{path}` exists and is no socket")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The listener failed.
    #[error("the listener failed")]
    Serve(#[source] transport::Error),
}

/// Runs a control plane until `options.shutdown` is cancelled.
///
/// # Errors
/// [`RunServerError`]: it could not start, or its socket failed.
pub async fn run(options: ServerOptions) -> Result<(), RunServerError> {
    let server = open(&options).await?;
    let listener = listen(&options.socket)?;
    tracing::info!(socket = %options.socket.display(), "listening");
    server.tracker.spawn(publish_endpoints(Arc::clone(&server)));
    server.tracker.spawn(maintain(Arc::clone(&server)));

    let served = serve(Arc::clone(&server), listener, options.agent).await;
    server.shutdown.cancel();
    server.tracker.close();
    if tokio::time::timeout(DRAIN, server.tracker.wait()).await.is_err() {
        tracing::warn!(left = server.tracker.len(), "tasks were cut off");
    }
    // Whoever connects from now on is told at once that nobody listens.
    if let Err(error) = std::fs::remove_file(&options.socket) {
        tracing::warn!(%error, "cannot remove the socket");
    }
    server.keys.store.close().await;
    served
}

async fn open(options: &ServerOptions) -> Result<Arc<Server>, RunServerError> {
    let digester: Arc<dyn Digester> = Arc::new(Sha256Digester);
    let store = Store::open(&options.database, Arc::clone(&digester))
        .await
        .map_err(RunServerError::Store)?;
    let has_secrets = store.has_secrets().await.map_err(RunServerError::Read)?;
    let sealer = authority::sealing_key(&options.sealing_key, has_secrets)?;
    let keys =
        KeyKeeper { store, sealer: Arc::new(sealer), clock: Arc::clone(&options.clock), digester };
    let config_key = keys.config_key().await.map_err(RunServerError::Keys)?;
    let shutdown = options.shutdown.clone();
    let server = Arc::new(Server::new(keys, config_key, options.host.clone(), shutdown));
    let revision = server.resume().await.map_err(RunServerError::Keys)?;
    server.restore_instances(now()).await.map_err(RunServerError::Read)?;
    tracing::info!(%revision, "state loaded");
    Ok(server)
}

async fn serve(
    server: Arc<Server>,
    listener: UnixListener,
    agent: Option<u32>,
) -> Result<(), RunServerError> {
    let ads = AggregatedDiscoveryServiceServer::new(AdsService { server: Arc::clone(&server) })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let link = LinkServer::new(LinkService { server: Arc::clone(&server) })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let admin = AdminServer::new(AdminService { server: Arc::clone(&server) })
        .max_decoding_message_size(OPERATOR_BYTES_MAX)
        .max_encoding_message_size(OPERATOR_BYTES_MAX);
    let uid = rustix::process::geteuid().as_raw();
    let guarded = Guarded { uid, agent, ads, link, admin };
    let stop = server.shutdown.clone().cancelled_owned();
    let serving = transport::Server::builder()
        .timeout(CALL_TIMEOUT)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PONG_WITHIN))
        .serve_with_incoming_shutdown(guarded, UnixListenerStream::new(listener), stop);
    // Open connections get their time to end; a client that keeps one open does not keep the server.
    let cut = async {
        server.shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => served.map_err(RunServerError::Serve),
        // Losing the connections left is what the end of the server means.
        () = cut => Ok(()),
    }
}

/// Binds the socket for its owner alone; a socket left by a server that is gone is replaced.
fn listen(path: &Path) -> Result<UnixListener, RunServerError> {
    let failed = |source| RunServerError::Listen { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        // The store's lock says that no other server of this state runs.
        Ok(facts) if facts.file_type().is_socket() => {
            std::fs::remove_file(path).map_err(failed)?;
        }
        Ok(_something_else) => {
            return Err(RunServerError::NotASocket { path: path.to_owned() });
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(failed(source)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    // Until here others might connect; every call is checked by the peer's user all the same.
    let owner_only = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, owner_only).map_err(failed)?;
    Ok(listener)
}

/// Tells changed lists of endpoints, and forgets instances whose time is over.
async fn publish_endpoints(server: Arc<Server>) {
    loop {
        let due = server.registry().next_deadline();
        let expiry = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Nothing is lost: lists are computed again after a restart.
            () = server.shutdown.cancelled() => return,
            // Cancel-safe: a notice not taken stays.
            () = server.registry_changed.notified() => tokio::time::sleep(DEBOUNCE).await,
            // Cancel-safe: the deadline is asked for again.
            () = expiry => {}
        }
        if let Err(error) = server.expire_instances().await {
            tracing::error!(%error, "cannot forget an instance");
        }
        server.publish_endpoints();
    }
}

async fn maintain(server: Arc<Server>) {
    loop {
        if let Err(error) = server.maintain().await {
            tracing::error!(%error, "cannot look after the authority");
        }
        tokio::select! {
            // Nothing is lost: the next start looks first.
            () = server.shutdown.cancelled() => return,
            () = tokio::time::sleep(MAINTAIN_EVERY) => {}
        }
    }
}
