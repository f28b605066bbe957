//! Why a request has no canonical reading: a fixed word, a sentence and a status for each fault.

use super::Normalization;
use crate::{Refusal, Ring};

/// Why a request has no canonical reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum CanonicaliseError {
    /// The method is empty, too long or has a character outside `A-Z 0-9 - _`.
    #[error("the method is not a short token of upper-case letters, digits, `-` and `_`")]
    Method,
    /// `CONNECT` names no path.
    #[error("`CONNECT` asks for a tunnel")]
    Connect,
    /// Path and query are longer than the limit.
    #[error("path and query are longer than the limit `url`")]
    TooLong,
    /// The path does not start with `/`.
    #[error("the path does not start with `/`")]
    NoSlash,
    /// A raw byte that no path may have.
    #[error("the path has a raw blank, control byte, `#`, `?` or byte outside ASCII")]
    PathByte,
    /// A raw or encoded backslash.
    #[error("the path has a raw or encoded backslash")]
    Backslash,
    /// `%` without two hex digits.
    #[error("the path has a `%` without two hex digits")]
    BadEscape,
    /// An encoded control byte.
    #[error("the path has an encoded control byte")]
    Control,
    /// Encoded bytes that are no UTF-8.
    #[error("the path decodes to bytes that are no UTF-8")]
    NotUtf8,
    /// A dot segment behind an encoded slash or `;`.
    #[error("the path hides a dot segment behind an encoded delimiter or `;`")]
    HiddenDots,
    /// An empty segment; only `merge-slashes` reads it.
    #[error("the path has an empty segment (`//`)")]
    DoubleSlash,
    /// A dot segment; only `merge-slashes` reads it.
    #[error("the path has a dot segment")]
    Dots,
    /// `%2F`; only `encoded-slash` reads it.
    #[error("the path has an encoded slash")]
    EncodedSlash,
    /// `%3F`, `%23`, `%3B`, or `%25` before two hex digits; only `encoded-slash` reads it.
    #[error("the path has an encoded `?`, `#` or `;`, or an encoded `%` before two hex digits")]
    EncodedDelimiter,
    /// `;`; only `matrix-params` reads it.
    #[error("the path has a parameter (`;`)")]
    Parameters,
    /// A raw byte that no query may have.
    #[error("the query has a raw blank, control byte, `#` or byte outside ASCII")]
    Query,
    /// Nothing names an authority, or HTTP/1.1 came without `Host`.
    #[error("the request names no host")]
    NoHost,
    /// More than one `Host` field.
    #[error("the request has more than one `Host`")]
    ManyHosts,
    /// The target's authority and `Host` differ.
    #[error("the request's target and its `Host` name different authorities")]
    HostConflict,
    /// The authority carries user information.
    #[error("the authority has user information (`@`)")]
    UserInfo,
    /// The host is no DNS name and no IP address, or the port is no number.
    #[error("the authority is no host name or IP address with an optional port")]
    Host,
    /// A route strips a prefix that the path does not have.
    #[error("the path does not have the prefix that its route strips")]
    NoPrefix,
    /// A route's rewriting yields a path that is not canonical.
    #[error("the route rewrites the path to one that is not canonical")]
    Rewritten,
}

impl CanonicaliseError {
    /// Every fault.
    pub const ALL: [Self; 23] = [
        Self::Method,
        Self::Connect,
        Self::TooLong,
        Self::NoSlash,
        Self::PathByte,
        Self::Backslash,
        Self::BadEscape,
        Self::Control,
        Self::NotUtf8,
        Self::HiddenDots,
        Self::DoubleSlash,
        Self::Dots,
        Self::EncodedSlash,
        Self::EncodedDelimiter,
        Self::Parameters,
        Self::Query,
        Self::NoHost,
        Self::ManyHosts,
        Self::HostConflict,
        Self::UserInfo,
        Self::Host,
        Self::NoPrefix,
        Self::Rewritten,
    ];

    /// The fixed word for metrics and tests.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Connect => "connect",
            Self::TooLong => "target_length",
            Self::NoSlash => "path_no_slash",
            Self::PathByte => "path_byte",
            Self::Backslash => "path_backslash",
            Self::BadEscape => "path_escape",
            Self::Control => "path_control",
            Self::NotUtf8 => "path_utf8",
            Self::HiddenDots => "path_hidden_dots",
            Self::DoubleSlash => "path_double_slash",
            Self::Dots => "path_dots",
            Self::EncodedSlash => "path_encoded_slash",
            Self::EncodedDelimiter => "path_encoded_delimiter",
            Self::Parameters => "path_parameters",
            Self::Query => "query_byte",
            Self::NoHost => "host_missing",
            Self::ManyHosts => "host_many",
            Self::HostConflict => "host_conflict",
            Self::UserInfo => "host_userinfo",
            Self::Host => "host_form",
            Self::NoPrefix => "rewrite_prefix",
            Self::Rewritten => "rewrite_form",
        }
    }

    /// The HTTP status the caller sees.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Connect => 405,
            Self::TooLong => 414,
            Self::NoPrefix => 404,
            Self::Method
            | Self::NoSlash
            | Self::PathByte
            | Self::Backslash
            | Self::BadEscape
            | Self::Control
            | Self::NotUtf8
            | Self::HiddenDots
            | Self::DoubleSlash
            | Self::Dots
            | Self::EncodedSlash
            | Self::EncodedDelimiter
            | Self::Parameters
            | Self::Query
            | Self::NoHost
            | Self::ManyHosts
            | Self::HostConflict
            | Self::UserInfo
            | Self::Host
            | Self::Rewritten => 400,
        }
    }

    /// The one kind of upstream that reads such a path; `None` when no upstream may see it.
    #[must_use]
    pub const fn only_reader(self) -> Option<Normalization> {
        match self {
            Self::DoubleSlash | Self::Dots => Some(Normalization::MergeSlashes),
            Self::EncodedSlash | Self::EncodedDelimiter => Some(Normalization::EncodedSlash),
            Self::Parameters => Some(Normalization::MatrixParams),
            Self::Method
            | Self::Connect
            | Self::TooLong
            | Self::NoSlash
            | Self::PathByte
            | Self::Backslash
            | Self::BadEscape
            | Self::Control
            | Self::NotUtf8
            | Self::HiddenDots
            | Self::Query
            | Self::NoHost
            | Self::ManyHosts
            | Self::HostConflict
            | Self::UserInfo
            | Self::Host
            | Self::NoPrefix
            | Self::Rewritten => None,
        }
    }
}

/// A fault of the request ends its connection: what follows on it is in doubt. A missing path does not.
impl From<CanonicaliseError> for Refusal {
    fn from(fault: CanonicaliseError) -> Self {
        let refusal = Self::new(Ring::Protocol, fault.status(), fault.reason(), fault.to_string());
        if fault == CanonicaliseError::NoPrefix { refusal } else { refusal.closing() }
    }
}
