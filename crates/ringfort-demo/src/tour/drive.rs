//! Trying the steps: plain sockets here, TLS and the control plane through [`Host`].

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{
    Attempt, Content, Edit, Expected, Intruder, Outcome, Report, Seen, Step, Visit, steps,
};
use crate::{
    ShopPorts,
    call::{CallError, decision, exchange},
};

/// Longest wait for one step's answer.
const STEP_MAX: Duration = Duration::from_secs(15);
/// How long requests are repeated while certificates are renewed: longer than the 2 s over which renewals spread.
const RENEWAL: Duration = Duration::from_secs(4);
/// How long an edit may take to be in force at every proxy.
const EDIT_MAX: Duration = Duration::from_secs(10);
/// Pause between two of these requests.
const RENEWAL_PAUSE: Duration = Duration::from_millis(20);
/// Most bytes read from a port that should close at once.
const BYTES_MAX: usize = 4096;

/// What the tour needs of the host it runs on, and cannot do itself. Errors are sentences for the report.
pub trait Host {
    /// A TLS connection.
    type Stream: AsyncRead + AsyncWrite + Unpin;

    /// Connects to the gateway's TLS port and verifies its certificate for `localhost` by the fleet's own roots.
    fn visit(&self) -> impl Future<Output = Result<Self::Stream, String>>;

    /// Connects with TLS as an intruder, without verifying the other's certificate; `None` when the handshake is
    /// refused. A failure to connect at all is an error: it would prove nothing.
    fn intrude(
        &self,
        address: SocketAddr,
        who: Intruder,
    ) -> impl Future<Output = Result<Option<Self::Stream>, String>>;

    /// Edits the fleet folder on disk, as a person would.
    fn edit(&self, edit: Edit) -> impl Future<Output = Result<(), String>>;

    /// The address at which a service's sidecar accepts mutual TLS.
    fn sidecar(&self, service: &str) -> impl Future<Output = Result<SocketAddr, String>>;

    /// What `ringfort explain` says about a decision.
    fn explain(&self, decision: &str) -> impl Future<Output = Result<String, String>>;

    /// Kills the control plane, as `kill -9` does.
    fn kill_server(&self) -> impl Future<Output = Result<(), String>>;

    /// Waits until the control plane answers again.
    fn server_answers(&self) -> impl Future<Output = Result<(), String>>;

    /// Renews all certificates, as `ringfort ca renew --all` does.
    fn renew_all(&self) -> impl Future<Output = Result<(), String>>;
}

/// Opens the front page once.
///
/// # Errors
/// Says what came instead of it.
pub async fn first_request(host: &impl Host, ports: &ShopPorts) -> Result<(), String> {
    let visit = Visit { method: "GET", target: "/", host: None, fields: &[], body: Content::Empty };
    let seen = over(host.visit().await?, &visit, ports.https).await?;
    if Expected::Served(200).holds(&seen) { Ok(()) } else { Err(seen.to_string()) }
}

/// Walks the tour. `say` is told each outcome as it comes.
pub async fn run(host: &impl Host, ports: &ShopPorts, say: impl FnMut(&Outcome)) -> Report {
    walk(host, ports, steps(), say).await
}

/// Walks some steps.
pub(super) async fn walk(
    host: &impl Host,
    ports: &ShopPorts,
    steps: Vec<Step>,
    mut say: impl FnMut(&Outcome),
) -> Report {
    let mut outcomes = Vec::new();
    let mut decision = None;
    for (number, step) in (1..).zip(steps) {
        let seen = match timeout(STEP_MAX, attempt(host, ports, &step, decision.as_deref())).await {
            Ok(Ok(seen)) => seen,
            Ok(Err(fault)) => Seen::Fault(fault),
            Err(_) => Seen::Fault(format!("nothing after {} s", STEP_MAX.as_secs())),
        };
        decision = seen.decision().or(decision);
        let outcome = Outcome { number, step, seen };
        say(&outcome);
        outcomes.push(outcome);
    }
    Report { outcomes }
}

