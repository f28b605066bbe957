//! Operations of a service as `calls: only:` names them.

use std::fmt;

use crate::{CanonicalRequest, PathPattern};

/// What a caller may be limited to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// One HTTP method on the paths of a pattern: `GET /api/stock/{sku}`.
    Http {
        /// The method, upper case.
        method: String,
        /// The paths.
        pattern: PathPattern,
    },
    /// One gRPC method: `pkg.Service/Method`.
    Grpc {
        /// `pkg.Service`.
        service: String,
        /// `Method`.
        method: String,
    },
}

impl Operation {
    /// Whether a request is this operation.
    #[must_use]
    pub fn covers(&self, request: &CanonicalRequest) -> bool {
        match self {
            Self::Http { method, pattern } => {
                method == request.method() && pattern.matches(request.key())
            }
            Self::Grpc { service, method } => {
                let name = grpc_name(request).and_then(|name| name.split_once('/'));
                name == Some((service.as_str(), method.as_str()))
            }
        }
    }
}

/// The gRPC method a request calls, as `pkg.Service/Method`; `None` for any other request.
///
/// # Source
/// gRPC over HTTP/2, "Requests": `POST`, path `/Service-Name/method-name`.
#[must_use]
pub fn grpc_name(request: &CanonicalRequest) -> Option<&str> {
    let name = request.key().strip_prefix('/')?;
    let (service, method) = name.split_once('/')?;
    let is_name = request.method() == "POST" && !service.is_empty() && !method.is_empty();
    (is_name && !method.contains('/')).then_some(name)
}

/// Prints the operation as the fleet file writes it; the same text is `context.operation` in policies.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { method, pattern } => write!(f, "{method} {pattern}"),
            Self::Grpc { service, method } => write!(f, "{service}/{method}"),
        }
    }
}
