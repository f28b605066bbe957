//! Headers that belong to the edge: removed on the way in, set by the proxy alone.
//!
//! Decides, per name, whether a field may pass, and reads the few fields a proxy acts on itself. Does **not** build
//! or change a header map: shells do, by what is said here. Names are compared in lower case with `_` as `-`, for
//! programs behind the proxy fold them so.

use crate::{Refusal, Ring};

pub mod client;
pub mod trace;

/// What a proxy does with a request field, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldClass {
    /// Passes.
    EndToEnd,
    /// Ends at this connection: framing, upgrades, `Connection` and what it may list.
    HopByHop,
    /// Says where a request came from. Only a gateway sets it; a sidecar keeps it from a gateway alone.
    Forwarding,
    /// Any other name that only this product may set; what a stranger sends is removed.
    EdgeOwned,
    /// Context for tracing that a stranger could fill; a gateway removes it, a sidecar keeps it.
    Baggage,
    /// Has a `_`, so that another program may read it as another name; removed unless the upstream lists it.
    Underscored,
}

/// Classifies a request field.
#[must_use]
pub fn classify(name: &str) -> FieldClass {
    let class = match name.bytes().next().map(fold) {
        Some(b'b') if is(name, "baggage") => FieldClass::Baggage,
        Some(b'f') if is(name, "forwarded") => FieldClass::Forwarding,
        Some(b'x') if starts(name, "x-forwarded") => FieldClass::Forwarding,
        Some(b'f' | b'r' | b's' | b't' | b'x') if is_edge_owned(name) => FieldClass::EdgeOwned,
        Some(b'c' | b'h' | b'k' | b'p' | b't' | b'u') if is_hop_by_hop(name) => {
            FieldClass::HopByHop
        }
        Some(_) | None => FieldClass::EndToEnd,
    };
    match class {
        FieldClass::EndToEnd if name.contains('_') => FieldClass::Underscored,
        FieldClass::EndToEnd
        | FieldClass::HopByHop
        | FieldClass::Forwarding
        | FieldClass::EdgeOwned
        | FieldClass::Baggage
        | FieldClass::Underscored => class,
    }
}

/// Classifies a response field: a service may not speak as the proxy, nor lead clients around it (`Alt-Svc`).
#[must_use]
pub fn classify_response(name: &str) -> FieldClass {
    if starts(name, "ringfort-") || starts(name, "x-ringfort-") || is(name, "alt-svc") {
        FieldClass::EdgeOwned
    } else if is_hop_by_hop(name) {
        FieldClass::HopByHop
    } else {
        FieldClass::EndToEnd
    }
}

/// Whether a trailer of a request passes: only gRPC's own.
#[must_use]
pub fn request_trailer_passes(name: &str, is_grpc: bool) -> bool {
    is_grpc && starts(name, "grpc-") && !name.contains('_')
}

/// Whether a trailer of a response passes: gRPC's own, and a gRPC service's trailing metadata.
#[must_use]
pub fn response_trailer_passes(name: &str, is_grpc: bool) -> bool {
    is_grpc && classify_response(name) == FieldClass::EndToEnd
}

/// Whether only this product may set the field; `Forwarded` and its like included.
#[must_use]
pub fn is_edge_owned(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "forwarded",
        "true-client-ip",
        "txn-token",
        "x-access-token",
        "x-client-ip",
        "x-id-token",
        "x-method-override",
        "x-real-ip",
        "x-rewrite-url",
    ];
    const FAMILIES: [&str; 11] = [
        "ringfort-",
        "ssl-client-",
        "x-auth-request-",
        "x-client-cert",
        "x-envoy-",
        "x-forwarded",
        "x-http-method",
        "x-original-",
        "x-ringfort-",
        "x-ssl-",
        "x-user",
    ];
    NAMES.iter().any(|owned| is(name, owned)) || FAMILIES.iter().any(|front| starts(name, front))
}

/// Whether the field ends at this connection.
///
/// # Source
/// RFC 9110 section 7.6.1; `HTTP2-Settings` of RFC 7540 section 3.2.1, which nobody may use any more.
#[must_use]
pub fn is_hop_by_hop(name: &str) -> bool {
    const NAMES: [&str; 10] = [
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    NAMES.iter().any(|hop| is(name, hop))
}

/// What `Connection` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The connection ends after this exchange.
    pub close: bool,
    /// HTTP/1.0: the connection is to stay.
    pub keep_alive: bool,
    /// `Upgrade` is meant.
    pub upgrade: bool,
}

