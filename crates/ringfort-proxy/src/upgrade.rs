//! Tunnels: after a change of protocol, and between sidecars of TCP services. Bytes pass both ways until both sides
//! have finished; a side that has finished sending may still receive.

use std::{future::Future, io, rc::Rc, sync::atomic::Ordering, time::Duration};

use http::Response;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::Instant,
};

use crate::{body::ResponseBody, exchange::Exchange, thread::Thread};

/// Longest silence in both directions; programs that keep connections longer send keep-alives.
const SILENCE_MAX: Duration = Duration::from_secs(3600);

/// Bytes taken at once in one direction.
const BUFFER_BYTES: usize = 16 * 1024;

/// The two connections of a tunnel-to-be, each available once its HTTP exchange has ended.
pub(crate) struct Ends {
    pub(crate) caller: OnUpgrade,
    pub(crate) callee: OnUpgrade,
}

/// Starts the tunnel and makes the 101 that opens it. The exchange lives as long as the tunnel.
pub(crate) fn start(
    ends: Ends,
    exchange: Exchange,
    response: Response<()>,
) -> Response<ResponseBody> {
    let thread = Rc::clone(&exchange.connection.thread);
    let tunnel = Tunnel { thread: Rc::clone(&thread) };
    thread.spawn_connection(async move {
        let mut exchange = exchange;
        match tokio::try_join!(ends.caller, ends.callee) {
            Ok((caller, callee)) => {
                let (caller, callee) = (TokioIo::new(caller), TokioIo::new(callee));
                tunnel.run(caller, callee, revoked(&exchange)).await;
                exchange.complete();
            }
            Err(error) => tracing::debug!(%error, "a change of protocol failed"),
        }
    });
    response.map(|()| ResponseBody::Opening)
}

/// Ends when a new state no longer allows what the exchange began with.
async fn revoked(exchange: &Exchange) {
    loop {
        exchange.next_swap().await;
        if !exchange.is_still_allowed() {
            return;
        }
    }
}

/// A tunnel under way.
pub(crate) struct Tunnel {
    pub(crate) thread: Rc<Thread>,
}

impl Tunnel {
    /// Passes bytes until both sides have finished, one breaks off, both are silent, or `revoked` ends.
    pub(crate) async fn run<A, B>(&self, caller: A, callee: B, revoked: impl Future<Output = ()>)
    where
        A: AsyncRead + AsyncWrite,
        B: AsyncRead + AsyncWrite,
    {
        let open = &self.thread.plain().active_tunnels;
        open.fetch_add(1, Ordering::Relaxed);
        tokio::select! {
            // Losing an arm drops both connections, which is what ends a tunnel.
            passed = pass(caller, callee) => {
                if let Err(error) = passed {
                    tracing::debug!(%error, "a tunnel broke off");
                }
            }
            () = revoked => tracing::debug!("a tunnel is no longer allowed"),
        }
        open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn pass<A, B>(caller: A, callee: B) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (mut from_caller, mut to_caller) = tokio::io::split(caller);
    let (mut from_callee, mut to_callee) = tokio::io::split(callee);
    let last = std::cell::Cell::new(Instant::now());
    let there = one_way(&mut from_caller, &mut to_callee, &last);
    let back = one_way(&mut from_callee, &mut to_caller, &last);
    tokio::try_join!(there, back).map(|((), ())| ())
}

/// Passes one direction to its end, and the end itself.
async fn one_way<R, W>(from: &mut R, to: &mut W, last: &std::cell::Cell<Instant>) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let silence = last.get().checked_add(SILENCE_MAX).unwrap_or_else(Instant::now);
        let count = match tokio::time::timeout_at(silence, from.read(&mut buffer)).await {
            Ok(read) => read?,
            // The other direction may have spoken meanwhile.
            Err(_silent) if last.get().checked_add(SILENCE_MAX) > Some(Instant::now()) => continue,
            Err(_silent) => return Err(io::Error::new(io::ErrorKind::TimedOut, "silence")),
        };
        last.set(Instant::now());
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..count).unwrap_or_default()).await?;
        to.flush().await?;
    }
}
