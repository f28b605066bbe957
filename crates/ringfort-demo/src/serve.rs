//! Serving one program of the shop: sockets, limits, and a clean end.

use std::{convert::Infallible, fmt, str::FromStr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    call::{ReadUpstreamsError, Upstreams, read_limited},
    shop::{Inventory, Ledger, Orders, Payments, Web},
};

/// Most connections a program serves at once; its only client is its own sidecar.
const CONNECTIONS_MAX: usize = 1024;
/// Largest request body.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Longest wait for a request head.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Longest wait for open requests at the end.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// Pause after the system refused a new connection, usually for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where browsers find the shop unless `PUBLIC_URL` says otherwise.
const PUBLIC_URL: &str = "https://localhost:8443";

/// One of the shop's programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// The front page.
    Web,
    /// Takes orders; calls the three below.
    Orders,
    /// Charges.
    Payments,
    /// Stock and reservations.
    Inventory,
    /// An append-only list of lines.
    Ledger,
}

/// There is no such program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the shop has no program `{0}`: web, orders, payments, inventory, ledger")]
pub struct ParseProgramError(String);

impl Program {
    /// Every program.
    pub const ALL: [Self; 5] =
        [Self::Web, Self::Orders, Self::Payments, Self::Inventory, Self::Ledger];

    /// Its name in the fleet file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Orders => "orders",
            Self::Payments => "payments",
            Self::Inventory => "inventory",
            Self::Ledger => "ledger",
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Program {
    type Err = ParseProgramError;

    fn from_str(text: &str) -> Result<Self, ParseProgramError> {
        let found = Self::ALL.into_iter().find(|program| program.as_str() == text);
        found.ok_or_else(|| ParseProgramError(text.to_owned()))
    }
}

/// A request as the programs see it.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Bytes,
    pub(crate) trace: Option<HeaderValue>,
    /// Every field, for the program that shows what reached it.
    pub(crate) fields: HeaderMap,
}

/// An answer as the programs make it.
pub(crate) struct Reply {
    status: StatusCode,
    content_type: &'static str,
    body: String,
}

impl Reply {
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self { status, content_type: "application/json", body: format!("{body}\n") }
    }

    pub(crate) fn html(body: String) -> Self {
        Self { status: StatusCode::OK, content_type: "text/html; charset=utf-8", body }
    }

    pub(crate) fn fault(status: StatusCode, message: &str) -> Self {
        Self::json(status, &json!({ "error": message }))
    }

    pub(crate) fn not_found() -> Self {
        Self::fault(StatusCode::NOT_FOUND, "there is nothing here")
    }
}

/// The program behind a listener.
enum Handler {
    Web(Web),
    Orders(Orders),
    Payments(Payments),
    Inventory(Inventory),
    Ledger(Ledger),
}

impl Handler {
    fn new(program: Program, upstreams: Upstreams, public_url: String) -> Self {
        match program {
            Program::Web => Self::Web(Web::new(upstreams, public_url)),
            Program::Orders => Self::Orders(Orders::new(upstreams)),
            Program::Payments => Self::Payments(Payments::default()),
            Program::Inventory => Self::Inventory(Inventory::opening()),
            Program::Ledger => Self::Ledger(Ledger::default()),
        }
    }

    async fn answer(&self, asked: Asked) -> Reply {
        match self {
            Self::Web(web) => web.answer(asked).await,
            Self::Orders(orders) => orders.answer(asked).await,
            Self::Payments(payments) => payments.answer(&asked),
            Self::Inventory(inventory) => inventory.answer(&asked),
            Self::Ledger(_) => Reply::not_found(),
        }
    }
}

/// What a program needs to know beside its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeOptions {
    /// Where it finds its callees.
    pub upstreams: Upstreams,
    /// Where browsers find the shop, for the front page.
    pub public_url: String,
}

impl ServeOptions {
    /// Reads the variables of [`Upstreams::read`], and `PUBLIC_URL`.
    ///
    /// # Errors
    /// As [`Upstreams::read`].
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ReadUpstreamsError> {
        let public_url = variable("PUBLIC_URL").unwrap_or_else(|| PUBLIC_URL.to_owned());
        Ok(Self { public_url, upstreams: Upstreams::read(variable)? })
    }
}

/// The program's port cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on 127.0.0.1:{port}")]
pub struct ListenError {
    port: u16,
    #[source]
    source: std::io::Error,
}

/// Serves one program on a loopback port until `shutdown`; see [`serve_on`].
///
/// # Errors
/// [`ListenError`].
pub async fn serve(
    program: Program,
    port: u16,
    options: ServeOptions,
    shutdown: CancellationToken,
) -> Result<usize, ListenError> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    let listener = listener.map_err(|source| ListenError { port, source })?;
    Ok(serve_on(program, listener, options, shutdown).await)
}

/// Serves one program until `shutdown`, then finishes open requests for at most 5 s; returns how many it cut off.
pub async fn serve_on(
    program: Program,
    listener: TcpListener,
    options: ServeOptions,
    shutdown: CancellationToken,
) -> usize {
    let handler = Arc::new(Handler::new(program, options.upstreams, options.public_url));
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            // Cancel-safe: a connection not accepted stays in the backlog.
            accepted = accept(&listener, &room) => accepted,
            // Cancel-safe: a token stays cancelled.
            () = shutdown.cancelled() => break,
        };
        let Some((stream, place)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (handler, shutdown) = (Arc::clone(&handler), shutdown.clone());
        connections.spawn(async move {
            converse(&handler, stream, shutdown).await;
            drop(place);
        });
    }
    connections.close();
    match tokio::time::timeout(DRAIN_MAX, connections.wait()).await {
        Ok(()) => 0,
        Err(_) => connections.len(),
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.ok()?;
    let (stream, _peer) = listener.accept().await.ok()?;
    Some((stream, place))
}

/// Serves one connection to its end. A fault of it is its client's: nobody else notices.
async fn converse(handler: &Arc<Handler>, stream: TcpStream, shutdown: CancellationToken) {
    if let Handler::Ledger(ledger) = handler.as_ref() {
        ledger.converse(stream, shutdown).await;
        return;
    }
    let handler = Arc::clone(handler);
    let service = service_fn(move |request| respond(Arc::clone(&handler), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        // Cancel-safe: it is awaited again below.
        ended = connection.as_mut() => ended,
        // Cancel-safe: a token stays cancelled.
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    drop(ended);
}

async fn respond(
    handler: Arc<Handler>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let reply = match read_limited(body, BODY_BYTES_MAX).await {
        Ok(body) => {
            let asked = Asked {
                method: head.method,
                path: head.uri.path().to_owned(),
                body,
                trace: head.headers.get("traceparent").cloned(),
                fields: head.headers,
            };
            handler.answer(asked).await
        }
        Err(_) => Reply::fault(StatusCode::PAYLOAD_TOO_LARGE, "the body cannot be read"),
    };
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"),
    );
    Ok(response)
}

#[cfg(test)]
mod tests;
