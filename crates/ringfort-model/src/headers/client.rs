//! The client's address: the rightmost hop that is no listed proxy.
//!
//! Nothing a stranger sends can change it: without listed proxies it is the peer of the connection, and behind
//! listed proxies only what the nearest of them appended is believed, hop by hop from the right.

use std::net::{IpAddr, SocketAddr};

use crate::snapshot::Cidr;

/// Most hops that are followed; further left, the last proxy counts as the client.
const HOPS_MAX: usize = 32;

/// Decides the client's address. `forwarded` and `x_forwarded_for` are all values of these fields, in order.
///
/// Where a listed proxy passes one of the two fields through and writes the other, a client could forge the one it
/// passes. So both are read, and where they disagree there is no answer: the request is refused. A proxy's address in
/// its place would pass every rule that trusts that proxy's network.
pub fn client_address<'a>(
    peer: IpAddr,
    trusted: &[Cidr],
    forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    x_forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    let hops = |value: &'a [u8]| value.rsplit(|byte| *byte == b',');
    let by_standard = follow(peer, trusted, forwarded.rev().flat_map(hops).map(forwarded_for));
    let by_custom = follow(peer, trusted, x_forwarded_for.rev().flat_map(hops).map(node));
    match (by_standard, by_custom) {
        (Some(one), None) | (None, Some(one)) => Some(one),
        (Some(one), Some(other)) => (one == other).then_some(one),
        (None, None) => Some(peer),
    }
}

/// Follows hops from the right while they are listed proxies; `None` when there is no hop.
fn follow(
    peer: IpAddr,
    trusted: &[Cidr],
    hops: impl Iterator<Item = Option<IpAddr>>,
) -> Option<IpAddr> {
    let mut hops = hops.take(HOPS_MAX).peekable();
    hops.peek()?;
    let mut address = peer;
    for hop in hops {
        if !trusted.iter().any(|network| network.contains(address)) {
            break;
        }
        let Some(next) = hop else { break };
        address = next.to_canonical();
    }
    Some(address)
}

/// The address in one element of `Forwarded`.
///
/// # Source
/// RFC 7239 sections 4 and 6.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut nodes = element.split(|byte| *byte == b';').filter_map(|pair| {
        let (name, value) = pair.split_at_checked(pair.iter().position(|byte| *byte == b'=')?)?;
        name.trim_ascii().eq_ignore_ascii_case(b"for").then_some(value.get(1..)?)
    });
    let (Some(value), None) = (nodes.next(), nodes.next()) else { return None };
    let value = value.trim_ascii();
    let unquoted = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    node(unquoted.unwrap_or(value))
}

/// An address, with or without port; IPv6 with or without brackets.
fn node(value: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(inner) = bracketed {
        return inner.parse().ok().map(IpAddr::V6);
    }
    text.parse().ok().or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()))
}

#[cfg(test)]
mod tests;
