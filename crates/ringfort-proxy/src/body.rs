//! Bodies on their way: the request body under its limits, and the response body with what ends together with it.
//!
//! Frames pass one by one and are never collected, so that streams stay streams.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::{exchange::Exchange, head, thread::Thread};

/// Why a request body stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    /// More bytes than the limit.
    #[error("the request body is larger than its limit")]
    TooLarge,
    /// Too long a pause between two pieces, or too slow altogether.
    #[error("the request body came too slowly")]
    TooSlow,
    /// The caller went away or broke the framing.
    #[error("the request body broke off")]
    Broken,
}

/// Where a request body notes why it stopped, for the request path to read.
pub(crate) type BodyFaultCell = Rc<Cell<Option<BodyFault>>>;

/// Bounds of one request body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyBounds {
    /// Most bytes.
    pub(crate) bytes_max: u64,
    /// Longest pause between two pieces.
    pub(crate) idle_max: Duration,
    /// Whether the trailers of gRPC pass.
    pub(crate) grpc: bool,
}

/// A request body towards the callee.
pub(crate) enum RequestBody {
    Empty,
    Streaming(Box<Streaming>),
}

/// The part of [`RequestBody`] that has bytes.
pub(crate) struct Streaming {
    thread: Rc<Thread>,
    /// `None` only while it is dropped.
    incoming: Option<Incoming>,
    left: u64,
    bounds: BodyBounds,
    taken: u64,
    /// Time spent waiting for the peer.
    waited: Duration,
    waiting_since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    fault: BodyFaultCell,
}

/// Slowest body: this many bytes per second once [`RATE_GRACE`] has passed.
///
/// # Source
/// Threat catalogue, rule D3: at least 1 KiB/s after 10 s.
const RATE_BYTES_PER_SECOND_MIN: u64 = 1024;
const RATE_GRACE: Duration = Duration::from_secs(10);

impl RequestBody {
    /// The body of a request, bounded; an empty one costs nothing.
    pub(crate) fn new(
        thread: &Rc<Thread>,
        incoming: Incoming,
        bounds: BodyBounds,
        fault: &BodyFaultCell,
    ) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        Self::Streaming(Box::new(Streaming {
            thread: Rc::clone(thread),
            incoming: Some(incoming),
            left: bounds.bytes_max,
            bounds,
            taken: 0,
            waited: Duration::ZERO,
            waiting_since: None,
            timer: Box::pin(tokio::time::sleep(bounds.idle_max)),
            fault: Rc::clone(fault),
        }))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

impl Streaming {
    fn stop(&self, fault: BodyFault) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.fault.set(Some(fault));
        Poll::Ready(Some(Err(fault)))
    }

    fn accept(&mut self, frame: Frame<Bytes>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if let Some(since) = self.waiting_since.take() {
            let waited = Instant::now().duration_since(since);
            self.waited = self.waited.saturating_add(waited);
            if self.is_too_slow() {
                return self.stop(BodyFault::TooSlow);
            }
        }
        let frame = match frame.into_trailers() {
            Ok(trailers) => {
                let kept = head::request_trailers(trailers, self.bounds.grpc);
                return Poll::Ready(Some(Ok(Frame::trailers(kept))));
            }
            Err(frame) => frame,
        };
        let length = frame.data_ref().map_or(0, Bytes::len);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let Some(left) = self.left.checked_sub(length) else {
            return self.stop(BodyFault::TooLarge);
        };
        self.left = left;
        self.taken = self.taken.saturating_add(length);
        Poll::Ready(Some(Ok(frame)))
    }