/// The protocol a client wants to change to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// None, or none is meant.
    No,
    /// A WebSocket: passes where the route says so.
    WebSocket,
    /// Anything else, `h2c` included: never passes.
    Other,
}

/// Why the fields of a request cannot be read in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum ReadFieldsError {
    /// `Connection` lists a name that is not hop by hop, so that an inner proxy would remove it.
    #[error("`Connection` lists a field that is not hop-by-hop")]
    ConnectionToken,
    /// A field that has one value came twice.
    #[error("`{0}` came twice")]
    Twice(&'static str),
}

impl ReadFieldsError {
    /// The fixed word for metrics and tests.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ConnectionToken => "connection_token",
            Self::Twice(_) => "field_twice",
        }
    }
}

/// The connection ends with such a request: what follows on it is in doubt.
impl From<ReadFieldsError> for Refusal {
    fn from(fault: ReadFieldsError) -> Self {
        Self::new(Ring::Protocol, 400, fault.reason(), fault.to_string()).closing()
    }
}

/// Reads all values of `Connection`.
///
/// # Errors
/// [`ReadFieldsError::ConnectionToken`].
pub fn read_connection<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Connection, ReadFieldsError> {
    let mut connection = Connection { close: false, keep_alive: false, upgrade: false };
    for token in values.into_iter().flat_map(tokens) {
        let token =
            std::str::from_utf8(token).map_err(|_not_text| ReadFieldsError::ConnectionToken)?;
        if token.eq_ignore_ascii_case("close") {
            connection.close = true;
        } else if token.eq_ignore_ascii_case("keep-alive") {
            connection.keep_alive = true;
        } else if token.eq_ignore_ascii_case("upgrade") {
            connection.upgrade = true;
        } else if !is_hop_by_hop(token) || token.contains('_') {
            return Err(ReadFieldsError::ConnectionToken);
        }
    }
    Ok(connection)
}

/// Reads all values of `Upgrade`, which counts only if `Connection` lists it.
pub fn read_upgrade<'a>(
    connection: Connection,
    values: impl IntoIterator<Item = &'a [u8]>,
) -> Upgrade {
    let mut protocols = values.into_iter().flat_map(tokens);
    match (connection.upgrade, protocols.next(), protocols.next()) {
        (false, _, _) | (true, None, _) => Upgrade::No,
        (true, Some(one), None) if one.eq_ignore_ascii_case(b"websocket") => Upgrade::WebSocket,
        (true, Some(_), _) => Upgrade::Other,
    }
}

/// Whether all values of `TE` together ask for trailers, as gRPC demands.
pub fn asks_for_trailers<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> bool {
    values.into_iter().flat_map(tokens).any(|token| token.eq_ignore_ascii_case(b"trailers"))
}

/// Refuses a field that has one value but came twice: checker and service could each take another.
///
/// # Errors
/// [`ReadFieldsError::Twice`].
pub fn check_singletons<'a>(
    names: impl IntoIterator<Item = &'a str>,
) -> Result<(), ReadFieldsError> {
    let mut seen = 0_u32;
    for name in names {
        let Some((place, singleton)) = singleton(name) else { continue };
        let bit = 1 << place;
        if seen & bit != 0 {
            return Err(ReadFieldsError::Twice(singleton));
        }
        seen |= bit;
    }
    Ok(())
}

/// The place and name of a singleton in a table of fewer than 32.
fn singleton(name: &str) -> Option<(usize, &'static str)> {
    const NAMES: [&str; 19] = [
        "authorization",
        "content-length",
        "content-location",
        "content-type",
        "date",
        "dpop",
        "expect",
        "from",
        "host",
        "if-modified-since",
        "if-range",
        "if-unmodified-since",
        "max-forwards",
        "origin",
        "proxy-authorization",
        "range",
        "referer",
        "transfer-encoding",
        "user-agent",
    ];
    NAMES.into_iter().enumerate().find(|(_, singleton)| is(name, singleton))
}

/// The elements of a comma-separated list, without blanks and empty ones.
///
/// # Source
/// RFC 9110 section 5.6.1.2.
fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

const fn fold(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

/// Whether a name, folded, is `word`.
fn is(name: &str, word: &str) -> bool {
    name.len() == word.len() && starts(name, word)
}

/// Whether a name, folded, begins with `word`.
fn starts(name: &str, word: &str) -> bool {
    name.len() >= word.len() && name.bytes().zip(word.bytes()).all(|(a, b)| fold(a) == b)
}

#[cfg(test)]
mod tests;
