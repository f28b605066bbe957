//! A caller's connection from accept to close: handshake, who the caller is, which HTTP version, how long.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use ringfort_identity::peer_id;
use ringfort_model::{DecisionId, Limits, Refusal, Ring, SpiffeId, snapshot::Protocol};
use ringfort_policy::PolicyRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::{TlsAcceptor, TlsStream, rustls::ServerConfig};
use tokio_util::sync::CancellationToken;

use crate::{
    answer,
    live::{ListenerKey, Live, Part},
    request,
    socket::{Activity, Guarded, Patience, Socket},
    tcp,
    thread::Thread,
    upstream::connect::{ALPN_HTTP1, ALPN_HTTP2, ALPN_TCP},
    witness::{decisions::Decision, metrics::DecisionKey},
};

/// Bounds of TLS handshakes and of a connection's life.
///
/// # Source
/// Threat catalogue, rule D3.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
const HANDSHAKES_PENDING_MAX: u32 = 512;
const REQUESTS_MAX: u64 = 10_000;
const LIFE_MAX: Duration = Duration::from_secs(3600);
const CANCELS_MAX: usize = 100;
const CANCELS_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection that is to finish waits for one more request before it is closed: a caller that is just about
/// to send one gets its answer, with the word that it was the last.
const LAST_REQUEST_WITHIN: Duration = Duration::from_secs(1);

/// HTTP/2 settings of the same rule.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
const SEND_BUFFER_BYTES: usize = 64 * 1024;
const HEADER_TABLE_BYTES: u32 = 4096;
const PENDING_RESETS_MAX: usize = 20;
const FORCED_RESETS_MAX: usize = 64;
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_ANSWER: Duration = Duration::from_secs(20);

/// Read buffer of an HTTP/1.1 connection: bulk bodies are cheapest from 128 KiB up.
const BUFFER_BYTES_MAX: usize = 256 * 1024;

/// The first bytes of HTTP/2 with prior knowledge that no HTTP/1.1 request has.
const HTTP2_PREFACE: &[u8] = b"PRI ";

/// A caller's connection, as its requests see it.
pub(crate) struct Connection {
    pub(crate) thread: Rc<Thread>,
    pub(crate) key: ListenerKey,
    pub(crate) remote: SocketAddr,
    /// Who the caller proved to be.
    pub(crate) caller: Option<SpiffeId>,
    /// `mtls`, `tls` or `none`.
    pub(crate) security: &'static str,
    pub(crate) activity: Arc<Activity>,
    /// Cancelled when the connection is to finish: drain, age, number of requests, abuse.
    pub(crate) retire: CancellationToken,
    /// The id of the refusal, should a head be malformed or late.
    fault_id: DecisionId,
    served: Cell<u64>,
    cancels: RefCell<VecDeque<Instant>>,
}

impl Connection {
    /// Which way requests pass.
    pub(crate) const fn ingress(&self) -> &'static str {
        match self.key {
            ListenerKey::Gateway(_) => "gateway",
            ListenerKey::Inbound => "inbound",
            ListenerKey::Outbound(_) | ListenerKey::HttpProxy => "outbound",
        }
    }

    /// Counts a finished request; a connection that has had enough is asked to finish.
    pub(crate) fn request_ended(&self, cancelled: bool) {
        self.served.set(self.served.get().saturating_add(1));
        if self.served.get() >= REQUESTS_MAX {
            self.retire.cancel();
        }
        if !cancelled {
            return;
        }
        let now = Instant::now();
        let mut cancels = self.cancels.borrow_mut();
        while cancels.front().is_some_and(|at| now.duration_since(*at) > CANCELS_WITHIN) {
            cancels.pop_front();
        }
        cancels.push_back(now);
        if cancels.len() >= CANCELS_MAX {
            self.retire.cancel();
        }
    }

    /// Counts a permit that no HTTP exchange stands for.
    pub(crate) fn permitted(&self, policy: Option<&PolicyRef>) {
        let here = self.thread.here();
        let rules = &here.live.rules;
        let pair = match (&rules.part, &self.caller) {
            (Part::Sidecar(sidecar), Some(id)) => sidecar.callers.get(id).map(|it| it.pair),
            (Part::Sidecar(_), None) | (Part::Gateway(_), _) => None,
        };
        self.thread.metrics.decision(DecisionKey {
            pair: pair.unwrap_or_else(|| here.live.unknown_pair(&self.key)),
            ring: Ring::Policy,
            permits: true,
            reason: "permit",
            policy: policy.and_then(|policy| rules.policy_ids.get(&policy.id).copied()),
        });
    }

    /// Records a refusal that no HTTP exchange stands for.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        let id = self.thread.next_decision_id();
        refuse(&self.thread, &self.key, (self.remote, self.caller.as_ref()), id, refusal);
    }

    /// Records that a head was no HTTP, or came too late.
    fn refused_head(&self, refusal: &Refusal) {
        let peer = (self.remote, self.caller.as_ref());
        refuse(&self.thread, &self.key, peer, self.fault_id, refusal);
    }
}