    /// Whether bytes come too slowly to be anything but an attack; time in which the callee kept us waiting is free.
    fn is_too_slow(&self) -> bool {
        let late = self.waited.saturating_sub(RATE_GRACE);
        self.taken < late.as_secs().saturating_mul(RATE_BYTES_PER_SECOND_MIN) && !self.bounds.grpc
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let now = Instant::now();
        if self.waiting_since.is_none() {
            self.waiting_since = Some(now);
            if let Some(deadline) = now.checked_add(self.bounds.idle_max) {
                self.timer.as_mut().reset(deadline);
            }
        }
        match self.timer.as_mut().poll(cx) {
            Poll::Ready(()) => self.stop(BodyFault::TooSlow),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let body = match self.get_mut() {
            Self::Empty => return Poll::Ready(None),
            Self::Streaming(body) => body,
        };
        let Some(incoming) = &mut body.incoming else { return Poll::Ready(None) };
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => body.accept(frame),
            Poll::Ready(Some(Err(_broken))) => body.stop(BodyFault::Broken),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => body.poll_idle(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(body) => body.incoming.as_ref().is_none_or(Body::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(body) => {
                body.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
            }
        }
    }
}

/// A caller that is answered before it has sent everything goes on sending for a while; what it sends is taken and
/// thrown away, or the reset of the connection could overtake the answer.
impl Drop for Streaming {
    fn drop(&mut self) {
        if let Some(rest) = self.incoming.take() {
            self.thread.discard(rest);
        }
    }
}

/// Most bytes and time that are spent on a body nobody wants.
const DISCARD_BYTES_MAX: u64 = 1024 * 1024;
const DISCARD_TIME_MAX: Duration = Duration::from_secs(2);

/// Takes what is left of a body, within limits.
pub(crate) async fn discard(mut rest: Incoming) {
    let all = async {
        let mut taken = 0_u64;
        while let Some(Ok(frame)) = rest.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            taken = taken.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
            if taken > DISCARD_BYTES_MAX {
                return;
            }
        }
    };
    if tokio::time::timeout(DISCARD_TIME_MAX, all).await.is_err() {
        tracing::debug!("a caller went on sending after its answer");
    }
}

/// A response body towards the caller.
pub(crate) enum ResponseBody {
    /// None: the response opens a tunnel.
    Opening,
    /// Made here. The exchange ends when the bytes have been taken.
    Made { bytes: Option<Bytes>, exchange: Exchange },
    /// The callee's. The exchange ends with its last frame.
    Streaming(Box<Returning>),
}

/// The part of [`ResponseBody`] that a callee sends.
pub(crate) struct Returning {
    incoming: Incoming,
    grpc: bool,
    exchange: Exchange,
    /// Wakes when a new state is in force; made when the callee first lets us wait.
    swapped: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

/// Why a response body stopped before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResponseFault {
    /// The callee went away or broke the framing.
    #[error("the callee's response broke off")]
    Callee(#[source] hyper::Error),
    /// A new state no longer allows the exchange.
    #[error("the exchange is no longer allowed")]
    Revoked,
}

impl ResponseBody {
    pub(crate) fn streaming(incoming: Incoming, grpc: bool, exchange: Exchange) -> Self {
        Self::Streaming(Box::new(Returning { incoming, grpc, exchange, swapped: None }))
    }

    fn exchange(&mut self) -> Option<&mut Exchange> {
        match self {
            Self::Opening => None,
            Self::Made { exchange, .. } => Some(exchange),
            Self::Streaming(returning) => Some(&mut returning.exchange),
        }
    }
}

impl Returning {
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseFault>>> {
        // Asked before each frame: a callee that always has one ready must not carry the response past a revocation.
        if self.exchange.has_swapped() && self.poll_revoked(cx).is_ready() {
            return Poll::Ready(Some(Err(ResponseFault::Revoked)));
        }
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Pending => match self.poll_revoked(cx) {
                Poll::Ready(()) => Poll::Ready(Some(Err(ResponseFault::Revoked))),
                Poll::Pending => Poll::Pending,
            },
            Poll::Ready(frame) => {
                let clean = |frame| clean(frame, self.grpc);
                Poll::Ready(frame.map(|frame| frame.map(clean).map_err(ResponseFault::Callee)))
            }
        }
    }

    /// Ready once a new state no longer allows the exchange.
    fn poll_revoked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let exchange = &self.exchange;
            let swapped = self.swapped.get_or_insert_with(|| Box::pin(exchange.next_swap()));
            std::task::ready!(swapped.as_mut().poll(cx));
            if !self.exchange.is_still_allowed() {
                return Poll::Ready(());
            }
            self.swapped = None;
        }
    }
}

/// A body without bytes may never be asked for one: whoever drops it at its end has it complete.
impl Drop for ResponseBody {
    fn drop(&mut self) {
        if self.is_end_stream()
            && let Some(exchange) = self.exchange()
        {
            exchange.complete();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ResponseFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseFault>>> {
        let this = self.get_mut();
        let frame = match this {
            Self::Opening => return Poll::Ready(None),
            Self::Made { bytes, .. } => Poll::Ready(bytes.take().map(|data| Ok(Frame::data(data)))),
            Self::Streaming(returning) => returning.poll_next(cx),
        };
        let Poll::Ready(frame) = frame else { return Poll::Pending };
        let ends = frame.as_ref().is_none_or(|frame| {
            frame.as_ref().is_ok_and(|frame| frame.is_trailers() || this.is_end_stream())
        });
        if let Some(exchange) = this.exchange() {
            match &frame {
                Some(Ok(frame)) => exchange.sent(frame.data_ref().map_or(0, Bytes::len)),
                Some(Err(ResponseFault::Callee(_))) => exchange.broke_off("callee_broke_off"),
                Some(Err(ResponseFault::Revoked)) => exchange.broke_off("revoked"),
                None => {}
            }
            if ends {
                exchange.complete();
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Opening => true,
            Self::Made { bytes, .. } => bytes.is_none(),
            Self::Streaming(returning) => returning.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Opening => SizeHint::with_exact(0),
            Self::Made { bytes, .. } => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Streaming(returning) => returning.incoming.size_hint(),
        }
    }
}

/// Removes from trailers what a service may not say.
fn clean(frame: Frame<Bytes>, grpc: bool) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => Frame::trailers(head::response_trailers(trailers, grpc)),
        Err(frame) => frame,
    }
}
