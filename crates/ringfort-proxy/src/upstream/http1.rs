//! HTTP/1.1 towards a callee: one exchange at a time per connection, connections kept alive.

use std::{rc::Rc, time::Duration};

use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use ringfort_model::Limits;

use super::{
    ConnectFault, Door, Lease, Replay, Unsent,
    connect::{self, ALPN_HTTP1},
    fault_of,
};
use crate::{body::RequestBody, thread::Thread};

/// Largest response head in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Largest read buffer per connection; bulk bodies are cheapest from 128 KiB up.
const BUFFER_BYTES_MAX: usize = 256 * 1024;

/// How long an idle connection to this callee is used: below the callee's own limit, so that it is never the callee
/// that closes first.
pub(crate) fn idle_max(limits: &Limits) -> Duration {
    limits.idle.mul_f64(0.8)
}

pub(super) async fn send(
    thread: &Rc<Thread>,
    door: &Door,
    mut lease: Lease,
    request: Request<RequestBody>,
) -> Result<(Response<Incoming>, Lease), Unsent> {
    let mut request = request;
    if let Some(mut sender) = lease.pool().take_idle(idle_max(&door.callee.limits)) {
        let replay = Replay::of(&request);
        match sender.try_send_request(request).await {
            Ok(response) => {
                lease.hold_connection(sender);
                return Ok((response, lease));
            }
            Err(mut failed) => {
                let unsent = failed.take_message();
                let error = failed.into_error();
                let again =
                    unsent.or_else(|| if error.is_parse() { None } else { replay.request() });
                let Some(again) = again else { return Err(Unsent::lost(fault_of(error))) };
                thread.count_retry();
                request = again;
            }
        }
    }
    let mut sender = match open(thread, door, lease.pool().address).await {
        Ok(sender) => sender,
        Err(fault) => return Err(Unsent::kept(fault, request)),
    };
    match sender.try_send_request(request).await {
        Ok(response) => {
            lease.hold_connection(sender);
            Ok((response, lease))
        }
        Err(failed) => Err(Unsent::lost(fault_of(failed.into_error()))),
    }
}

async fn open(
    thread: &Rc<Thread>,
    door: &Door,
    address: std::net::SocketAddr,
) -> Result<http1::SendRequest<RequestBody>, ConnectFault> {
    let callee = &door.callee;
    let limit = callee.resilience.connect;
    let socket = connect::connect(address, &callee.transport, ALPN_HTTP1, limit).await?;
    thread.count_upstream_connection();
    let (sender, connection) = http1::Builder::new()
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .handshake(TokioIo::new(socket))
        .await
        .map_err(|cause| ConnectFault::Http { address, cause })?;
    thread.spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%address, %error, "a connection to a callee ended");
        }
    });
    Ok(sender)
}
