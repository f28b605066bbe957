//! How a program of the shop calls another: by a loopback port of its own for the callee, or by its `HTTP_PROXY`.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Body, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// Longest wait for a complete answer; payments may take 5 s.
const CALL_MAX: Duration = Duration::from_secs(8);
/// Largest answer of a neighbour.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Longest line of the ledger.
pub(crate) const LINE_BYTES_MAX: u64 = 512;

/// Where a program finds its callees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstreams {
    ports: BTreeMap<&'static str, SocketAddr>,
    http_proxy: Option<SocketAddr>,
}

/// A variable does not say where a callee is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{variable}` is no address: `{value}`")]
pub struct ReadUpstreamsError {
    /// Its name.
    pub variable: &'static str,
    /// Its value.
    pub value: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("there is no way to `{callee}`")]
    NoWay { callee: String },
    #[error("cannot connect to {address}")]
    Connect { address: SocketAddr, source: std::io::Error },
    #[error("no answer after {} s", CALL_MAX.as_secs())]
    TimedOut,
    #[error("the request is not valid")]
    Build(#[source] http::Error),
    #[error("the call broke off")]
    Http(#[source] hyper::Error),
    #[error("the call broke off")]
    Io(#[source] std::io::Error),
    #[error("the answer is larger than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the connection was closed without an answer")]
    Closed,
    #[error("the ledger answered `{0}`")]
    Ledger(String),
}

/// A request to a neighbour.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) callee: &'a str,
    pub(crate) path: &'a str,
    pub(crate) body: Option<Value>,
    /// The caller's own place in a trace, passed on so that one trace covers all hops.
    pub(crate) trace: Option<HeaderValue>,
}

/// What a neighbour, or a wall before it, answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The id under which a wall recorded its refusal.
    pub(crate) decision: Option<String>,
    pub(crate) body: Value,
}

impl Upstreams {
    /// Reads `HTTP_PROXY` (`http://ADDRESS:PORT`), `PAYMENTS`, `INVENTORY`, `ORDERS` and `LEDGER` (`ADDRESS:PORT`).
    ///
    /// # Errors
    /// [`ReadUpstreamsError`] names the first variable that is no address.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ReadUpstreamsError> {
        let address = |name: &'static str| match variable(name) {
            None => Ok(None),
            Some(value) => {
                let text = value.strip_prefix("http://").unwrap_or(&value);
                let parsed = text.strip_suffix('/').unwrap_or(text).parse();
                parsed.map(Some).map_err(|_no_address| ReadUpstreamsError { variable: name, value })
            }
        };
        let mut ports = BTreeMap::new();
        for (callee, name) in [
            ("payments", "PAYMENTS"),
            ("inventory", "INVENTORY"),
            ("orders", "ORDERS"),
            ("ledger", "LEDGER"),
        ] {
            if let Some(address) = address(name)? {
                ports.insert(callee, address);
            }
        }
        Ok(Self { ports, http_proxy: address("HTTP_PROXY")? })
    }

    /// Calls a neighbour. A refusal by a wall is an answer, not an error.
    pub(crate) async fn call(&self, ask: Ask<'_>) -> Result<Answer, CallError> {
        let direct = self.ports.get(ask.callee).copied();
        let (address, target) = match (direct, self.http_proxy) {
            (Some(address), _) => (address, ask.path.to_owned()),
            (None, Some(proxy)) => (proxy, format!("http://{}{}", ask.callee, ask.path)),
            (None, None) => return Err(CallError::NoWay { callee: ask.callee.to_owned() }),
        };
        let exchange = async {
            let request = build(&ask, &target)?;
            let (head, body) = send(address, request).await?;
            let decision = decision(&head.headers, &body);
            let body = serde_json::from_slice(&body).unwrap_or_default();
            Ok(Answer { status: head.status.as_u16(), decision, body })
        };
        timeout(CALL_MAX, exchange).await.map_err(|_elapsed| CallError::TimedOut)?
    }

    /// Sends one line to the ledger and takes its answer.
    pub(crate) async fn ledger(&self, line: &str) -> Result<String, CallError> {
        let no_way = || CallError::NoWay { callee: "ledger".to_owned() };
        let address = *self.ports.get("ledger").ok_or_else(no_way)?;
        let exchange = async {
            let mut stream = connect(address).await?;
            stream.write_all(format!("{line}\n").as_bytes()).await.map_err(CallError::Io)?;
            let mut answer = String::new();
            let mut reader = BufReader::new(stream).take(LINE_BYTES_MAX);
            reader.read_line(&mut answer).await.map_err(CallError::Io)?;
            match answer.trim_end().strip_prefix("OK ") {
                Some(value) => Ok(value.to_owned()),
                None if answer.is_empty() => Err(CallError::Closed),
                None => Err(CallError::Ledger(answer.trim_end().to_owned())),
            }
        };
        timeout(CALL_MAX, exchange).await.map_err(|_elapsed| CallError::TimedOut)?
    }
}

/// The id of a wall's decision: in its header, or in its problem document when a wall further out took the header.
pub(crate) fn decision(fields: &HeaderMap, body: &[u8]) -> Option<String> {
    if let Some(id) = fields.get("ringfort-decision") {
        return id.to_str().ok().map(str::to_owned);
    }
    let kind = fields.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if !kind.starts_with("application/problem+json") {
        return None;
    }
    let problem: Value = serde_json::from_slice(body).ok()?;
    problem.get("decision")?.as_str().map(str::to_owned)
}

fn build(ask: &Ask<'_>, target: &str) -> Result<Request<Full<Bytes>>, CallError> {
    let mut request = Request::builder()
        .method(ask.method.clone())
        .uri(target)
        .header(header::HOST, ask.callee)
        .header(header::USER_AGENT, "ringfort-demo");
    if let Some(trace) = &ask.trace {
        request = request.header("traceparent", trace);
    }
    let body = match &ask.body {
        Some(value) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Bytes::from(value.to_string())
        }
        None => Bytes::new(),
    };
    request.body(Full::new(body)).map_err(CallError::Build)
}

async fn connect(address: SocketAddr) -> Result<TcpStream, CallError> {
    TcpStream::connect(address).await.map_err(|source| CallError::Connect { address, source })
}

/// One request on a connection of its own: the sidecar next door pools, the program need not.
pub(crate) async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<(http::response::Parts, Bytes), CallError> {
    exchange(connect(address).await?, request).await
}

/// One request and its whole answer over a stream.
pub(crate) async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<(http::response::Parts, Bytes), CallError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(CallError::Http)?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(CallError::Http)?;
        let (head, body) = response.into_parts();
        Ok((head, read_limited(body, ANSWER_BYTES_MAX).await?))
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        // Cancel-safe: the connection carries this exchange alone.
        answer = &mut exchange => answer,
        // Cancel-safe: what arrived before the end waits in the exchange.
        ended = connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(CallError::Http(error)),
        },
    }
}

/// Reads a body that must not be larger than `bytes_max`.
pub(crate) async fn read_limited<B>(body: B, bytes_max: usize) -> Result<Bytes, CallError>
where
    B: Body<Data = Bytes, Error = hyper::Error>,
{
    let mut body = std::pin::pin!(body);
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(CallError::Http)?.into_data() {
            if whole.len().saturating_add(data.len()) > bytes_max {
                return Err(CallError::TooLarge);
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(Bytes::from(whole))
}

#[cfg(test)]
mod tests;
