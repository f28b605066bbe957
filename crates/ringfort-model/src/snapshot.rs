//! Everything one identity class needs to serve, at one revision: what the compiler makes and the proxy enforces.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use crate::{
    Label, Limits, Name, Normalization, Operation, PathPattern, Percent, Resilience, Revision,
    SpiffeId, TrustDomain, limits::CertificateTerms,
};

/// Everything one class needs. It names only what the class may call or must enforce, nothing else of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The revision it was compiled from.
    pub revision: Revision,
    /// The class it is for; a proxy refuses a snapshot of another class.
    pub class: SpiffeId,
    /// The trust domain of the fleet.
    pub trust_domain: TrustDomain,
    /// Name of the service or gateway.
    pub workload: Name,
    /// What the class does.
    pub role: Role,
    /// The services this class may call, by name.
    pub peers: BTreeMap<Name, Arc<Peer>>,
    /// The policies whose resource is this class's service or routes.
    pub policies: PolicySlice,
    /// Life of this class's certificates.
    pub certificates: CertificateTerms,
    /// Share of successful requests that reach the access log; everything else always does.
    pub access_log_2xx: Percent,
}

/// What a proxy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// In front of one service's program.
    Sidecar(Sidecar),
    /// Where requests enter the fleet.
    Gateway(Gateway),
}

/// A service's own proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    /// The program to deliver to; `None` for a workload that only calls.
    pub local: Option<LocalService>,
    /// Who may call, by workload name. Anyone else is refused in the handshake.
    pub callers: BTreeMap<Name, Caller>,
    /// Loopback ports on which the program finds its callees: callee to port.
    pub outbound: BTreeMap<Name, u16>,
    /// Loopback port of the `HTTP_PROXY` for this program, when it may call any HTTP service.
    pub http_proxy: Option<u16>,
}

/// The program behind a sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalService {
    /// Where the program listens.
    pub address: SocketAddr,
    /// What it speaks.
    pub protocol: Protocol,
    /// How it reads paths.
    pub normalization: Normalization,
    /// Bounds for every caller.
    pub limits: Limits,
    /// Timeouts and concurrency towards the program.
    pub resilience: Resilience,
    /// Fixed mTLS address of this sidecar; `None` takes a free port and registers it.
    pub bind: Option<SocketAddr>,
}

/// A workload seen from its callee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its identity.
    pub id: SpiffeId,
    /// The operations its edge is limited to (`only:`); `None` when the edge is not limited.
    pub operations: Option<Vec<Operation>>,
}

/// A service seen from a workload that may call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: Name,
    /// Its identity: the only one accepted in the handshake.
    pub id: SpiffeId,
    /// What it speaks.
    pub protocol: Protocol,
    /// How it reads paths.
    pub normalization: Normalization,
    /// How to treat it.
    pub resilience: Resilience,
    /// Bounds of requests to it, so that the nearest proxy refuses.
    pub limits: Limits,
    /// Canary split; weights sum to at most 100 %, the rest goes to instances outside every subset.
    pub subsets: Vec<Subset>,
    /// Addresses fixed in the fleet file; empty when instances register.
    pub static_endpoints: Vec<SocketAddr>,
}

/// A share of a service's instances chosen by label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subset {
    /// Its name.
    pub name: Name,
    /// Labels an instance must carry.
    pub labels: BTreeMap<String, String>,
    /// Share of requests.
    pub weight: Percent,
}

/// What a program speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// gRPC over HTTP/2.
    Grpc,
    /// Bytes.
    Tcp,
}

impl Protocol {
    /// The word of the fleet file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }

    /// Whether requests have methods and paths.
    #[must_use]
    pub const fn is_http(self) -> bool {
        !matches!(self, Self::Tcp)
    }
}

/// Where requests enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its sockets.
    pub listeners: Vec<Listener>,
    /// What it forwards, in no particular order.
    pub routes: Vec<Arc<Route>>,
    /// Networks whose `Forwarded` is believed, as `address/prefix`.
    pub trusted_proxies: Vec<Cidr>,
}

/// One socket of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub bind: SocketAddr,
    /// The hosts it answers, lower case, without port.
    pub hosts: Vec<String>,
    /// How it proves itself; `None` only on loopback or when it redirects to https.
    pub tls: Option<ListenerTls>,
    /// Answers everything with a redirect to https.
    pub redirect_to_https: bool,
    /// Its bounds.
    pub limits: Limits,
}

/// How a public listener proves itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerTls {
    /// A certificate of the fleet's own CA for the listener's hosts.
    Internal {
        /// Lowest TLS version.
        min: TlsVersion,
    },
    /// PEM files inside the fleet folder.
    Files {
        /// Certificate chain, PEM.
        chain: String,
        /// Where the server finds the private key; the key itself never travels in a snapshot.
        key: String,
        /// Lowest TLS version.
        min: TlsVersion,
    },
}

