//! Programs behind the wall that live in the test: an HTTP service that answers what it saw, and a TCP echo.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_util::task::TaskTracker;

/// A running program; it ends with the value.
pub(crate) struct Program {
    /// Requests or connections it has seen.
    pub(crate) seen: Arc<AtomicU64>,
    /// Dropped last: ends all tasks.
    _runtime: tokio::runtime::Runtime,
}

impl Program {
    /// An HTTP/1.1 service that answers every request with what it saw, as JSON.
    pub(crate) fn http(port: u16) -> Self {
        Self::start(port, |stream, seen| async move {
            let service = hyper::service::service_fn(move |request| {
                seen.fetch_add(1, Ordering::Relaxed);
                answer(request)
            });
            let io = TokioIo::new(stream);
            drop(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(io, service)
                    .with_upgrades()
                    .await,
            );
        })
    }

    /// A TCP service that sends back what it gets.
    pub(crate) fn tcp(port: u16) -> Self {
        Self::start(port, |mut stream, seen| async move {
            seen.fetch_add(1, Ordering::Relaxed);
            let (mut read, mut write) = stream.split();
            drop(tokio::io::copy(&mut read, &mut write).await);
            drop(write.shutdown().await);
        })
    }

    fn start<F, T>(port: u16, serve: F) -> Self
    where
        F: Fn(tokio::net::TcpStream, Arc<AtomicU64>) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let seen = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&seen);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let tracker = TaskTracker::new();
        let accept = tracker.clone().track_future(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tracker.spawn(serve(stream, Arc::clone(&counter)));
            }
        });
        runtime.handle().spawn(accept);
        Self { seen, _runtime: runtime }
    }

    /// Requests or connections seen so far.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }
}

#[expect(clippy::disallowed_methods, reason = "the body is wrapped in `Limited`")]
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, 4 * 1024 * 1024)
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), crate::host::latin(value.as_bytes())))
        .collect();
    let seen = serde_json::json!({
        "method": head.method.as_str(), "target": head.uri.to_string(), "headers": headers, "body_bytes": body.len(),
    });
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(Full::new(Bytes::from(seen.to_string()))).unwrap())
}

/// Sends bytes over TCP, ends the sending side, and returns what comes back.
pub(crate) async fn tcp_round_trip(port: u16, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    let mut back = Vec::new();
    let mut limited = stream.take(1024 * 1024);
    while limited.read_buf(&mut back).await? > 0 {}
    Ok(back)
}
