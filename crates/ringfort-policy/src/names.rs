//! The names of a fleet that policies may mention, and the graph a permit can act in.
//!
//! The fleet compiler fills these from its files. Does **not** decide whether the names themselves are valid.

use std::collections::{BTreeMap, BTreeSet};

use ringfort_model::{Label, Name, snapshot::Protocol};

use crate::Span;

/// Everything a policy of one fleet may name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SchemaNames {
    /// Labels that some service or gateway carries.
    pub labels: BTreeSet<Label>,
    /// Groups of `identity.groups`.
    pub groups: BTreeSet<Name>,
    /// Clients of `identity.clients`.
    pub clients: BTreeSet<Name>,
    /// Gateways and their labels: callers, too.
    pub gateways: BTreeMap<Name, Vec<Label>>,
    /// Services.
    pub services: BTreeMap<Name, NamedService>,
    /// Routes.
    pub routes: BTreeMap<Name, NamedRoute>,
    /// The graph: (caller, callee) for each `calls:` entry, and (gateway, service) for each route.
    pub edges: BTreeMap<(Name, Name), NamedEdge>,
}

/// A service as policies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedService {
    /// What it speaks; `None` for a service that only calls and is nobody's resource.
    pub protocol: Option<Protocol>,
    /// Its labels.
    pub labels: Vec<Label>,
}

/// A route as policies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRoute {
    /// The service behind it; `None` for redirects.
    pub service: Option<Name>,
    /// Its gateway.
    pub gateway: Name,
    /// Whether users sign in (`invoke`) or anybody may come (`user: none`, `visit`).
    pub has_user: bool,
    /// Where `policy: required` is written, if it is.
    pub required: Option<Span>,
}

/// One edge of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamedEdge {
    /// Where `policy: required` is written, if it is.
    pub required: Option<Span>,
}
