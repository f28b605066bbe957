//! HTTP/2 towards a callee: many exchanges share a connection.

use std::{net::SocketAddr, rc::Rc, time::Duration};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::{
    ConnectFault, Door, InUse, Lease, Replay, Unsent,
    connect::{self, ALPN_HTTP2},
    fault_of,
    pool::{Multiplexed, Pool},
};
use crate::{body::RequestBody, thread::Thread};

/// Flow-control windows, send buffer and liveness.
///
/// # Source
/// Threat catalogue, rule D3.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
const SEND_BUFFER_BYTES: usize = 64 * 1024;
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_ANSWER: Duration = Duration::from_secs(20);
const HEADER_LIST_BYTES: u32 = 64 * 1024;

/// Most connections per thread and endpoint; beyond it, streams wait for room on an open one.
const CONNECTIONS_MAX: usize = 8;

pub(super) async fn send(
    thread: &Rc<Thread>,
    door: &Door,
    mut lease: Lease,
    request: Request<RequestBody>,
) -> Result<(Response<Incoming>, Lease), Unsent> {
    let pool = Rc::clone(lease.pool());
    let (mut sender, stream, reused) = match connection(thread, door, &pool).await {
        Ok(connection) => connection,
        Err(fault) => return Err(Unsent::kept(fault, request)),
    };
    lease.hold_stream(stream);
    let replay = Replay::of(&request);
    let mut failed = match sender.try_send_request(request).await {
        Ok(response) => return Ok((response, lease)),
        Err(failed) => failed,
    };
    let unsent = failed.take_message();
    let error = failed.into_error();
    let again = unsent.or_else(|| if reused { replay.request() } else { None });
    let Some(again) = again else { return Err(Unsent::lost(fault_of(error))) };
    thread.count_retry();
    let (mut sender, stream) = match open(thread, door, &pool).await {
        Ok(connection) => connection,
        Err(fault) => return Err(Unsent::kept(fault, again)),
    };
    lease.hold_stream(stream);
    match sender.try_send_request(again).await {
        Ok(response) => Ok((response, lease)),
        Err(failed) => Err(Unsent::lost(fault_of(failed.into_error()))),
    }
}

/// A connection with room for one more stream: an open one, or a new one. Says whether it was open before.
async fn connection(
    thread: &Rc<Thread>,
    door: &Door,
    pool: &Rc<Pool>,
) -> Result<(SendRequest<RequestBody>, InUse, bool), ConnectFault> {
    let streams_max = door.callee.limits.streams;
    if let Some((sender, stream)) = with_room(pool, streams_max) {
        return Ok((sender, stream, true));
    }
    let _one_at_a_time = pool.opening.lock().await;
    if let Some((sender, stream)) = with_room(pool, streams_max) {
        return Ok((sender, stream, true));
    }
    let (sender, stream) = open(thread, door, pool).await?;
    Ok((sender, stream, false))
}

fn with_room(pool: &Pool, streams_max: u32) -> Option<(SendRequest<RequestBody>, InUse)> {
    let mut open = pool.multiplexed.borrow_mut();
    open.retain(|one| !one.sender.is_closed());
    let full = open.len() >= CONNECTIONS_MAX;
    let least = open.iter().min_by_key(|one| one.streams.get())?;
    (full || least.streams.get() < streams_max)
        .then(|| (least.sender.clone(), InUse::new(&least.streams)))
}

async fn open(
    thread: &Rc<Thread>,
    door: &Door,
    pool: &Rc<Pool>,
) -> Result<(SendRequest<RequestBody>, InUse), ConnectFault> {
    let callee = &door.callee;
    let limit = callee.resilience.connect;
    let address: SocketAddr = pool.address;
    let socket = connect::connect(address, &callee.transport, ALPN_HTTP2, limit).await?;
    thread.count_upstream_connection();
    let handshake = http2::Builder::new(thread.executor())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES)
        .header_table_size(4096)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWER)
        .handshake(TokioIo::new(socket))
        .await;
    let (sender, connection) = handshake.map_err(|cause| ConnectFault::Http { address, cause })?;
    thread.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%address, %error, "a connection to a callee ended");
        }
    });
    let streams = Rc::default();
    let stream = InUse::new(&streams);
    pool.multiplexed.borrow_mut().push(Multiplexed { sender: sender.clone(), streams });
    Ok((sender, stream))
}