async fn attempt(
    host: &impl Host,
    ports: &ShopPorts,
    step: &Step,
    decision: Option<&str>,
) -> Result<Seen, String> {
    match step.attempt {
        Attempt::Visit(visit) => over(host.visit().await?, &visit, ports.https).await,
        Attempt::PlainVisit(visit) => {
            let stream = TcpStream::connect(("127.0.0.1", ports.http)).await;
            over(stream.map_err(|error| error.to_string())?, &visit, ports.http).await
        }
        Attempt::PlaintextToSidecar(service) => {
            let address = host.sidecar(service).await?;
            let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
            Ok(converse(stream).await)
        }
        Attempt::Intrude(service, who) => {
            let address = host.sidecar(service).await?;
            match host.intrude(address, who).await? {
                // TLS 1.3 lets a client finish before the server has looked at its certificate.
                Some(stream) => Ok(converse(stream).await),
                None => Ok(Seen::Closed { bytes: Vec::new() }),
            }
        }
        Attempt::AfterEdit(edit, visit) => {
            host.edit(edit).await?;
            until(host, &visit, ports.https, &step.expected).await
        }
        Attempt::ExplainLast => {
            let decision = decision.ok_or("no wall has refused anything yet")?;
            host.explain(decision).await.map(Seen::Text)
        }
        Attempt::WithoutControlPlane(visit) => {
            host.kill_server().await?;
            let seen = over(host.visit().await?, &visit, ports.https).await;
            host.server_answers().await?;
            seen
        }
        Attempt::WhileRenewing(visit) => {
            let (renewed, seen) = tokio::join!(host.renew_all(), repeat(host, &visit, ports.https));
            renewed.map(|()| seen)
        }
    }
}

/// Makes one request on a connection of its own.
async fn over<S>(stream: S, visit: &Visit, port: u16) -> Result<Seen, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = build(visit, port).map_err(|error| error.to_string())?;
    match exchange(stream, request).await {
        Ok((head, body)) => {
            let field = |name: &str| {
                head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
            };
            Ok(Seen::Answer {
                status: head.status.as_u16(),
                decision: decision(&head.headers, &body),
                location: field("location"),
                body: String::from_utf8(body.to_vec()).unwrap_or_default(),
            })
        }
        Err(CallError::Http(error)) if error.is_incomplete_message() || error.is_closed() => {
            Ok(Seen::Closed { bytes: Vec::new() })
        }
        Err(error) => Err(error.to_string()),
    }
}

fn build(visit: &Visit, port: u16) -> Result<Request<Full<Bytes>>, http::Error> {
    let host = visit.host.map_or_else(|| format!("localhost:{port}"), str::to_owned);
    let mut request =
        Request::builder().method(visit.method).uri(visit.target).header(header::HOST, host);
    for (name, value) in visit.fields {
        request = request.header(*name, *value);
    }
    let body = match visit.body {
        Content::Empty => Bytes::new(),
        Content::Json(text) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Bytes::from_static(text.as_bytes())
        }
        Content::Filler(count) => Bytes::from(vec![b' '; count]),
    };
    request.body(Full::new(body))
}

/// Repeats a request until it is answered as expected, or [`EDIT_MAX`] is over.
async fn until(
    host: &impl Host,
    visit: &Visit,
    port: u16,
    expected: &Expected,
) -> Result<Seen, String> {
    let end = Instant::now() + EDIT_MAX;
    loop {
        let seen = over(host.visit().await?, visit, port).await?;
        if expected.holds(&seen) || Instant::now() >= end {
            return Ok(seen);
        }
        tokio::time::sleep(RENEWAL_PAUSE).await;
    }
}

/// Speaks plain HTTP where it has no place, and reads until the end.
async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Seen {
    let request = b"GET /api/orders HTTP/1.1\r\nhost: orders\r\nconnection: close\r\n\r\n";
    let mut bytes = Vec::new();
    if stream.write_all(request).await.is_ok() {
        let mut piece = [0; 512];
        // An alert or a reset ends the reading as well as an orderly close.
        while let Ok(count @ 1..) = stream.read(&mut piece).await {
            bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
            if bytes.starts_with(b"HTTP/") || bytes.len() > BYTES_MAX {
                break;
            }
        }
    }
    Seen::Closed { bytes }
}

/// Repeats a request, each on a new connection, while certificates change.
async fn repeat(host: &impl Host, visit: &Visit, port: u16) -> Seen {
    let end = Instant::now() + RENEWAL;
    let (mut made, mut failed) = (0_u32, 0_u32);
    while Instant::now() < end {
        made = made.saturating_add(1);
        let seen = match host.visit().await {
            Ok(stream) => over(stream, visit, port).await,
            Err(fault) => Err(fault),
        };
        if !matches!(seen, Ok(Seen::Answer { status: 200, .. })) {
            failed = failed.saturating_add(1);
        }
        tokio::time::sleep(RENEWAL_PAUSE).await;
    }
    Seen::Repeated { made, failed }
}
