//! The admin socket: metrics, status, decisions, health, drain. Local, for its owner alone; never reached by traffic.

use std::{
    convert::Infallible,
    fs::Permissions,
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use ringfort_model::DecisionId;
use serde::Serialize;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{explain, plane::PlaneView};

/// Most connections at once.
const CONNECTIONS_MAX: usize = 32;

/// Longest life of a connection: one scrape takes milliseconds.
const CONNECTION_MAX: Duration = Duration::from_secs(30);

/// What a proxy says of itself.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Status {
    /// Process id of this proxy.
    pub(crate) pid: u32,
    /// `waiting` for a first state, `serving`, `draining`, or `refusing` without a valid certificate.
    pub(crate) state: &'static str,
    pub(crate) revision: u64,
    pub(crate) digest: String,
    pub(crate) spiffe_id: Option<String>,
    pub(crate) certificate_not_after_ms: Option<u64>,
    /// `connected`, or why not.
    pub(crate) link: String,
    pub(crate) stale_seconds: u64,
    /// Why the newest configuration was refused; empty when it was not.
    pub(crate) nack: String,
    /// Where this sidecar accepts mTLS.
    pub(crate) address: Option<String>,
    /// Whether callers are told this instance's address.
    pub(crate) registered: bool,
    pub(crate) listeners: Vec<ListenerStatus>,
    /// Callees that no endpoint is known of.
    pub(crate) waiting_for: Vec<String>,
}

/// One socket.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ListenerStatus {
    pub(crate) purpose: String,
    pub(crate) address: String,
}

/// What the keeper shows to the admin socket.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) status: Mutex<Status>,
    pub(crate) view: ArcSwapOption<PlaneView>,
    /// Cancelled by `POST /drain`.
    pub(crate) drain: CancellationToken,
}

impl Board {
    pub(crate) fn new(drain: CancellationToken) -> Arc<Self> {
        let status = Status {
            pid: std::process::id(),
            state: "waiting",
            revision: 0,
            digest: String::new(),
            spiffe_id: None,
            certificate_not_after_ms: None,
            link: "not connected yet".to_owned(),
            stale_seconds: 0,
            nack: String::new(),
            address: None,
            registered: false,
            listeners: Vec::new(),
            waiting_for: Vec::new(),
        };
        Arc::new(Self { status: Mutex::new(status), view: ArcSwapOption::empty(), drain })
    }

    /// Changes what is shown.
    pub(crate) fn show(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Opens the socket. What a dead predecessor left there is replaced.
///
/// # Errors
/// The operating system refuses, or a living process answers there.
pub(crate) async fn open(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).await.is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another proxy of this name runs"));
    }
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until `stop`.
pub(crate) async fn serve(
    listener: UnixListener,
    board: Arc<Board>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let stream = tokio::select! {
            // Cancel-safe: a connection not accepted stays queued.
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the admin socket");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = stop.cancelled() => return,
        };
        if tasks.len() > CONNECTIONS_MAX {
            continue;
        }
        let board = Arc::clone(&board);
        drop(tasks.spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let response = answer(&board, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_MAX, serving).await {
                tracing::debug!(%error, "an admin connection ended");
            }
        }));
    }
}

fn answer(board: &Board, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let get = *request.method() == Method::GET;
    match path {
        "/metrics" if get => metrics(board),
        "/status" if get => json(&board.status()),
        "/healthz" if get => health(board),
        "/drain" if *request.method() == Method::POST => {
            board.drain.cancel();
            text(StatusCode::ACCEPTED, "draining\n")
        }
        "/metrics" | "/status" | "/healthz" | "/drain" => {
            text(StatusCode::METHOD_NOT_ALLOWED, "wrong method\n")
        }
        _ => match path.strip_prefix("/decisions/").filter(|_| get) {
            Some(id) => decision(board, id),
            None => text(StatusCode::NOT_FOUND, "no such page\n"),
        },
    }
}

fn health(board: &Board) -> Response<Full<Bytes>> {
    let state = board.status().state;
    let code = if state == "serving" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    text(code, state)
}

fn metrics(board: &Board) -> Response<Full<Bytes>> {
    let view = board.view.load_full();
    let written = view.map_or_else(|| Ok("# EOF\n".to_owned()), |view| view.metrics_text());
    let Ok(written) = written else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "metrics could not be written\n");
    };
    let mut response = Response::new(Full::from(written));
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(openmetrics));
    response
}

fn decision(board: &Board, id: &str) -> Response<Full<Bytes>> {
    let Ok(id) = id.parse::<DecisionId>() else {
        return text(StatusCode::BAD_REQUEST, "a decision id has 32 hex digits\n");
    };
    let view = board.view.load_full();
    let found = view.and_then(|view| Some((view.decision(id)?, view)));
    match found {
        Some((decision, view)) => json(&explain::explained(&view.live(), &decision)),
        None => text(StatusCode::NOT_FOUND, "no such decision is remembered\n"),
    }
}

fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = Response::new(Full::from(bytes));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        }
        Err(_unwritable) => text(StatusCode::INTERNAL_SERVER_ERROR, "cannot be written\n"),
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
