//! Sockets: all of a state's are bound before any of it comes into force, one per data thread and address.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Socket, Type};

use crate::live::ListenerKey;

/// Connections the kernel keeps waiting per socket.
const BACKLOG: i32 = 1024;

/// Why a socket could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// What the operating system says.
    #[source]
    pub cause: io::Error,
}

/// The sockets of one purpose, one per data thread.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) key: ListenerKey,
    pub(crate) address: SocketAddr,
    pub(crate) sockets: Vec<TcpListener>,
}

/// What must change so that exactly the wanted sockets exist.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) open: BTreeMap<ListenerKey, SocketAddr>,
    pub(crate) close: Vec<ListenerKey>,
}

/// Compares what is wanted with what is there; port 0 is content with any port.
pub(crate) fn plan(
    wanted: &BTreeMap<ListenerKey, SocketAddr>,
    have: &BTreeMap<ListenerKey, SocketAddr>,
) -> Plan {
    let fits = |want: &SocketAddr, have: &SocketAddr| {
        want.ip() == have.ip() && (want.port() == 0 || want.port() == have.port())
    };
    let stays =
        |key: &ListenerKey, want: &SocketAddr| have.get(key).is_some_and(|have| fits(want, have));
    let open = wanted.iter().filter(|(key, want)| !stays(key, want));
    let open: BTreeMap<_, _> = open.map(|(key, want)| (key.clone(), *want)).collect();
    let close = have.keys().filter(|key| open.contains_key(key) || !wanted.contains_key(key));
    Plan { close: close.cloned().collect(), open }
}

/// Binds every address for every thread, and only then listens on any, so that a failure leaves no trace.
///
/// # Errors
/// [`ListenError`]: the first address that is not to be had.
pub(crate) fn bind_all(
    open: &BTreeMap<ListenerKey, SocketAddr>,
    have: &BTreeMap<ListenerKey, SocketAddr>,
    threads: u32,
) -> Result<Vec<Bound>, ListenError> {
    let mut bound = Vec::new();
    for (key, wanted) in open {
        let ours = have.values().any(|have| have == wanted);
        let sockets = bind(*wanted, threads, ours).or_else(|error| {
            // A sidecar keeps its mTLS port from last time only if it can; its callers learn the new one.
            let may_move = matches!(key, ListenerKey::Inbound) && wanted.ip().is_loopback();
            let taken = error.cause.kind() == io::ErrorKind::AddrInUse;
            if may_move && taken {
                bind(SocketAddr::new(wanted.ip(), 0), threads, false)
            } else {
                Err(error)
            }
        })?;
        bound.push((key, sockets));
    }
    bound.into_iter().map(|(key, (address, sockets))| listen(key, address, sockets)).collect()
}

fn bind(
    wanted: SocketAddr,
    threads: u32,
    ours: bool,
) -> Result<(SocketAddr, Vec<Socket>), ListenError> {
    let fault = |cause: io::Error| ListenError { address: wanted, cause };
    if !ours && wanted.port() != 0 {
        // Sharing a port is for our own threads: somebody else's socket on it must be an error.
        let probe = open(wanted, false).map_err(fault)?;
        probe.listen(1).map_err(fault)?;
    }
    let first = open(wanted, true).map_err(fault)?;
    let address = first.local_addr().map_err(fault)?;
    let address = address.as_socket().ok_or_else(|| fault(io::Error::other("no address")))?;
    let mut sockets = vec![first];
    for _ in 1..threads {
        sockets.push(open(address, true).map_err(fault)?);
    }
    Ok((address, sockets))
}

fn open(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(
    key: &ListenerKey,
    address: SocketAddr,
    sockets: Vec<Socket>,
) -> Result<Bound, ListenError> {
    let sockets = sockets.into_iter().map(|socket| {
        socket.listen(BACKLOG).map_err(|cause| ListenError { address, cause })?;
        Ok(TcpListener::from(socket))
    });
    Ok(Bound { key: key.clone(), address, sockets: sockets.collect::<Result<_, _>>()? })
}

#[cfg(test)]
mod tests;
