//! Byte streams under HTTP: one type for plain and TLS sockets, and the guard that bounds what a peer may keep waiting.
//!
//! Does **not** parse anything. The guard knows from the request path how many requests are in flight, and ends a
//! connection whose peer takes too long with a head, idles too long, or stops reading.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use ringfort_model::DecisionId;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};
use tokio_rustls::TlsStream;

use crate::answer;

/// Longest time a peer may refuse to take bytes.
///
/// # Source
/// Threat catalogue, rule D3.
pub(crate) const WRITE_STALL_MAX: Duration = Duration::from_secs(30);

/// A connected socket, with or without TLS.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }
}

/// How long the peer of a guarded connection may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a complete request head, from its first byte; from the start of the connection for the first one.
    pub(crate) head: Duration,
    /// Without a request.
    pub(crate) idle: Duration,
}

impl Patience {
    /// How often a connection with requests in flight is looked at.
    fn check_every(&self) -> Duration {
        self.idle.checked_div(4).unwrap_or(self.idle)
    }
}

/// What the request path tells the guard about one connection. Owned by the connection, written by its own thread.
#[derive(Debug)]
pub(crate) struct Activity {
    born: Instant,
    in_flight: AtomicU32,
    in_head: AtomicBool,
    since_ms: AtomicU64,
    head_timed_out: AtomicBool,
    malformed_status: AtomicU32,
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            in_flight: AtomicU32::new(0),
            in_head: AtomicBool::new(true),
            since_ms: AtomicU64::new(0),
            head_timed_out: AtomicBool::new(false),
            malformed_status: AtomicU32::new(0),
        })
    }

    /// A head is complete: one more request in flight.
    pub(crate) fn request_begins(&self) {
        self.in_head.store(false, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A response is complete or given up.
    pub(crate) fn request_ends(&self) {
        self.since_ms.store(self.age_ms(), Ordering::Relaxed);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// How long no request has been in flight.
    pub(crate) fn idle_for(&self) -> Duration {
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        let since = self.since_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.age_ms().saturating_sub(since))
    }

    /// Whether the connection ended because a head did not arrive in time.
    pub(crate) fn head_timed_out(&self) -> bool {
        self.head_timed_out.load(Ordering::Relaxed)
    }

    /// The status with which a malformed head was answered, if one was.
    pub(crate) fn malformed_status(&self) -> Option<u16> {
        u16::try_from(self.malformed_status.load(Ordering::Relaxed)).ok().filter(|it| *it != 0)
    }

    fn in_head(&self) -> bool {
        self.in_head.load(Ordering::Relaxed) && self.in_flight.load(Ordering::Relaxed) == 0
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(Instant::now().duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }

    fn bytes_arrive(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0 && !self.in_head.load(Ordering::Relaxed) {
            self.since_ms.store(self.age_ms(), Ordering::Relaxed);
            self.in_head.store(true, Ordering::Relaxed);
        }
    }

    /// When the peer must have sent something; `None` while it is our turn.
    fn deadline(&self, patience: Patience) -> Option<Instant> {
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let allowed =
            if self.in_head.load(Ordering::Relaxed) { patience.head } else { patience.idle };
        let since = Duration::from_millis(self.since_ms.load(Ordering::Relaxed));
        self.born.checked_add(since.saturating_add(allowed))
    }
}

/// A socket whose peer is held to [`Patience`] and [`WRITE_STALL_MAX`]. Bytes read ahead are given back first.
#[derive(Debug)]
pub(crate) struct Guarded {
    socket: Socket,
    ahead: Bytes,
    activity: Arc<Activity>,
    patience: Patience,
    stalled_at: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    /// The id of the refusal, should a head be malformed.
    fault_id: DecisionId,
    /// What is left of our answer to a malformed head.
    instead: Bytes,
}

impl Guarded {
    pub(crate) fn new(
        socket: Socket,
        ahead: Bytes,
        activity: Arc<Activity>,
        patience: Patience,
        fault_id: DecisionId,
    ) -> Self {
        let timer = Box::pin(tokio::time::sleep(patience.head.min(patience.check_every())));
        let (stalled_at, instead) = (None, Bytes::new());
        Self { socket, ahead, activity, patience, stalled_at, timer, fault_id, instead }
    }

    /// Writes our own answer to a malformed head in place of the HTTP library's, which names no decision. `None` for
    /// every other write.
    fn poll_answer(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Option<Poll<io::Result<usize>>> {
        if self.instead.is_empty() {
            let status = self.activity.in_head().then(|| librarys_refusal(buf)).flatten()?;
            self.activity.malformed_status.store(u32::from(status), Ordering::Relaxed);
            self.instead = Bytes::from(answer::raw_problem(status, self.fault_id));
        }
        while self.instead.has_remaining() {
            match Pin::new(&mut self.socket).poll_write(cx, &self.instead) {
                Poll::Ready(Ok(count)) => self.instead.advance(count.min(self.instead.len())),
                Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
                Poll::Pending => return Some(Poll::Pending),
            }
        }
        Some(Poll::Ready(Ok(buf.len())))
    }

    fn deadline(&self) -> Option<Instant> {
        let write = self.stalled_at.and_then(|at| at.checked_add(WRITE_STALL_MAX));
        let read = self.activity.deadline(self.patience);
        match (read, write) {
            (Some(read), Some(write)) => Some(read.min(write)),
            (deadline, None) | (None, deadline) => deadline,
        }
    }

    /// Arms the timer; `Ready` once the peer has used up its time. The timer moves only when it must fire earlier or
    /// has fired, so a request costs no timer operation. While requests are in flight it fires now and then, since
    /// nobody may read again when the last of them ends.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let deadline = self.deadline();
            if let Some(deadline) = deadline
                && deadline < self.timer.deadline()
            {
                self.timer.as_mut().reset(deadline);
            }
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            match deadline {
                Some(deadline) if deadline <= now => return Poll::Ready(()),
                Some(deadline) => self.timer.as_mut().reset(deadline),
                None => {
                    let later = now.checked_add(self.patience.check_every()).unwrap_or(now);
                    self.timer.as_mut().reset(later);
                }
            }
        }
    }

    fn give_back(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead.split_to(count));
    }

    fn after_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled_at = None;
            return written;
        }
        self.stalled_at.get_or_insert_with(Instant::now);
        ready!(self.poll_patience(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer stopped reading")))
    }
}

