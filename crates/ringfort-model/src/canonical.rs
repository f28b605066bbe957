//! The one reading of a request: routing, policy, logs and the bytes sent upstream all derive from it.

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

/// A request read exactly once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalRequest {
    /// Upper-case token.
    pub method: String,
    /// One authority: lower case, no port, no trailing dot, no userinfo.
    pub host: String,
    /// The path as sent upstream.
    pub wire: String,
    /// The path as routed, authorized and logged: segments decoded once.
    pub key: String,
    /// The query as received, without `?`.
    pub query: Option<String>,
}

/// Why a request has no canonical reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CanonicaliseError {
    /// The path does not start with `/`.
    #[error("the path does not start with `/`")]
    NoSlash,
}
