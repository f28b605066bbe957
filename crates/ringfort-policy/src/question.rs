//! What is asked and what is answered.
//!
//! A [`Verdict`] has no default: whoever has none must refuse.

use std::{fmt, net::IpAddr, sync::Arc};

use ringfort_model::{Name, snapshot::Place};

/// One request as policies see it; every text is the canonical one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question<'a> {
    /// May this workload call this service?
    Call {
        /// The caller, by its proven identity.
        caller: &'a Name,
        /// The callee.
        service: &'a Name,
        /// The operation, as the fleet file writes it, when one is known.
        operation: Option<&'a str>,
        /// The request; `None` for bytes over TCP.
        http: Option<HttpFacts<'a>>,
    },
    /// May somebody unknown use this route?
    Visit {
        /// The route.
        route: &'a Name,
        /// The operation, when one is known.
        operation: Option<&'a str>,
        /// The request, as sent upstream.
        http: HttpFacts<'a>,
        /// The visitor's address; an IPv4-mapped one counts as IPv4.
        client_ip: IpAddr,
    },
}

/// The canonical request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpFacts<'a> {
    /// The method, upper case.
    pub method: &'a str,
    /// The authority: lower case, no port.
    pub host: &'a str,
    /// The path as routed: segments decoded once.
    pub path: &'a str,
}

/// The answer. Only [`Verdict::Permit`] lets a request through.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A permit applies, no forbid does, and every policy could be evaluated.
    Permit {
        /// The first permit that applies.
        policy: Arc<PolicyRef>,
    },
    /// A forbid applies.
    Forbid {
        /// The first forbid that applies.
        policy: Arc<PolicyRef>,
    },
    /// No permit applies.
    NoPermit,
    /// Some policy could not be evaluated, so nobody knows what it would have said.
    Failed {
        /// The first policy that failed; `None` when the question itself could not be put.
        policy: Option<Arc<PolicyRef>>,
        /// What went wrong; may quote request data.
        reason: String,
    },
}

impl Verdict {
    /// Whether the request passes.
    #[must_use]
    pub const fn is_permit(&self) -> bool {
        matches!(self, Self::Permit { .. })
    }

    /// The policy that decided, if one did.
    #[must_use]
    pub fn policy(&self) -> Option<&PolicyRef> {
        match self {
            Self::Permit { policy } | Self::Forbid { policy } => Some(policy),
            Self::Failed { policy, .. } => policy.as_deref(),
            Self::NoPermit => None,
        }
    }

    /// A fixed word for metrics and refusals.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Permit { .. } => "permit",
            Self::Forbid { .. } => "forbid",
            Self::NoPermit => "no_permit",
            Self::Failed { .. } => "policy_failed",
        }
    }
}

/// Which policy it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyRef {
    /// Its id.
    pub id: String,
    /// Where it, or the line that generated it, stands.
    pub place: Place,
}

impl fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.id, self.place)
    }
}