/// Serves a connection until it ends.
pub(crate) async fn serve(
    thread: Rc<Thread>,
    key: ListenerKey,
    tcp: TcpStream,
    remote: SocketAddr,
) {
    let here = thread.here();
    let limits = here.live.limits_of(&key);
    let open = thread.open_connections(&key);
    if open.get() >= limits.connections.div_ceil(thread.threads) {
        let full = Refusal::new(Ring::Load, 0, "connections", "the listener has no room");
        refuse(&thread, &key, (remote, None), thread.next_decision_id(), &full);
        return;
    }
    let _open = Opened::new(&thread, &open);
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it began");
        return;
    }
    let (socket, caller, security, alpn) = match meet(&thread, &key, tcp, remote).await {
        Ok(met) => met,
        Err(refusal) => {
            refuse(&thread, &key, (remote, None), thread.next_decision_id(), &refusal);
            return;
        }
    };
    let connection = Rc::new(Connection {
        retire: thread.draining.child_token(),
        fault_id: thread.next_decision_id(),
        thread,
        key,
        remote,
        caller,
        security,
        activity: Activity::new(),
        served: Cell::new(0),
        cancels: RefCell::default(),
    });
    let result = match speech(&connection, &here.live, alpn) {
        Speech::Bytes => {
            tcp::serve(&connection, socket).await;
            Ok(())
        }
        Speech::Http2 => serve_http2(&connection, &limits, socket, Bytes::new()).await,
        Speech::Http1 => serve_http1(&connection, &limits, socket, Bytes::new()).await,
        Speech::Unknown => serve_guessed(&connection, &limits, socket).await,
    };
    if let Err(error) = result {
        tracing::debug!(%remote, %error, "a connection ended");
    }
}

/// What is spoken on a connection.
enum Speech {
    Bytes,
    Http1,
    Http2,
    /// Plaintext: HTTP/1.1, or HTTP/2 with prior knowledge.
    Unknown,
}

fn speech(connection: &Connection, live: &Live, alpn: Option<Alpn>) -> Speech {
    let callee = match &connection.key {
        ListenerKey::Inbound => live.local.as_ref(),
        ListenerKey::Outbound(name) => live.callees.get(name),
        ListenerKey::Gateway(_) | ListenerKey::HttpProxy => None,
    };
    match (callee.map(|callee| callee.protocol), alpn) {
        (Some(Protocol::Tcp), _) => Speech::Bytes,
        (_, Some(Alpn::Http2)) => Speech::Http2,
        (_, Some(Alpn::Http1)) => Speech::Http1,
        (_, None) => Speech::Unknown,
    }
}

/// What a handshake agreed on.
#[derive(Clone, Copy)]
enum Alpn {
    Http1,
    Http2,
}

