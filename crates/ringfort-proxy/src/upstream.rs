//! Towards the callee: which endpoint, which connection, and what it means when that fails.
//!
//! A request is tried once. It is tried once more, on a new connection, only when nothing can have been done with it:
//! it was never sent, or it is idempotent without a body and no response arrived on a reused connection.

use std::{cell::Cell, rc::Rc, sync::Arc};

use http::{Request, Response};
use hyper::body::Incoming;
use ringfort_model::{Limits, Name, Normalization, Refusal, Resilience, Ring, SpiffeId, snapshot};
use ringfort_traffic::{Balancer, Concurrency};
use tokio::time::Instant;

use crate::{body::RequestBody, credentials::Credentials, socket::Socket, thread::Thread};

pub(crate) mod connect;
mod http1;
mod http2;
pub(crate) mod pool;

use connect::{ALPN_TCP, ConnectFault};
pub(crate) use http1::idle_max;
pub(crate) use pool::{Lease, Pool};

/// Whom requests can be forwarded to: a service of the fleet through its sidecar, or the local program.
#[derive(Debug)]
pub(crate) struct Callee {
    pub(crate) name: Name,
    pub(crate) protocol: snapshot::Protocol,
    pub(crate) normalization: Normalization,
    pub(crate) limits: Limits,
    pub(crate) resilience: Resilience,
    pub(crate) transport: Transport,
    pub(crate) endpoints: Vec<snapshot::Endpoint>,
    pub(crate) balancer: Balancer,
    /// Room for requests; shared by all threads and kept across snapshots.
    pub(crate) room: Arc<Concurrency>,
}

/// How bytes travel to a callee.
#[derive(Debug, Clone)]
pub(crate) enum Transport {
    /// Plaintext to the local program.
    Plain,
    /// mTLS, to exactly this identity.
    Mtls { id: SpiffeId, credentials: Arc<Credentials> },
}

/// One thread's way to a callee: the callee and this thread's connections to each endpoint, in the same order.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) callee: Arc<Callee>,
    pub(crate) pools: Vec<Rc<Pool>>,
}

