//! The one reading of a request: routing, policy, logs and the bytes sent upstream all derive from it.
//!
//! Decides whether raw bytes have exactly one meaning, and which: `wire` is what goes upstream, `key` is what is
//! routed, authorized and logged. Does **not** decide framing, limits of the head, or who may ask.
//!
//! # One reading for four kinds of upstream
//! A path that [`Normalization::Strict`] refuses is read by at most one other kind of upstream: repeated slashes and
//! dot segments only by `merge-slashes`, encoded delimiters only by `encoded-slash`, parameters only by
//! `matrix-params`. So a gateway parses once, routes by `key`, and then asks
//! [`CanonicalRequest::require`] whether the upstream of the route reads such paths; a path with two of these
//! peculiarities is refused at once.
//!
//! # Invariants
//! - `key(wire) = key(raw)`, and `wire` parses to itself.
//! - No key has an empty segment, a dot segment, a control byte or a trailing slash (the root apart), so `/x` and
//!   `/x/` meet the same rules.
//! - In a key `%` begins only one of `%2F %5C %3B %3F %23 %25`: data that no rule can mistake for a delimiter.
//! - The query is never part of the key.

use std::ops::Range;

use crate::{ByteCount, snapshot::Rewrite};

mod authority;
mod fault;
mod path;

pub use fault::CanonicaliseError;

/// Longest method in bytes; the longest registered one (`UPDATEREDIRECTREF`) has 17.
const METHOD_BYTES_MAX: usize = 32;

/// How an upstream reads paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Normalization {
    /// Refuses everything two programs could read differently.
    Strict,
    /// Repeated slashes are one; dot segments are resolved.
    MergeSlashes,
    /// `%2F` and other encoded delimiters are data inside a segment.
    EncodedSlash,
    /// `;k=v` is sent on but is no part of the key.
    MatrixParams,
}

impl Normalization {
    /// Every profile, the strictest first.
    pub const ALL: [Self; 4] =
        [Self::Strict, Self::MergeSlashes, Self::EncodedSlash, Self::MatrixParams];

    /// The word of the fleet file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::MergeSlashes => "merge-slashes",
            Self::EncodedSlash => "encoded-slash",
            Self::MatrixParams => "matrix-params",
        }
    }
}

/// The HTTP version a request came in, as far as it decides about the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HttpVersion {
    /// HTTP/1.0: `Host` may be missing when the target names the authority.
    Http10,
    /// HTTP/1.1: exactly one `Host`.
    Http11,
    /// HTTP/2: `:authority`, `Host`, or both alike.
    Http2,
}

/// The `Host` fields of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostField<'a> {
    /// None was sent.
    Absent,
    /// Exactly one.
    One(&'a [u8]),
    /// More than one, even if they are alike.
    Many,
}

impl<'a> HostField<'a> {
    /// Takes the values of all `Host` fields.
    pub fn of(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut values = values.into_iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::One(value),
            (Some(_), Some(_)) => Self::Many,
        }
    }
}

/// The parts of a request head that make its meaning, as received.
#[derive(Debug, Clone, Copy)]
pub struct RawRequest<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The path of the target: everything before the first `?`.
    pub path: &'a [u8],
    /// Everything after the first `?`; `None` without one.
    pub query: Option<&'a [u8]>,
    /// The authority of an absolute-form target, or `:authority`.
    pub authority: Option<&'a [u8]>,
    /// The `Host` fields.
    pub host: HostField<'a>,
    /// The version of the request line or connection.
    pub version: HttpVersion,
}

/// A request read exactly once. Its text is one allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalRequest {
    /// `METHOD host wire?query key` without blanks; `key` only where it is no front part of `wire`.
    text: String,
    method: Range<usize>,
    host: Range<usize>,
    wire: Range<usize>,
    target: Range<usize>,
    key: Range<usize>,
    /// Set when only one kind of upstream reads this path; the error for all others.
    oddity: Option<CanonicaliseError>,
}

impl CanonicalRequest {
    /// Reads a request. Path and query together have at most `target_max` bytes.
    ///
    /// The path may be one that only some upstreams read: ask [`Self::require`] once the upstream is known.
    ///
    /// # Errors
    /// A [`CanonicaliseError`] names the first part that has no single meaning.
    pub fn parse(raw: &RawRequest<'_>, target_max: ByteCount) -> Result<Self, CanonicaliseError> {
        let query_bytes = raw.query.map_or(0, |query| query.len().saturating_add(1));
        let target_bytes = raw.path.len().saturating_add(query_bytes);
        if target_bytes > target_max.as_usize() {
            return Err(CanonicaliseError::TooLong);
        }
        let method = read_method(raw.method)?;
        let query = raw.query.map(read_query).transpose()?;

        // Room for method, a usual host and target; more only for a long host or a path with escapes.
        let mut text = String::with_capacity(target_bytes.saturating_add(64));
        text.push_str(method);
        let method = 0..text.len();
        authority::read(raw, &mut text)?;
        let host = method.end..text.len();
        let path = path::read(raw.path, &mut text)?;
        let wire = host.end..text.len();
        if let Some(query) = query {
            text.push('?');
            text.push_str(query);
        }
        let target = wire.start..text.len();
        let key = match path.key {
            path::Key::FrontOfWire(bytes) => wire.start..wire.start.saturating_add(bytes),
            path::Key::Own(key) => {
                text.push_str(&key);
                target.end..text.len()
            }
        };
        Ok(Self { text, method, host, wire, target, key, oddity: path.oddity })
    }

