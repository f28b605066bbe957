//! Operations of a service as `calls: only:` names them.

use std::fmt;

use crate::PathPattern;

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

/// Prints the operation as the fleet file writes it; the same text is `context.operation` in policies.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { method, pattern } => write!(f, "{method} {pattern}"),
            Self::Grpc { service, method } => write!(f, "{service}/{method}"),
        }
    }
}