type Met = (Socket, Option<SpiffeId>, &'static str, Option<Alpn>);

/// Ring `transport`: makes sure who the caller is, where that is demanded.
async fn meet(
    thread: &Rc<Thread>,
    key: &ListenerKey,
    tcp: TcpStream,
    remote: SocketAddr,
) -> Result<Met, Refusal> {
    let here = thread.here();
    let (config, refusals) = match key {
        ListenerKey::Outbound(_) | ListenerKey::HttpProxy => {
            return Ok((Socket::Plain(tcp), None, "none", None));
        }
        ListenerKey::Gateway(bind) => match here.live.public.get(bind) {
            None => return Ok((Socket::Plain(tcp), None, "none", None)),
            Some(config) => (Arc::clone(config), None),
        },
        ListenerKey::Inbound => {
            let (config, refusals) = inbound_settings(&here.live)?;
            (config, Some(refusals))
        }
    };
    let tls = shake_hands(thread, config, tcp, remote).await.map_err(|error| {
        let detail = refusals
            .as_ref()
            .and_then(|refusals| refusals.take())
            .map_or_else(|| error.to_string(), |reason| crate::upstream::with_cause(&reason));
        Refusal::new(Ring::Transport, 0, "handshake", detail)
    })?;
    let alpn = match tls.get_ref().1.alpn_protocol() {
        Some(name) if name == ALPN_HTTP2.as_bytes() => Some(Alpn::Http2),
        Some(_) | None => Some(Alpn::Http1),
    };
    let (caller, security) = match key {
        ListenerKey::Inbound => {
            let chain = tls.get_ref().1.peer_certificates().unwrap_or_default();
            let id = peer_id(chain)
                .map_err(|error| Refusal::new(Ring::Transport, 0, "peer_id", error.to_string()))?;
            (Some(id), "mtls")
        }
        ListenerKey::Gateway(_) | ListenerKey::Outbound(_) | ListenerKey::HttpProxy => {
            (None, "tls")
        }
    };
    Ok((Socket::Tls(Box::new(TlsStream::Server(tls))), caller, security, alpn))
}

fn inbound_settings(
    live: &Live,
) -> Result<(Arc<ServerConfig>, Arc<ringfort_identity::Refusals>), Refusal> {
    let Part::Sidecar(sidecar) = &live.rules.part else {
        return Err(Refusal::new(Ring::Transport, 0, "no_inbound", "a gateway has no callers"));
    };
    let is_tcp = live.local.as_ref().is_some_and(|local| local.protocol == Protocol::Tcp);
    let alpn: &[&str] = if is_tcp { &[ALPN_TCP] } else { &[ALPN_HTTP2, ALPN_HTTP1] };
    live.credentials
        .for_callers(&sidecar.allowed, alpn)
        .map_err(|error| Refusal::new(Ring::Transport, 0, "settings", error.to_string()))
}

async fn shake_hands(
    thread: &Rc<Thread>,
    config: Arc<ServerConfig>,
    tcp: TcpStream,
    _remote: SocketAddr,
) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    let pending = &thread.handshakes;
    if pending.get() >= HANDSHAKES_PENDING_MAX {
        return Err(io::Error::other("too many handshakes under way"));
    }
    let _pending = Pending::new(thread);
    let tls =
        tokio::time::timeout(HANDSHAKE_MAX, TlsAcceptor::from(config).accept(tcp)).await.map_err(
            |_late| io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long"),
        )??;
    thread.plain().handshakes.fetch_add(1, Ordering::Relaxed);
    Ok(tls)
}

