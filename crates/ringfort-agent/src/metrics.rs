//! One address for the metrics of all proxies of this host.
//!
//! Each `GET /metrics` asks the admin socket of every proxy anew and merges the answers. A proxy that does not answer
//! is left out, and `ringfort_proxy_up` says so.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    ffi::OsStr,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::admin::{AskOptions, ask};

use merge::{Source, escaped, line, merge};

mod merge;

/// Bounds of one proxy's answer: a proxy with 1 000 peers writes about 2 MB.
const ASK: AskOptions =
    AskOptions { within: Duration::from_secs(2), body_bytes_max: 8 * 1024 * 1024 };
/// Most proxies asked at a time.
const ASKED_AT_ONCE_MAX: usize = 8;
/// Most proxies of one host.
const PROXIES_MAX: usize = 4096;
/// Most connections; a scraper needs one.
const CONNECTIONS_MAX: usize = 16;
/// Longest wait for a request head.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// Longest life of a connection.
const CONNECTION_WITHIN: Duration = Duration::from_secs(600);
/// Pause after an error of `accept`.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The address of the metrics, bound.
#[derive(Debug)]
pub(crate) struct MetricsListener {
    listener: TcpListener,
    address: SocketAddr,
    proxies: PathBuf,
}

impl MetricsListener {
    /// Binds the address; the admin sockets are the files `NAME.sock` in `proxies`.
    pub(crate) async fn bind(address: SocketAddr, proxies: PathBuf) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, proxies })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until shutdown.
    pub(crate) async fn serve(self, tracker: TaskTracker, shutdown: CancellationToken) {
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let proxies: Arc<Path> = self.proxies.into();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => return,
                // Cancel-safe: a connection not accepted stays in the backlog.
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _peer)) => {
                    // Above the limit the connection is closed at once.
                    if let Ok(permit) = Arc::clone(&connections).try_acquire_owned() {
                        let answered = answer(stream, Arc::clone(&proxies), shutdown.clone());
                        tracker.spawn(async move {
                            answered.await;
                            drop(permit);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a scraper");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn answer(stream: TcpStream, proxies: Arc<Path>, shutdown: CancellationToken) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let proxies = Arc::clone(&proxies);
        async move { Ok::<_, Infallible>(respond(&request, &proxies).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_headers(64);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = timeout(CONNECTION_WITHIN, connection.as_mut()) => ended,
        // Losing it is safe: a token stays cancelled.
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(ASK.within, connection).await
        }
    };
    if let Ok(Err(error)) = ended {
        tracing::debug!(reason = crate::reason(&error), "a scraper broke off");
    }
}

async fn respond(request: &Request<Incoming>, proxies: &Path) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    }
    if request.method() != Method::GET {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.body_mut() = Full::new(scrape(proxies).await.into());
    response
}

/// Asks every proxy and merges what they say.
async fn scrape(proxies: &Path) -> String {
    let answers: BTreeMap<String, Option<String>> = stream::iter(sockets(proxies))
        .map(|(name, socket)| async move {
            let answer = ask(&socket, "/metrics", ASK).await;
            (name, answer.ok().filter(|(status, _)| *status == StatusCode::OK).and_then(text_of))
        })
        .buffer_unordered(ASKED_AT_ONCE_MAX)
        .collect()
        .await;
    let sources: Vec<_> = answers
        .iter()
        .filter_map(|(service, text)| Some(Source { service, text: text.as_deref()? }))
        .collect();
    let merged = merge(&sources);
    let mut text = merged.text;
    line(&mut text, format_args!("# TYPE ringfort_proxy_up gauge"));
    line(
        &mut text,
        format_args!("# HELP ringfort_proxy_up Whether the proxy answered this scrape."),
    );
    for (service, answer) in &answers {
        let (service, is_up) = (escaped(service), u8::from(answer.is_some()));
        line(&mut text, format_args!("ringfort_proxy_up{{service=\"{service}\"}} {is_up}"));
    }
    line(&mut text, format_args!("# TYPE ringfort_scrape_lines_left_out gauge"));
    let help = "Lines of proxies that could not be merged into this scrape.";
    line(&mut text, format_args!("# HELP ringfort_scrape_lines_left_out {help}"));
    line(&mut text, format_args!("ringfort_scrape_lines_left_out {}", merged.left_out));
    line(&mut text, format_args!("# EOF"));
    text
}

fn text_of((_status, body): (StatusCode, Bytes)) -> Option<String> {
    String::from_utf8(body.into()).ok()
}

/// The admin sockets by name. A folder that is not there yet has none.
fn sockets(proxies: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(proxies) else { return Vec::new() };
    let sockets = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        if path.extension() != Some(OsStr::new("sock")) {
            return None;
        }
        let name = path.file_stem()?.to_str()?.to_owned();
        Some((name, path))
    });
    sockets.take(PROXIES_MAX).collect()
}

#[cfg(test)]
mod tests;
