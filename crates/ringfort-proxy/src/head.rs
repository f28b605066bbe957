//! Ring `protocol` on heads: the one canonical reading of a request, and which fields pass in each direction.

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, Version, header,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use ringfort_model::{
    ByteCount, CanonicalRequest, Limits, Refusal, Ring,
    canonical::{HostField, HttpVersion, RawRequest},
    headers::{self, FieldClass, Upgrade},
};

/// What a head says, read once.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) canonical: CanonicalRequest,
    /// The port of the authority as the caller wrote it; part of `Host` upstream, of no decision.
    pub(crate) port: Option<u16>,
    pub(crate) upgrade: Upgrade,
    /// The value of `Upgrade`, if it is meant.
    pub(crate) protocol: Option<HeaderValue>,
    pub(crate) grpc: bool,
    pub(crate) trailers: bool,
}

/// Reads a head within the bounds of its listener.
///
/// # Errors
/// The refusal of ring `protocol`; its connection ends.
pub(crate) fn read(parts: &Parts, bounds: &Limits) -> Result<Asked, Refusal> {
    check_size(&parts.headers, bounds)?;
    let fields = &parts.headers;
    headers::check_singletons(fields.iter().map(|(name, _)| name.as_str()))?;
    let raw = RawRequest {
        method: parts.method.as_str().as_bytes(),
        path: parts.uri.path().as_bytes(),
        query: parts.uri.query().map(str::as_bytes),
        authority: parts.uri.authority().map(|authority| authority.as_str().as_bytes()),
        host: HostField::of(values(fields, &header::HOST)),
        version: version(parts.version)?,
    };
    let canonical = CanonicalRequest::parse(&raw, bounds.url)?;
    check_early_data(parts)?;
    let connection = headers::read_connection(values(fields, &header::CONNECTION))?;
    let upgrade = headers::read_upgrade(connection, values(fields, &header::UPGRADE));
    Ok(Asked {
        port: port(raw.authority.or_else(|| values(fields, &header::HOST).next())),
        canonical,
        protocol: connection.upgrade.then(|| fields.get(header::UPGRADE).cloned()).flatten(),
        upgrade,
        grpc: is_grpc(fields),
        trailers: headers::asks_for_trailers(values(fields, &header::TE)),
    })
}

/// Whether the caller speaks gRPC.
pub(crate) fn is_grpc(fields: &HeaderMap) -> bool {
    fields
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Holds the fields of a head to their limits, which may become known only with the route.
///
/// # Errors
/// 431: too many or too long.
pub(crate) fn check_size(fields: &HeaderMap, bounds: &Limits) -> Result<(), Refusal> {
    // As HTTP/2 counts, without its 32 bytes per field: name, value, and `: ` with the line's end.
    let size = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len().saturating_add(value.len()).saturating_add(4)
    };
    let bytes = fields.iter().map(size).fold(0_usize, usize::saturating_add);
    let too_large =
        |detail: String| Refusal::new(Ring::Protocol, 431, "head_size", detail).closing();
    if bytes > bounds.header_bytes.as_usize() {
        return Err(too_large(format!(
            "{bytes} bytes of fields; {} are allowed",
            bounds.header_bytes
        )));
    }
    let count = u32::try_from(fields.len()).unwrap_or(u32::MAX);
    if count > bounds.header_count {
        return Err(too_large(format!("{count} fields; {} are allowed", bounds.header_count)));
    }
    Ok(())
}

/// Refuses what an earlier hop says it took as early data, unless it may be repeated by anybody.
///
/// # Source
/// RFC 8470 section 5.2.
fn check_early_data(parts: &Parts) -> Result<(), Refusal> {
    let early = parts.headers.get(EARLY_DATA).is_some_and(|value| value.as_bytes() == b"1");
    if early && !parts.method.is_safe() {
        let detail = "the request came as early data and may be a replay";
        return Err(Refusal::new(Ring::Protocol, 425, "early_data", detail));
    }
    Ok(())
}

const EARLY_DATA: HeaderName = HeaderName::from_static("early-data");

/// Holds the announced length of a body to its limit.
///
/// # Errors
/// 413.
pub(crate) fn check_length(fields: &HeaderMap, max: ByteCount) -> Result<(), Refusal> {
    let length = fields.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|value| value.parse::<u64>().ok());
    match length {
        Some(length) if length > max.as_u64() => {
            Err(body_too_large(format!("a body of {length} bytes; {max} are allowed")))
        }
        Some(_) | None => Ok(()),
    }
}

/// The refusal of a body beyond its limit.
pub(crate) fn body_too_large(detail: String) -> Refusal {
    Refusal::new(Ring::Protocol, 413, "body_size", detail).closing()
}