/// Why a callee gave no response head.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamFault {
    /// Nobody serves it now.
    #[error("no instance of `{0}` is known")]
    NoEndpoint(Name),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectFault),
    /// The connection ended before a response.
    #[error("the connection ended before a response")]
    Closed(#[source] hyper::Error),
    /// What came back is no HTTP response.
    #[error("the response is malformed")]
    Malformed(#[source] hyper::Error),
}

impl From<UpstreamFault> for Refusal {
    fn from(fault: UpstreamFault) -> Self {
        let detail = with_cause(&fault);
        match fault {
            UpstreamFault::NoEndpoint(_) => Self::new(Ring::Load, 503, "no_endpoint", detail),
            UpstreamFault::Connect(ConnectFault::WrongPeer { .. }) => {
                Self::new(Ring::Transport, 502, "wrong_callee", detail)
            }
            UpstreamFault::Connect(
                ConnectFault::Tls { .. } | ConnectFault::Alpn { .. } | ConnectFault::Settings(_),
            ) => Self::new(Ring::Transport, 502, "callee_handshake", detail),
            UpstreamFault::Connect(ConnectFault::Http { .. }) => {
                Self::new(Ring::Protocol, 502, "callee_protocol", detail)
            }
            UpstreamFault::Connect(ConnectFault::Tcp { .. } | ConnectFault::Late { .. }) => {
                Self::new(Ring::Load, 503, "connect", detail)
            }
            UpstreamFault::Closed(_) => Self::new(Ring::Load, 502, "callee_closed", detail),
            UpstreamFault::Malformed(_) => {
                Self::new(Ring::Protocol, 502, "response_malformed", detail)
            }
        }
    }
}

/// The text of an error and its causes, each once.
pub(crate) fn with_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

impl Door {
    /// Sends a request and waits for the response head; the lease is this exchange's hold on its connection.
    ///
    /// # Errors
    /// [`UpstreamFault`]: no endpoint gave a response head.
    pub(crate) async fn send(
        &self,
        thread: &Rc<Thread>,
        request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Lease), UpstreamFault> {
        let (at, first) = self.pick(thread, None)?;
        match self.send_to(thread, first, request).await {
            Ok(sent) => Ok(sent),
            Err(Unsent { fault, request: Some(request) }) => {
                // Never sent: another endpoint may take it.
                first.failed_at.set(Some(Instant::now()));
                let Ok((_, second)) = self.pick(thread, Some(at)) else { return Err(fault) };
                thread.count_retry();
                self.send_to(thread, second, *request).await.map_err(|unsent| unsent.fault)
            }
            Err(Unsent { fault, request: None }) => Err(fault),
        }
    }

    /// Connects for bytes; a second endpoint is tried when the first refuses.
    ///
    /// # Errors
    /// [`UpstreamFault`]: nobody took the connection.
    pub(crate) async fn connect_bytes(
        &self,
        thread: &Rc<Thread>,
    ) -> Result<(Socket, Lease), UpstreamFault> {
        let limit = self.callee.resilience.connect;
        let (at, first) = self.pick(thread, None)?;
        let mut pool = first;
        let mut connected =
            connect::connect(pool.address, &self.callee.transport, ALPN_TCP, limit).await;
        if connected.is_err()
            && let Ok((_, second)) = self.pick(thread, Some(at))
        {
            first.failed_at.set(Some(Instant::now()));
            pool = second;
            connected =
                connect::connect(pool.address, &self.callee.transport, ALPN_TCP, limit).await;
        }
        thread.count_upstream_connection();
        Ok((connected?, Lease::new(pool)))
    }

    async fn send_to(
        &self,
        thread: &Rc<Thread>,
        pool: &Rc<Pool>,
        request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Lease), Unsent> {
        let lease = Lease::new(pool);
        if self.speaks_http2() {
            http2::send(thread, self, lease, request).await
        } else {
            http1::send(thread, self, lease, request).await
        }
    }

    /// Whether requests travel as HTTP/2; declared, never guessed.
    pub(crate) fn speaks_http2(&self) -> bool {
        matches!(self.callee.protocol, snapshot::Protocol::Http2 | snapshot::Protocol::Grpc)
    }

    /// Chooses an endpoint other than `except` and, while there is another, none that just refused a connection.
    ///
    /// # Errors
    /// [`UpstreamFault::NoEndpoint`].
    pub(crate) fn pick(
        &self,
        thread: &Thread,
        except: Option<usize>,
    ) -> Result<(usize, &Rc<Pool>), UpstreamFault> {
        if let ([only], None) = (self.pools.as_slice(), except) {
            return Ok((0, only));
        }
        let now = Instant::now();
        let load = |at: usize| self.pools.get(at).map_or(u32::MAX, |pool| pool.load(now));
        let chosen = self.callee.balancer.choose(thread.random(), except, load);
        chosen
            .and_then(|at| Some((at, self.pools.get(at)?)))
            .ok_or_else(|| UpstreamFault::NoEndpoint(self.callee.name.clone()))
    }
}

/// A request that was not answered; with the request itself when not a byte of it was sent.
pub(crate) struct Unsent {
    fault: UpstreamFault,
    request: Option<Box<Request<RequestBody>>>,
}

impl Unsent {
    fn lost(fault: impl Into<UpstreamFault>) -> Self {
        Self { fault: fault.into(), request: None }
    }

    fn kept(fault: impl Into<UpstreamFault>, request: Request<RequestBody>) -> Self {
        Self { fault: fault.into(), request: Some(Box::new(request)) }
    }
}

/// What of a request is needed to send it once more: everything, if it is idempotent and has no body.
struct Replay(Option<http::request::Parts>);

impl Replay {
    fn of(request: &Request<RequestBody>) -> Self {
        if !request.method().is_idempotent() || !request.body().is_empty() {
            return Self(None);
        }
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = request.method().clone();
        parts.uri = request.uri().clone();
        parts.version = request.version();
        parts.headers = request.headers().clone();
        Self(Some(parts))
    }

    fn request(self) -> Option<Request<RequestBody>> {
        self.0.map(|parts| Request::from_parts(parts, RequestBody::Empty))
    }
}

/// Sorts an error of the HTTP client into faults.
fn fault_of(error: hyper::Error) -> UpstreamFault {
    if error.is_parse() { UpstreamFault::Malformed(error) } else { UpstreamFault::Closed(error) }
}

/// A number of things in use that falls by one when the guard is dropped.
#[derive(Debug)]
struct InUse(Rc<Cell<u32>>);

impl InUse {
    fn new(count: &Rc<Cell<u32>>) -> Self {
        count.set(count.get().saturating_add(1));
        Self(Rc::clone(count))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