/// The status of the answer that hyper gives by itself to a head it cannot read: it writes this and nothing else
/// while a head is being read.
fn librarys_refusal(buf: &[u8]) -> Option<u16> {
    let head = buf.strip_prefix(b"HTTP/1.1 4".as_slice())?;
    let (digits, rest) = head.split_at_checked(2)?;
    let fields = rest.windows(REFUSAL_FIELDS.len()).any(|part| part == REFUSAL_FIELDS);
    let digits = std::str::from_utf8(digits).ok()?.parse::<u16>().ok()?;
    (fields && buf.ends_with(b"\r\n\r\n")).then_some(400_u16.saturating_add(digits))
}

const REFUSAL_FIELDS: &[u8] = b"\r\nconnection: close\r\ncontent-length: 0\r\n";

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.has_remaining() {
            this.give_back(buf);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.socket).poll_read(cx, buf) {
            if buf.filled().len() > before {
                this.activity.bytes_arrive();
            }
            return Poll::Ready(read);
        }
        ready!(this.poll_patience(cx));
        if this.activity.in_head() {
            this.activity.head_timed_out.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer sent nothing in time")))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match this.poll_answer(cx, buf) {
            Some(written) => written,
            None => Pin::new(&mut this.socket).poll_write(cx, buf),
        };
        this.after_write(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.socket).poll_flush(cx);
        this.after_write(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let closed = Pin::new(&mut this.socket).poll_shutdown(cx);
        this.after_write(cx, closed)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let answered = if let [only] = bufs { this.poll_answer(cx, only) } else { None };
        let written = match answered {
            Some(written) => written,
            None => Pin::new(&mut this.socket).poll_write_vectored(cx, bufs),
        };
        this.after_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
