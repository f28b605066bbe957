//! Clients of the local sockets: the server's Admin service and the proxies' admin sockets.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use ringfort_wire::v1::admin_client::AdminClient;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

/// How long a local socket may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// An apply compiles every class before it answers.
const APPLY_MAX: Duration = Duration::from_secs(60);
/// Largest answer of a proxy's admin socket.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Connects to the server's Admin service.
///
/// # Errors
/// Fails when the socket cannot be reached, naming it.
pub(crate) async fn server(socket: &Path) -> anyhow::Result<AdminClient<Channel>> {
    let uri = format!("unix://{}", socket.display());
    let endpoint = Endpoint::from_shared(uri)?.connect_timeout(ANSWER_MAX).timeout(APPLY_MAX);
    let channel = endpoint.connect().await.with_context(|| {
        format!(
            "no server answers at `{}`: start one with `ringfort up FLEET`, or pass --run DIR",
            socket.display()
        )
    })?;
    Ok(AdminClient::new(channel)
        .max_decoding_message_size(64 * 1024 * 1024)
        .max_encoding_message_size(64 * 1024 * 1024))
}

/// Asks a proxy's admin socket for `path`; `None` when it answers 404.
///
/// # Errors
/// Fails when the proxy does not answer in time, too much, or with another status than 200 and 404.
pub(crate) async fn proxy(socket: &Path, path: &str) -> anyhow::Result<Option<Bytes>> {
    tokio::time::timeout(ANSWER_MAX, ask(socket, path))
        .await
        .with_context(|| format!("proxy at `{}` did not answer within 5 s", socket.display()))?
}

async fn ask(socket: &Path, path: &str) -> anyhow::Result<Option<Bytes>> {
    let stream = UnixStream::connect(socket)
        .await
        .with_context(|| format!("no proxy answers at `{}`", socket.display()))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = http::Request::get(path).header("host", "proxy").body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let bytes = read(body).await?;
        anyhow::Ok((status, bytes))
    };
    let driver = async {
        // The connection ends when the sender is dropped or fails; the answer carries the failure.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "admin connection ended");
        }
        std::future::pending::<()>().await;
    };
    // Losing the driver is safe: the one answer has been read.
    let (status, bytes) = tokio::select! {
        answered = answer => answered?,
        () = driver => bail!("the admin connection never ends by itself"),
    };
    match status.as_u16() {
        200 => Ok(Some(bytes)),
        404 => Ok(None),
        other => bail!("proxy at `{}` answered {other} to `{path}`", socket.display()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the body is wrapped in `Limited`")]
async fn read(body: Limited<hyper::body::Incoming>) -> anyhow::Result<Bytes> {
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => bail!("cannot read the answer: {error}"),
    }
}
