//! Opening a connection to one endpoint: TCP, then mTLS to exactly the expected identity.

use std::{io, net::SocketAddr, time::Duration};

use ringfort_identity::{BuildTlsError, RefusePeerError, workload_server_name};
use ringfort_model::SpiffeId;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

use super::Transport;
use crate::{credentials::Credentials, socket::Socket};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectFault {
    /// The endpoint refuses or is unreachable.
    #[error("no connection to {address}")]
    Tcp {
        address: SocketAddr,
        #[source]
        cause: io::Error,
    },
    /// Not within the callee's `connect` time.
    #[error("no connection to {address} within {limit:?}")]
    Late { address: SocketAddr, limit: Duration },
    /// The endpoint is not who it must be.
    #[error("{address} is not the callee")]
    WrongPeer {
        address: SocketAddr,
        #[source]
        cause: RefusePeerError,
    },
    /// This workload's own identity cannot be used.
    #[error("no TLS settings")]
    Settings(#[source] BuildTlsError),
    /// The handshake failed for another reason.
    #[error("the handshake with {address} failed")]
    Tls {
        address: SocketAddr,
        #[source]
        cause: io::Error,
    },
    /// The endpoint does not speak the declared protocol.
    #[error("{address} did not agree on the protocol `{wanted}`")]
    Alpn { address: SocketAddr, wanted: &'static str },
    /// The HTTP layer could not start.
    #[error("{address} does not speak the declared HTTP version")]
    Http {
        address: SocketAddr,
        #[source]
        cause: hyper::Error,
    },
}

/// ALPN of bytes between sidecars.
pub(crate) const ALPN_TCP: &str = "ringfort-tcp";
/// ALPN of HTTP/1.1.
pub(crate) const ALPN_HTTP1: &str = "http/1.1";
/// ALPN of HTTP/2.
pub(crate) const ALPN_HTTP2: &str = "h2";

/// Connects within `limit`, which covers the handshake.
///
/// # Errors
/// [`ConnectFault`] says how far it came.
pub(crate) async fn connect(
    address: SocketAddr,
    transport: &Transport,
    alpn: &'static str,
    limit: Duration,
) -> Result<Socket, ConnectFault> {
    let open = async {
        let tcp = TcpStream::connect(address)
            .await
            .and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp))
            .map_err(|cause| ConnectFault::Tcp { address, cause })?;
        match transport {
            Transport::Plain => Ok(Socket::Plain(tcp)),
            Transport::Mtls { id, credentials } => {
                shake_hands(tcp, address, credentials, id, alpn).await
            }
        }
    };
    tokio::time::timeout(limit, open).await.unwrap_or(Err(ConnectFault::Late { address, limit }))
}

async fn shake_hands(
    tcp: TcpStream,
    address: SocketAddr,
    credentials: &Credentials,
    expected: &SpiffeId,
    alpn: &'static str,
) -> Result<Socket, ConnectFault> {
    let (config, refusals) = credentials.towards(expected, alpn).map_err(ConnectFault::Settings)?;
    let shaken = TlsConnector::from(config).connect(workload_server_name(), tcp).await;
    let tls = shaken.map_err(|cause| match refusals.take() {
        Some(cause) => ConnectFault::WrongPeer { address, cause },
        None => ConnectFault::Tls { address, cause },
    })?;
    if tls.get_ref().1.alpn_protocol() != Some(alpn.as_bytes()) {
        return Err(ConnectFault::Alpn { address, wanted: alpn });
    }
    Ok(Socket::Tls(Box::new(TlsStream::Client(tls))))
}
