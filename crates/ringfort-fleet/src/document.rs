//! A fleet as typed values: right in themselves, each with the place it was written at.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use ringfort_model::{
    ByteCount, Label, Limits, Name, Normalization, Operation, Percent, Resilience, TrustDomain,
    limits::CertificateTerms,
    selectors::WorkloadSelectors,
    snapshot::{Cidr, HeaderEdits, ListenerTls, Protocol, Rewrite, RouteMatch, Subset},
};

use crate::source::Span;

/// Everything the compiler reads.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) trust_domain: TrustDomain,
    pub(crate) certificates: CertificateTerms,
    pub(crate) services: BTreeMap<Name, Service>,
    pub(crate) gateways: BTreeMap<Name, Gateway>,
    pub(crate) routes: BTreeMap<Name, Route>,
    pub(crate) metrics_bind: SocketAddr,
    pub(crate) metrics_span: Option<Span>,
    pub(crate) access_log_2xx: Percent,
}

/// One service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) span: Span,
    pub(crate) listen: Option<Listen>,
    pub(crate) run: Option<Run>,
    pub(crate) calls: Vec<Call>,
    pub(crate) proxy_port: Option<(u16, Span)>,
    pub(crate) workload: Workload,
    pub(crate) runs_on: Option<BTreeSet<Name>>,
    pub(crate) static_endpoints: Vec<SocketAddr>,
    pub(crate) instances_span: Option<Span>,
    pub(crate) bind: Option<(SocketAddr, Span)>,
    pub(crate) normalization: Normalization,
    pub(crate) normalization_span: Option<Span>,
    pub(crate) subsets: Vec<Subset>,
    pub(crate) subsets_span: Option<Span>,
    pub(crate) labels: Vec<Label>,
    pub(crate) limits: LimitsWritten,
    pub(crate) resilience: Resilience,
    pub(crate) certificates: CertificateTerms,
    /// Served by the server itself; it needs no program.
    pub(crate) is_builtin: bool,
    /// Whether an enforced contract holds every caller to the published API.
    pub(crate) has_contract: bool,
}

/// Where a program listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listen {
    pub(crate) span: Span,
    pub(crate) address: SocketAddr,
    pub(crate) protocol: Protocol,
}

/// How a program is started.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) command: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) dir: Option<String>,
}

/// One edge of the graph, seen from the caller.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) span: Span,
    pub(crate) to: Name,
    pub(crate) port: Option<(u16, Span)>,
    /// The operations as written, with their places; `None` when the edge is not limited.
    pub(crate) only: Option<Vec<(Operation, Span)>>,
    pub(crate) policy_required: bool,
}

/// What a process must look like.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) span: Span,
    pub(crate) selectors: WorkloadSelectors,
}

/// One gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) span: Span,
    pub(crate) workload: Workload,
    pub(crate) runs_on: Option<BTreeSet<Name>>,
    pub(crate) labels: Vec<Label>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) trusted_proxies: Vec<Cidr>,
    pub(crate) limits: LimitsWritten,
}

/// One socket of a gateway.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) span: Span,
    pub(crate) bind: SocketAddr,
    pub(crate) hosts: Vec<(String, Span)>,
    pub(crate) tls: Tls,
    pub(crate) redirect_to_https: bool,
    /// Whether clients must show a certificate.
    pub(crate) has_client_ca: bool,
}

/// What a listener proves itself with.
#[derive(Debug)]
pub(crate) enum Tls {
    /// Plaintext.
    None,
    /// As compiled into a snapshot; file contents are read when it is compiled.
    Built(ListenerTls),
    /// By ACME, which this build refuses to apply.
    Acme,
}

/// One route.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) span: Span,
    pub(crate) gateway: Option<Name>,
    pub(crate) matches: Vec<Condition>,
    pub(crate) target: Target,
    pub(crate) user: User,
    pub(crate) policy_required: bool,
    pub(crate) has_contract: bool,
    pub(crate) limits: LimitsWritten,
    pub(crate) timeout: Option<Duration>,
    pub(crate) headers: HeaderEdits,
    pub(crate) headers_span: Option<Span>,
    pub(crate) upgrade: bool,
    pub(crate) cors_origins: Vec<String>,
}