/// Reads until it is clear which HTTP version a plaintext peer speaks; it has the time of a first head.
async fn serve_guessed(
    connection: &Rc<Connection>,
    limits: &Limits,
    mut socket: Socket,
) -> Result<(), hyper::Error> {
    let mut first = [0_u8; 24];
    let mut filled = 0;
    let read = async {
        while HTTP2_PREFACE.starts_with(first.get(..filled).unwrap_or_default()) && filled < 4 {
            let room = first.get_mut(filled..).unwrap_or_default();
            match socket.read(room).await {
                Ok(0) | Err(_) => return false,
                Ok(count) => filled = filled.saturating_add(count),
            }
        }
        true
    };
    let bound = limits.header_timeout.max(limits.idle);
    if !matches!(tokio::time::timeout(bound, read).await, Ok(true)) {
        return Ok(());
    }
    let ahead = Bytes::copy_from_slice(first.get(..filled).unwrap_or_default());
    if ahead.starts_with(HTTP2_PREFACE) {
        serve_http2(connection, limits, socket, ahead).await
    } else {
        serve_http1(connection, limits, socket, ahead).await
    }
}

fn guarded(
    connection: &Connection,
    limits: &Limits,
    socket: Socket,
    ahead: Bytes,
) -> TokioIo<Guarded> {
    let patience = Patience { head: limits.header_timeout, idle: limits.idle };
    let activity = Arc::clone(&connection.activity);
    TokioIo::new(Guarded::new(socket, ahead, activity, patience, connection.fault_id))
}