/// What a proxy believes of its peer's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Anybody: nothing is believed.
    Stranger,
    /// A gateway of this fleet: it says where the request came from.
    Gateway,
    /// A service of this fleet, or the local program.
    Workload,
}

/// Removes what may not pass: fields that end here, that only the edge may set, or that another program could read
/// as a different name.
pub(crate) fn strip_request(fields: &mut HeaderMap, sender: Sender) {
    let goes = |name: &HeaderName| match headers::classify(name.as_str()) {
        FieldClass::EndToEnd => *name == header::HOST || *name == header::EXPECT,
        FieldClass::Forwarding => sender != Sender::Gateway,
        FieldClass::Baggage => sender == Sender::Stranger,
        FieldClass::HopByHop | FieldClass::EdgeOwned | FieldClass::Underscored => true,
    };
    let going: Vec<HeaderName> = fields.keys().filter(|name| goes(name)).cloned().collect();
    for name in going {
        fields.remove(name);
    }
}

/// Removes what a service may not say to its callers.
pub(crate) fn strip_response(fields: &mut HeaderMap) {
    let passes = |name: &HeaderName| {
        // hyper needs this one to send trailers in HTTP/1.1; it frames the body itself.
        *name == header::TRAILER
            || headers::classify_response(name.as_str()) == FieldClass::EndToEnd
    };
    let going: Vec<HeaderName> = fields.keys().filter(|name| !passes(name)).cloned().collect();
    for name in going {
        fields.remove(name);
    }
}

/// The trailers of a request that pass.
pub(crate) fn request_trailers(fields: HeaderMap, grpc: bool) -> HeaderMap {
    kept(fields, |name| headers::request_trailer_passes(name, grpc))
}

/// The trailers of a response that pass.
pub(crate) fn response_trailers(fields: HeaderMap, grpc: bool) -> HeaderMap {
    kept(fields, |name| headers::response_trailer_passes(name, grpc))
}

fn kept(mut fields: HeaderMap, passes: impl Fn(&str) -> bool) -> HeaderMap {
    let going: Vec<HeaderName> =
        fields.keys().filter(|name| !passes(name.as_str())).cloned().collect();
    for name in going {
        fields.remove(name);
    }
    fields
}

/// The target and `Host` of a request as sent upstream; made of the canonical request alone.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) uri: Uri,
    /// `None` in HTTP/2, where the target carries the authority.
    pub(crate) host: Option<HeaderValue>,
}

/// Writes the target for HTTP/1.1 (path, and `Host` beside it) or HTTP/2 (whole).
///
/// # Errors
/// 400: the canonical text is no target for the HTTP library, which no canonical request should be.
pub(crate) fn upstream(
    canonical: &CanonicalRequest,
    host: &str,
    port: Option<u16>,
    http2: bool,
) -> Result<Upstream, Refusal> {
    let form = |_error| Refusal::new(Ring::Protocol, 400, "target_form", "no target upstream");
    let target = PathAndQuery::try_from(canonical.target())
        .map_err(|error| form(http::Error::from(error)))?;
    let with_port;
    let authority = match port {
        Some(port) => {
            with_port = format!("{host}:{port}");
            with_port.as_str()
        }
        None => host,
    };
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = Some(target);
    if http2 {
        uri.scheme = Some(Scheme::HTTP);
        uri.authority =
            Some(Authority::try_from(authority).map_err(|error| form(http::Error::from(error)))?);
        let uri = Uri::from_parts(uri).map_err(|error| form(http::Error::from(error)))?;
        return Ok(Upstream { uri, host: None });
    }
    let uri = Uri::from_parts(uri).map_err(|error| form(http::Error::from(error)))?;
    let host = HeaderValue::try_from(authority).map_err(|error| form(http::Error::from(error)))?;
    Ok(Upstream { uri, host: Some(host) })
}

/// All values of a field.
pub(crate) fn values<'a>(
    fields: &'a HeaderMap,
    name: &HeaderName,
) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a> {
    fields.get_all(name).iter().map(HeaderValue::as_bytes)
}

fn version(version: Version) -> Result<HttpVersion, Refusal> {
    match version {
        Version::HTTP_10 => Ok(HttpVersion::Http10),
        Version::HTTP_11 => Ok(HttpVersion::Http11),
        Version::HTTP_2 => Ok(HttpVersion::Http2),
        _ => Err(Refusal::new(Ring::Protocol, 400, "version", "an unknown HTTP version").closing()),
    }
}

/// The port an authority names.
fn port(authority: Option<&[u8]>) -> Option<u16> {
    let text = std::str::from_utf8(authority?).ok()?;
    let (_host, port) = text.rsplit_once(':')?;
    port.parse().ok()
}

#[cfg(test)]
mod tests;
