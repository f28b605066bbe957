//! Callers: HTTP clients and raw sockets.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::Credentials;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ringfort_identity::{OutboundOptions, workload_server_name};
use ringfort_model::SpiffeId;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::ClientConfig};
use tokio_util::task::TaskTracker;

use super::program::{Frames, whole};

/// Runs a task of a test.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    drop(TaskTracker::new().spawn(task));
}

/// Nothing here takes this long.
pub(crate) async fn soon<T>(task: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), task).await.expect("too slow")
}

/// The whole body, or how it broke off.
pub(crate) async fn read_all<B>(mut body: B) -> Result<Bytes, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            all.extend_from_slice(&data);
        }
    }
    Ok(all.freeze())
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    let body = read_all(response.into_body()).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

pub(crate) async fn http1_over<T>(io: T) -> http1::SendRequest<Frames>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    spawn(async move { drop(connection.with_upgrades().await) });
    sender
}

pub(crate) async fn http2_over<T>(io: T) -> http2::SendRequest<Frames>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
    spawn(async move { drop(connection.await) });
    sender
}

/// A plaintext HTTP/1.1 client.
pub(crate) async fn http1(address: SocketAddr) -> http1::SendRequest<Frames> {
    http1_over(TcpStream::connect(address).await.unwrap()).await
}

/// A plaintext HTTP/2 client with prior knowledge.
pub(crate) async fn http2(address: SocketAddr) -> http2::SendRequest<Frames> {
    http2_over(TcpStream::connect(address).await.unwrap()).await
}

/// A visitor's TLS connection.
pub(crate) async fn visit(address: SocketAddr, config: Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = "shop.example".try_into().unwrap();
    TlsConnector::from(config).connect(name, tcp).await.unwrap()
}

/// A workload's mTLS connection. In TLS 1.3 a refusal may come with the first read.
pub(crate) async fn call(
    address: SocketAddr,
    credentials: &Credentials,
    expected: &SpiffeId,
    alpn: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let config = credentials
        .tls
        .outbound_client_config(OutboundOptions {
            svid: &credentials.svid,
            bundle: Arc::clone(&credentials.bundle),
            expected: expected.clone(),
            alpn: &[alpn],
            refusals: Arc::default(),
        })
        .unwrap();
    let tcp = TcpStream::connect(address).await?;
    TlsConnector::from(config).connect(workload_server_name(), tcp).await
}

/// A request to the shop.
pub(crate) fn get(path: &str) -> Request<Frames> {
    Request::get(path).header("host", "shop.example").body(whole("")).unwrap()
}

/// A request to the shop over HTTP/2.
pub(crate) fn get2(path: &str) -> Request<Frames> {
    Request::get(format!("https://shop.example{path}")).body(whole("")).unwrap()
}

/// Sends raw bytes and reads until the other side closes.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(bytes).await.unwrap();
    read_raw(&mut tcp).await
}

/// Reads text until the other side closes.
pub(crate) async fn read_raw(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        match tokio::time::timeout_at(deadline, io.read(&mut buffer)).await {
            Ok(Ok(count @ 1..)) => all.extend_from_slice(&buffer[..count]),
            Ok(Ok(0) | Err(_)) => return String::from_utf8(all).unwrap(),
            Err(_late) => panic!("still open after {:?}", String::from_utf8(all)),
        }
    }
}

/// Reads exactly this much text.
pub(crate) async fn read_exactly(io: &mut (impl AsyncRead + Unpin), count: usize) -> String {
    let mut buffer = vec![0; count];
    soon(io.read_exact(&mut buffer)).await.unwrap();
    String::from_utf8(buffer).unwrap()
}