async fn serve_http1(
    connection: &Rc<Connection>,
    limits: &Limits,
    socket: Socket,
    ahead: Bytes,
) -> Result<(), hyper::Error> {
    let io = guarded(connection, limits, socket, ahead);
    let service = service_fn(|request: Request<Incoming>| {
        let connection = Rc::clone(connection);
        async move { Ok::<_, Infallible>(request::serve(&connection, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).max_buf_size(BUFFER_BYTES_MAX);
    // Room above the limits, so that it is we who refuse and record; the library's own bound comes after.
    builder.max_header_size(head_room(limits));
    if limits.header_count > 100 {
        builder.max_headers(usize::try_from(limits.header_count).unwrap_or(100).saturating_add(28));
    }
    let mut serving = builder.serve_connection(io, service).with_upgrades();
    let result = until_retired(connection, &mut serving, LAST_REQUEST_WITHIN, |serving| {
        serving.graceful_shutdown();
    })
    .await;
    if connection.activity.head_timed_out() {
        let slow = Refusal::new(Ring::Protocol, 408, "head_slow", "the request head took too long");
        connection.refused_head(&slow);
        if let Some(parts) = serving.into_parts() {
            let answer = answer::raw_problem(408, connection.fault_id);
            last_words(parts.io.into_inner(), &answer).await;
        }
        return Ok(());
    }
    if let (Err(error), Some(status)) = (&result, connection.activity.malformed_status()) {
        let reason = if status == 400 { "head_malformed" } else { "head_size" };
        let detail = crate::upstream::with_cause(error);
        connection.refused_head(&Refusal::new(Ring::Protocol, status, reason, detail));
    }
    result
}

/// Answers a peer that is about to be left.
async fn last_words(mut io: Guarded, answer: &[u8]) {
    let said = async {
        io.write_all(answer).await?;
        io.shutdown().await
    };
    if let Err(error) = said.await {
        tracing::debug!(%error, "a slow peer did not take its answer");
    }
}

async fn serve_http2(
    connection: &Rc<Connection>,
    limits: &Limits,
    socket: Socket,
    ahead: Bytes,
) -> Result<(), hyper::Error> {
    let io = guarded(connection, limits, socket, ahead);
    let service = service_fn(|request: Request<Incoming>| {
        let connection = Rc::clone(connection);
        async move { Ok::<_, Infallible>(request::serve(&connection, request).await) }
    });
    let mut serving = http2::Builder::new(connection.thread.stream_executor())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_header_list_size(u32::try_from(limits.header_bytes.as_u64()).unwrap_or(u32::MAX))
        .header_table_size(HEADER_TABLE_BYTES)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(FORCED_RESETS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWER)
        .serve_connection(io, service);
    // HTTP/2 says goodbye in the protocol: requests that cross it are still answered.
    until_retired(connection, &mut serving, Duration::ZERO, |serving| {
        serving.graceful_shutdown();
    })
    .await
}

/// Serves until the connection ends; once it is to retire, no new request is taken.
async fn until_retired<S>(
    connection: &Connection,
    serving: &mut S,
    linger: Duration,
    retire: impl Fn(Pin<&mut S>),
) -> Result<(), hyper::Error>
where
    S: Future<Output = Result<(), hyper::Error>> + Unpin,
{
    let retired = async {
        let life = tokio::time::sleep(LIFE_MAX);
        tokio::select! {
            // Both only wait: losing either loses nothing.
            () = connection.retire.cancelled() => {}
            () = life => {}
        }
    };
    {
        let mut retired = pin!(retired);
        tokio::select! {
            // Not lost: the connection is polled again below.
            result = &mut *serving => return result,
            () = &mut retired => {}
        }
    }
    connection.retire.cancel();
    // From now on every response says that it is the last. A caller whose response had already begun cannot know, so
    // it is given the time to send another request and hear it.
    loop {
        let left = linger.saturating_sub(connection.activity.idle_for());
        if left.is_zero() {
            break;
        }
        if let Ok(result) = tokio::time::timeout(left, &mut *serving).await {
            return result;
        }
    }
    retire(Pin::new(serving));
    serving.await
}

/// The library's own bound on heads: far enough above ours that ours is met first.
fn head_room(limits: &Limits) -> usize {
    let ours = limits.header_bytes.as_usize().saturating_add(limits.url.as_usize());
    ours.saturating_mul(2).clamp(16 * 1024, BUFFER_BYTES_MAX)
}

/// Records a refusal of a connection.
fn refuse(
    thread: &Rc<Thread>,
    key: &ListenerKey,
    (remote, caller): (SocketAddr, Option<&SpiffeId>),
    id: DecisionId,
    refusal: &Refusal,
) {
    let here = thread.here();
    let pair = here.live.unknown_pair(key);
    let (ring, reason) = (refusal.ring, refusal.reason);
    thread.metrics.decision(DecisionKey { pair, ring, permits: false, reason, policy: None });
    let workload = here.live.rules.snapshot.workload.to_string();
    let (ingress, destination) = match key {
        ListenerKey::Gateway(_) => ("gateway", workload),
        ListenerKey::Inbound => ("inbound", workload),
        ListenerKey::Outbound(name) => ("outbound", name.to_string()),
        ListenerKey::HttpProxy => ("outbound", "_OTHER".to_owned()),
    };
    let details = [(ring, format!("{reason}: {}", refusal.detail))];
    thread.witness.keep(Decision {
        id: id.to_string(),
        time: thread.clock.now().to_string(),
        permits: false,
        ring: ring.as_str(),
        reason,
        detail: refusal.detail.to_string(),
        status: refusal.status,
        revision: here.live.rules.snapshot.revision.number(),
        ingress,
        peer: remote.to_string(),
        source: caller.map_or_else(|| "_OTHER".to_owned(), SpiffeId::to_string),
        destination,
        route: None,
        operation: None,
        request: None,
        policy: None,
        walk: Decision::walk(ring, false, &details),
    });
}

/// An open connection, counted.
struct Opened(Rc<Thread>, Rc<Cell<u32>>);

impl Opened {
    fn new(thread: &Rc<Thread>, open: &Rc<Cell<u32>>) -> Self {
        open.set(open.get().saturating_add(1));
        thread.plain().active_connections.fetch_add(1, Ordering::Relaxed);
        Self(Rc::clone(thread), Rc::clone(open))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.1.set(self.1.get().saturating_sub(1));
        self.0.plain().active_connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A handshake under way, counted.
struct Pending(Rc<Thread>);

impl Pending {
    fn new(thread: &Rc<Thread>) -> Self {
        thread.handshakes.set(thread.handshakes.get().saturating_add(1));
        thread.plain().pending_handshakes.fetch_add(1, Ordering::Relaxed);
        Self(Rc::clone(thread))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.handshakes.set(self.0.handshakes.get().saturating_sub(1));
        self.0.plain().pending_handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}