/// One condition of a route.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) rule: RouteMatch,
    pub(crate) host_span: Span,
    pub(crate) path_span: Span,
}

/// Where a route leads.
#[derive(Debug)]
pub(crate) enum Target {
    /// To a service.
    Service { name: Name, span: Span, rewrite: Option<Rewrite> },
    /// Elsewhere.
    Redirect { to: String, status: u16 },
}

/// Who may use a route.
#[derive(Debug)]
pub(crate) enum User {
    /// Everybody.
    None,
    /// Users of a client.
    Known(KnownUser),
}

/// What a user must prove.
#[derive(Debug)]
pub(crate) struct KnownUser {
    pub(crate) client: String,
    pub(crate) client_span: Span,
    pub(crate) is_login: bool,
    pub(crate) scopes: Vec<(String, Span)>,
    pub(crate) mfa: Option<Factor>,
    pub(crate) by_mtls: bool,
}

/// How strong a second factor must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Factor {
    /// Any.
    Mfa,
    /// A passkey.
    Passkey,
}

/// The limits that were written; the others come from outside.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LimitsWritten {
    pub(crate) body: Option<ByteCount>,
    pub(crate) url: Option<ByteCount>,
    pub(crate) header_bytes: Option<ByteCount>,
    pub(crate) header_count: Option<u32>,
    pub(crate) header_timeout: Option<Duration>,
    pub(crate) body_idle: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    pub(crate) streams: Option<u32>,
    pub(crate) connections: Option<u32>,
    pub(crate) body_span: Option<Span>,
}

impl LimitsWritten {
    /// These limits where they are written, `outer` elsewhere.
    pub(crate) fn over(self, outer: Limits) -> Limits {
        Limits {
            body: self.body.unwrap_or(outer.body),
            url: self.url.unwrap_or(outer.url),
            header_bytes: self.header_bytes.unwrap_or(outer.header_bytes),
            header_count: self.header_count.unwrap_or(outer.header_count),
            header_timeout: self.header_timeout.unwrap_or(outer.header_timeout),
            body_idle: self.body_idle.unwrap_or(outer.body_idle),
            idle: self.idle.unwrap_or(outer.idle),
            streams: self.streams.unwrap_or(outer.streams),
            connections: self.connections.unwrap_or(outer.connections),
        }
    }
}

impl Service {
    /// What it speaks; `None` for a service that only calls.
    pub(crate) fn protocol(&self) -> Option<Protocol> {
        self.listen.map(|listen| listen.protocol)
    }
}

impl Document {
    /// The gateway a route belongs to: as written, else the only one.
    pub(crate) fn gateway_of(&self, route: &Route) -> Option<(&Name, &Gateway)> {
        match &route.gateway {
            Some(name) => self.gateways.get_key_value(name),
            None if self.gateways.len() == 1 => self.gateways.first_key_value(),
            None => None,
        }
    }

    /// The routes of a gateway.
    pub(crate) fn routes_of<'d>(
        &'d self,
        gateway: &'d Name,
    ) -> impl Iterator<Item = (&'d Name, &'d Route)> {
        let is_owner =
            move |route: &Route| self.gateway_of(route).is_some_and(|(owner, _)| owner == gateway);
        self.routes.iter().filter(move |(_, route)| is_owner(route))
    }

    /// Gateway to the services its routes lead to, with the place of the first line that says so.
    pub(crate) fn targets(&self) -> BTreeMap<&Name, BTreeMap<&Name, Span>> {
        let mut targets: BTreeMap<&Name, BTreeMap<&Name, Span>> = BTreeMap::new();
        for route in self.routes.values() {
            let Target::Service { name, span, .. } = &route.target else { continue };
            let Some((gateway, _)) = self.gateway_of(route) else { continue };
            let first = targets.entry(gateway).or_default().entry(name).or_insert(*span);
            *first = (*first).min(*span);
        }
        targets
    }
}