/// A TLS version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// A network: address and prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    /// First address.
    pub address: std::net::IpAddr,
    /// Number of leading bits that must match.
    pub prefix: u8,
}

impl Cidr {
    /// Whether the network contains `address`; an IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: std::net::IpAddr) -> bool {
        use std::net::IpAddr::{V4, V6};
        match (self.address.to_canonical(), address.to_canonical()) {
            (V4(network), V4(address)) => {
                let shift = 32_u32.saturating_sub(self.prefix_of_v4());
                let prefix = |bits: u32| bits.checked_shr(shift);
                prefix(network.to_bits()) == prefix(address.to_bits())
            }
            (V6(network), V6(address)) => {
                let shift = 128_u32.saturating_sub(u32::from(self.prefix));
                let prefix = |bits: u128| bits.checked_shr(shift);
                prefix(network.to_bits()) == prefix(address.to_bits())
            }
            (V4(_), V6(_)) | (V6(_), V4(_)) => false,
        }
    }

    /// The prefix length in an IPv4 network, which may be written as IPv4-mapped IPv6.
    fn prefix_of_v4(&self) -> u32 {
        let mapped_bits = if self.address.is_ipv6() { 96 } else { 0 };
        u32::from(self.prefix.saturating_sub(mapped_bits))
    }
}

/// One rule of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its name: `Route::"NAME"` in policies.
    pub name: Name,
    /// Any of these must match.
    pub matches: Vec<RouteMatch>,
    /// What happens.
    pub action: RouteAction,
    /// Bounds, the inner ones.
    pub limits: Limits,
    /// From arrival to response head; the callee's own where the file says nothing.
    pub timeout: Option<std::time::Duration>,
    /// Whether `Upgrade: websocket` passes.
    pub upgrade: bool,
    /// Headers set and removed.
    pub headers: HeaderEdits,
    /// CORS origins; preflights are answered here. Empty: none.
    pub cors_origins: Vec<String>,
    /// Where it is written, for explanations.
    pub place: Place,
}

/// One condition of a route; all parts must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteMatch {
    /// The host, lower case.
    pub host: String,
    /// The paths.
    pub path: PathPattern,
    /// The methods, upper case; empty means all.
    pub methods: Vec<String>,
    /// Headers that must equal a value; names in lower case.
    pub headers: BTreeMap<String, String>,
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteAction {
    /// Forwards to a service.
    To {
        /// The service.
        peer: Name,
        /// Path rewriting; policy and contract see the path sent upstream.
        rewrite: Option<Rewrite>,
    },
    /// Answers with a redirect.
    Redirect {
        /// Target: absolute URL or absolute path.
        to: String,
        /// 301, 302, 303, 307 or 308.
        status: u16,
    },
}

/// Path rewriting at segment borders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// Removed from the front.
    pub strip_prefix: Option<String>,
    /// Put in front.
    pub add_prefix: Option<String>,
}

/// Headers a route sets and removes; never edge-owned names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderEdits {
    /// On the request.
    pub request: HeaderEdit,
    /// On the response.
    pub response: HeaderEdit,
}

/// One direction of [`HeaderEdits`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderEdit {
    /// Set to exactly this value; names in lower case.
    pub set: BTreeMap<String, String>,
    /// Removed; names in lower case.
    pub remove: Vec<String>,
}

/// Where something is written in the fleet folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// File, relative to the fleet folder.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The Cedar policies one class evaluates, with the entities they mention.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicySlice {
    /// The policies.
    pub policies: Vec<PolicySource>,
    /// Labels of workloads that may call: `Workload::"NAME" in Label::"..."`.
    pub workload_labels: BTreeMap<Name, Vec<Label>>,
    /// Services that are resources here.
    pub services: BTreeMap<Name, PolicyService>,
    /// Routes that are resources here, with service and gateway.
    pub routes: BTreeMap<Name, PolicyRoute>,
}

/// One policy and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySource {
    /// `@id`, or `file:line` of the line that generated it; unique in a fleet.
    pub id: String,
    /// Cedar text of exactly one policy.
    pub text: String,
    /// Where it, or the line that generated it, stands.
    pub place: Place,
    /// Whether a `calls:` or `routes:` line generated it.
    pub generated: bool,
}

/// A service as Cedar entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyService {
    /// What it speaks.
    pub protocol: Protocol,
    /// Its labels.
    pub labels: Vec<Label>,
}

/// A route as Cedar entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRoute {
    /// The service behind it; `None` for redirects.
    pub service: Option<Name>,
    /// The gateway it belongs to.
    pub gateway: Name,
}

/// One address of a service, beside the revision: it changes with instances, not with files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Where the sidecar accepts mTLS.
    pub address: SocketAddr,
    /// Instance labels, set by the agent.
    pub labels: BTreeMap<String, String>,
}