    /// Reads a request for an upstream that is known beforehand.
    ///
    /// # Errors
    /// As [`Self::parse`] and [`Self::require`].
    pub fn parse_for(
        raw: &RawRequest<'_>,
        normalization: Normalization,
        target_max: ByteCount,
    ) -> Result<Self, CanonicaliseError> {
        let request = Self::parse(raw, target_max)?;
        request.require(normalization)?;
        Ok(request)
    }

    /// Demands that an upstream of this kind reads the path as it was read here.
    ///
    /// # Errors
    /// What in the path only another kind of upstream reads so.
    pub fn require(&self, normalization: Normalization) -> Result<(), CanonicaliseError> {
        match self.oddity {
            Some(oddity) if oddity.only_reader() != Some(normalization) => Err(oddity),
            Some(_) | None => Ok(()),
        }
    }

    /// Demands that path and query together have at most `target_max` bytes, for limits known only after routing.
    ///
    /// # Errors
    /// [`CanonicaliseError::TooLong`].
    pub fn fits(&self, target_max: ByteCount) -> Result<(), CanonicaliseError> {
        if self.target.len() > target_max.as_usize() {
            return Err(CanonicaliseError::TooLong);
        }
        Ok(())
    }

    /// The method: an upper-case token.
    #[must_use]
    pub fn method(&self) -> &str {
        self.part(&self.method)
    }

    /// The one authority: lower case, without port, trailing dot or userinfo; IPv6 in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.part(&self.host)
    }

    /// The path as sent upstream.
    #[must_use]
    pub fn wire(&self) -> &str {
        self.part(&self.wire)
    }

    /// Path and query as sent upstream.
    #[must_use]
    pub fn target(&self) -> &str {
        self.part(&self.target)
    }

    /// The path as routed, authorized and logged: segments decoded once, no trailing slash.
    #[must_use]
    pub fn key(&self) -> &str {
        self.part(&self.key)
    }

    /// The query as received, without `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.text.get(self.wire.end.saturating_add(1)..self.target.end)
    }

    /// The same request with its path rewritten at segment borders; policy then sees the path sent upstream.
    ///
    /// # Errors
    /// - [`CanonicaliseError::NoPrefix`]: the path lacks the prefix that is to be stripped.
    /// - [`CanonicaliseError::Rewritten`]: the result is not canonical, or fewer upstreams read it than read this path;
    ///   so [`Self::require`] need not be asked again.
    pub fn rewritten(&self, rewrite: &Rewrite) -> Result<Self, CanonicaliseError> {
        let rest = match &rewrite.strip_prefix {
            Some(prefix) => self.without_prefix(prefix).ok_or(CanonicaliseError::NoPrefix)?,
            None => self.wire(),
        };
        let front = rewrite.add_prefix.as_deref().unwrap_or_default();
        let mut path = front.strip_suffix('/').unwrap_or(front).to_owned();
        path.push_str(rest);
        if path.is_empty() {
            path.push('/');
        }
        let raw = RawRequest {
            method: self.method().as_bytes(),
            path: path.as_bytes(),
            query: self.query().map(str::as_bytes),
            authority: None,
            host: HostField::One(self.host().as_bytes()),
            version: HttpVersion::Http11,
        };
        let unlimited = ByteCount::bytes(u64::MAX);
        let mut new = Self::parse(&raw, unlimited).map_err(|_part| CanonicaliseError::Rewritten)?;
        let reader = |oddity: Option<CanonicaliseError>| oddity.and_then(|it| it.only_reader());
        let newly_odd = new.oddity.is_some() && reader(new.oddity) != reader(self.oddity);
        if new.wire() != path || newly_odd {
            return Err(CanonicaliseError::Rewritten);
        }
        new.oddity = self.oddity.or(new.oddity);
        Ok(new)
    }

    /// What follows the segments of `prefix` in `wire`: empty, or text that begins with `/`.
    fn without_prefix(&self, prefix: &str) -> Option<&str> {
        let mut keys = segments(self.key());
        let mut rest = self.wire();
        for wanted in segments(prefix) {
            if keys.next() != Some(wanted) {
                return None;
            }
            let inner = rest.strip_prefix('/')?;
            rest = inner.find('/').and_then(|slash| inner.get(slash..)).unwrap_or_default();
        }
        Some(rest)
    }

    fn part(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }
}

/// The segments of a key; none for the root.
pub fn segments(key: &str) -> impl Iterator<Item = &str> + Clone {
    crate::path::split(key)
}

fn read_method(method: &[u8]) -> Result<&str, CanonicaliseError> {
    let good = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    if method == b"CONNECT" {
        return Err(CanonicaliseError::Connect);
    }
    if method.is_empty() || method.len() > METHOD_BYTES_MAX || !method.iter().all(good) {
        return Err(CanonicaliseError::Method);
    }
    std::str::from_utf8(method).map_err(|_not_text| CanonicaliseError::Method)
}

fn read_query(query: &[u8]) -> Result<&str, CanonicaliseError> {
    if !query.iter().all(|b| b.is_ascii_graphic() && *b != b'#') {
        return Err(CanonicaliseError::Query);
    }
    std::str::from_utf8(query).map_err(|_not_text| CanonicaliseError::Query)
}

#[cfg(test)]
mod tests;
