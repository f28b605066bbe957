//! SPIFFE identities as values: parsed once, compared byte for byte, never by prefix or pattern.

use std::{fmt, str::FromStr, sync::Arc};

use crate::Name;

/// Longest SPIFFE ID in bytes.
///
/// # Source
/// SPIFFE-ID specification, section 2.3.
pub const SPIFFE_ID_BYTES_MAX: usize = 2048;

/// A trust domain: 1 to 255 characters of `[a-z0-9.-_]`.
///
/// # Source
/// SPIFFE-ID specification, section 2.1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

/// The identity of a workload: `spiffe://trust-domain/path`, with a non-root path. Cheap to clone.
///
/// # Source
/// SPIFFE-ID specification, sections 2.1 to 2.3.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    text: Arc<str>,
    domain_bytes: usize,
}

/// Why a text is no SPIFFE ID or trust domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSpiffeError {
    /// Longer than the specification allows.
    #[error("longer than {SPIFFE_ID_BYTES_MAX} bytes")]
    TooLong,
    /// The scheme is not exactly `spiffe://`.
    #[error("does not start with `spiffe://`")]
    Scheme,
    /// The trust domain is empty, too long or has a character outside `[a-z0-9.-_]`.
    #[error("the trust domain is not 1 to 255 characters of a-z, 0-9, `.`, `-` and `_`")]
    TrustDomain,
    /// There is no path: the ID would name the domain, not a workload.
    #[error("has no path")]
    NoPath,
    /// A path segment is empty, `.`, `..` or has a character outside `[a-zA-Z0-9.-_]`.
    #[error(
        "a path segment is empty, a dot segment, or has a character outside a-z, A-Z, 0-9, `.`, `-` and `_`"
    )]
    Segment,
}

impl TrustDomain {
    /// The trust domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = ParseSpiffeError;

    fn from_str(text: &str) -> Result<Self, ParseSpiffeError> {
        let good =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if text.is_empty() || text.len() > 255 || !text.bytes().all(good) {
            return Err(ParseSpiffeError::TrustDomain);
        }
        Ok(Self(Arc::from(text)))
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of workload an identity of this fleet's own naming scheme belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkloadKind {
    /// `/svc/NAME`: a service's program and its sidecar.
    Service,
    /// `/gateway/NAME`: where requests enter.
    Gateway,
    /// `/agent/HOST`: the agent of one host.
    Agent,
    /// `/server/N`: one control-plane instance.
    Server,
}

impl WorkloadKind {
    /// The first path segment of identities of this kind.
    #[must_use]
    pub const fn segment(self) -> &'static str {
        match self {
            Self::Service => "svc",
            Self::Gateway => "gateway",
            Self::Agent => "agent",
            Self::Server => "server",
        }
    }
}

impl SpiffeId {
    /// Builds the identity of a workload of this fleet: `spiffe://DOMAIN/KIND/NAME`.
    #[must_use]
    pub fn of(domain: &TrustDomain, kind: WorkloadKind, name: &Name) -> Self {
        let text = format!("spiffe://{domain}/{}/{name}", kind.segment());
        Self { domain_bytes: domain.as_str().len(), text: Arc::from(text) }
    }

    /// The whole identity as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        self.text
            .get(SCHEME.len()..SCHEME.len().saturating_add(self.domain_bytes))
            .unwrap_or_default()
    }

    /// The path, with its leading slash.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(SCHEME.len().saturating_add(self.domain_bytes)..).unwrap_or_default()
    }

    /// The kind and name of a workload of this fleet's own naming scheme; `None` for any other path.
    #[must_use]
    pub fn workload(&self) -> Option<(WorkloadKind, Name)> {
        let (kind, name) = self.path().strip_prefix('/')?.split_once('/')?;
        let kind = [
            WorkloadKind::Service,
            WorkloadKind::Gateway,
            WorkloadKind::Agent,
            WorkloadKind::Server,
        ]
        .into_iter()
        .find(|known| known.segment() == kind)?;
        Some((kind, name.parse().ok()?))
    }
}

const SCHEME: &str = "spiffe://";

impl FromStr for SpiffeId {
    type Err = ParseSpiffeError;

    fn from_str(text: &str) -> Result<Self, ParseSpiffeError> {
        if text.len() > SPIFFE_ID_BYTES_MAX {
            return Err(ParseSpiffeError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(ParseSpiffeError::Scheme)?;
        let (domain, path) = rest.split_once('/').ok_or(ParseSpiffeError::NoPath)?;
        let domain = TrustDomain::from_str(domain)?;
        if path.is_empty() {
            return Err(ParseSpiffeError::NoPath);
        }
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let segment_is_good =
            |s: &str| !s.is_empty() && s != "." && s != ".." && s.bytes().all(good);
        if !path.split('/').all(segment_is_good) {
            return Err(ParseSpiffeError::Segment);
        }
        Ok(Self { domain_bytes: domain.as_str().len(), text: Arc::from(text) })
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}

#[cfg(test)]
mod tests;
