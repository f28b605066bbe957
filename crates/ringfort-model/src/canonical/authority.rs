//! The one authority of a request: what target and `Host` say together.

use std::net::Ipv6Addr;

use super::{CanonicaliseError, HostField, HttpVersion, RawRequest};

/// Longest host name in bytes.
///
/// # Source
/// RFC 1035 section 2.3.4.
const HOST_BYTES_MAX: usize = 253;

/// Longest label of a host name in bytes.
///
/// # Source
/// RFC 1035 section 2.3.4.
const LABEL_BYTES_MAX: usize = 63;

#[derive(Clone, Copy)]
struct Authority<'a> {
    host: Host<'a>,
    port: Option<u16>,
}

#[derive(Clone, Copy)]
enum Host<'a> {
    Name(&'a str),
    V6(Ipv6Addr),
}

/// Appends the request's host to `text`: lower case, without port, trailing dot or userinfo.
pub(super) fn read(raw: &RawRequest<'_>, text: &mut String) -> Result<(), CanonicaliseError> {
    let field = match raw.host {
        HostField::Many => return Err(CanonicaliseError::ManyHosts),
        HostField::One(value) => Some(parse(value)?),
        HostField::Absent if raw.version == HttpVersion::Http11 => {
            return Err(CanonicaliseError::NoHost);
        }
        HostField::Absent => None,
    };
    let target = raw.authority.map(parse).transpose()?;
    let authority = match (target, field) {
        (Some(target), Some(field)) if !agree(target, field) => {
            return Err(CanonicaliseError::HostConflict);
        }
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => return Err(CanonicaliseError::NoHost),
    };
    match authority.host {
        Host::Name(name) => text.extend(name.chars().map(|c| c.to_ascii_lowercase())),
        Host::V6(address) => text.push_str(&format!("[{address}]")),
    }
    Ok(())
}

/// The same host; and the same port, where both name one.
fn agree(a: Authority<'_>, b: Authority<'_>) -> bool {
    let same_host = match (a.host, b.host) {
        (Host::Name(a), Host::Name(b)) => a.eq_ignore_ascii_case(b),
        (Host::V6(a), Host::V6(b)) => a == b,
        (Host::Name(_), Host::V6(_)) | (Host::V6(_), Host::Name(_)) => false,
    };
    same_host && a.port.is_none_or(|a| b.port.is_none_or(|b| a == b))
}

fn parse(bytes: &[u8]) -> Result<Authority<'_>, CanonicaliseError> {
    let text = std::str::from_utf8(bytes).map_err(|_not_text| CanonicaliseError::Host)?;
    if text.contains('@') {
        return Err(CanonicaliseError::UserInfo);
    }
    let (host, port) = if let Some(inner) = text.strip_prefix('[') {
        let (address, rest) = inner.split_once(']').ok_or(CanonicaliseError::Host)?;
        let address = address.parse().map_err(|_not_an_address| CanonicaliseError::Host)?;
        let port = rest.strip_prefix(':');
        if port.is_none() && !rest.is_empty() {
            return Err(CanonicaliseError::Host);
        }
        (Host::V6(address), port)
    } else {
        let (name, port) = text.split_once(':').map_or((text, None), |(n, p)| (n, Some(p)));
        (Host::Name(host_name(name)?), port)
    };
    Ok(Authority { host, port: port.map(parse_port).transpose()? })
}

fn host_name(name: &str) -> Result<&str, CanonicaliseError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let label_is_good = |label: &str| {
        !label.is_empty() && label.len() <= LABEL_BYTES_MAX && label.bytes().all(good)
    };
    if name.len() > HOST_BYTES_MAX || !name.split('.').all(label_is_good) {
        return Err(CanonicaliseError::Host);
    }
    Ok(name)
}

fn parse_port(port: &str) -> Result<u16, CanonicaliseError> {
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(CanonicaliseError::Host);
    }
    port.parse().map_err(|_too_big| CanonicaliseError::Host)
}
