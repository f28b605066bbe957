//! Asks a proxy over its admin socket: one HTTP/1.1 request, one bounded answer.

use std::{convert::Infallible, future::pending, io, path::Path, pin::pin, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header::HOST};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{body::Body, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time::timeout};

/// Bounds of one question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AskOptions {
    /// Longest wait for the whole answer.
    pub(crate) within: Duration,
    /// Largest body of the answer.
    pub(crate) body_bytes_max: usize,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskAdminError {
    /// Nobody listens.
    #[error("cannot connect")]
    Connect {
        #[source]
        source: io::Error,
    },
    /// The peer does not speak HTTP, or went away.
    #[error("no valid answer")]
    Http {
        #[source]
        source: hyper::Error,
    },
    /// The body broke off or is too large.
    #[error("the answer broke off or is larger than {bytes_max} bytes")]
    Body { bytes_max: usize },
    /// The answer took too long.
    #[error("no answer in time")]
    Late,
}

/// Sends `GET path` to a socket.
pub(crate) async fn ask(
    socket: &Path,
    path: &'static str,
    options: AskOptions,
) -> Result<(StatusCode, Bytes), AskAdminError> {
    timeout(options.within, exchange(socket, path, options.body_bytes_max))
        .await
        .map_err(|_elapsed| AskAdminError::Late)?
}

async fn exchange(
    socket: &Path,
    path: &'static str,
    body_bytes_max: usize,
) -> Result<(StatusCode, Bytes), AskAdminError> {
    let http = |source| AskAdminError::Http { source };
    let stream =
        UnixStream::connect(socket).await.map_err(|source| AskAdminError::Connect { source })?;
    let (mut sender, connection) =
        handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.map_err(http)?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = http::Uri::from_static(path);
    request.headers_mut().insert(HOST, http::HeaderValue::from_static("localhost"));
    let answer = pin!(async {
        let response = sender.send_request(request).await.map_err(http)?;
        let status = response.status();
        Ok((status, collect_limited(response.into_body(), body_bytes_max).await?))
    });
    // Drives the connection; that it ended is seen by whoever waits for the answer.
    let drive = pin!(async {
        drop(connection.await);
        pending::<Infallible>().await
    });
    tokio::select! {
        // Losing `drive` closes the connection, which is meant.
        answer = answer => answer,
        // Never wins.
        never = drive => match never {},
    }
}

/// Reads a body up to a limit.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of the agent that collects, behind a limit"
)]
async fn collect_limited<B>(body: B, bytes_max: usize) -> Result<Bytes, AskAdminError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let collected = Limited::new(body, bytes_max).collect().await;
    collected
        .map(http_body_util::Collected::to_bytes)
        .map_err(|_cause| AskAdminError::Body { bytes_max })
}
