//! What is in force: a snapshot compiled for the request path, with this workload's credentials and its callees.
//!
//! Everything that can be decided once per snapshot is decided here, so that a request only looks things up. A
//! [`Live`] is built whole or not at all and never changes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use ringfort_model::{
    ByteCount, Limits, Name, Operation, Snapshot, SpiffeId,
    snapshot::{Endpoint, Gateway, Listener, Peer, Protocol, Role, Route, RouteAction, Sidecar},
    spiffe::WorkloadKind,
};
use ringfort_policy::{Authorizer, BuildAuthorizerError};
use ringfort_traffic::{Balancer, Concurrency, Router};
use tokio_rustls::rustls::ServerConfig;

use crate::{
    credentials::Credentials,
    upstream::{Callee, Transport},
    witness::metrics::{Metrics, Pair, PairId, PolicyId, Side},
};

/// A socket this proxy has, by its purpose.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ListenerKey {
    /// A gateway's listener, by its configured address.
    Gateway(SocketAddr),
    /// Where callers reach the local program over mTLS.
    Inbound,
    /// Where the local program reaches one callee.
    Outbound(Name),
    /// Where the local program reaches callees by name.
    HttpProxy,
}

/// Why a snapshot cannot come into force.
#[derive(Debug, thiserror::Error)]
pub enum BuildLiveError {
    /// Some policy is not understood.
    #[error("the policies cannot be enforced")]
    Policies(#[from] BuildAuthorizerError),
    /// The identity is not the snapshot's.
    #[error("the snapshot is for `{class}`, this workload is `{own}`")]
    ForeignClass {
        /// Whom the snapshot is for.
        class: SpiffeId,
        /// Who we are.
        own: SpiffeId,
    },
    /// A route leads to a service the snapshot does not describe.
    #[error("route `{route}` leads to `{peer}`, which the snapshot does not describe")]
    UnknownPeer {
        /// The route.
        route: Name,
        /// The service.
        peer: Name,
    },
    /// A listener has no certificate.
    #[error("the listener {0} has no certificate")]
    NoCertificate(SocketAddr),
}

/// What a [`Live`] is built from.
#[derive(Debug)]
pub struct LiveParts {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// This workload's identity.
    pub credentials: Arc<Credentials>,
    /// Instances of callees, by service; static endpoints come with the snapshot.
    pub endpoints: BTreeMap<Name, Vec<Endpoint>>,
    /// TLS settings of public listeners, by configured address.
    pub public: BTreeMap<SocketAddr, Arc<ServerConfig>>,
}

/// What outlives a snapshot: metrics, and the room taken by requests in flight.
#[derive(Debug)]
pub(crate) struct Lasting {
    pub(crate) metrics: Arc<Metrics>,
    rooms: Mutex<BTreeMap<Name, Arc<Concurrency>>>,
}

/// What is in force.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) rules: Arc<Rules>,
    pub(crate) credentials: Arc<Credentials>,
    /// Services this class may call.
    pub(crate) callees: BTreeMap<Name, Arc<Callee>>,
    /// The program behind a sidecar.
    pub(crate) local: Option<Arc<Callee>>,
    pub(crate) public: BTreeMap<SocketAddr, Arc<ServerConfig>>,
}

/// A snapshot, compiled.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) authorizer: Authorizer,
    pub(crate) policy_ids: HashMap<String, PolicyId>,
    pub(crate) part: Part,
}

/// The part a proxy plays.
#[derive(Debug)]
pub(crate) enum Part {
    Gateway(GatewayRules),
    Sidecar(SidecarRules),
}

#[derive(Debug)]
pub(crate) struct GatewayRules {
    pub(crate) router: Router,
    pub(crate) listeners: BTreeMap<SocketAddr, ListenerRules>,
    /// Metric pair of each route.
    pub(crate) pairs: HashMap<Name, PairId>,
    /// For requests without a route.
    pub(crate) no_route: PairId,
}

#[derive(Debug)]
pub(crate) struct ListenerRules {
    pub(crate) listener: Listener,
    pub(crate) hosts: BTreeSet<String>,
    /// The loosest limits of any route: what holds before the route is known.
    pub(crate) head: Limits,
    /// Where the same hosts are served over TLS.
    pub(crate) https_port: u16,
}

#[derive(Debug)]
pub(crate) struct SidecarRules {
    pub(crate) allowed: Arc<BTreeSet<SpiffeId>>,
    pub(crate) callers: BTreeMap<SpiffeId, CallerRules>,
    /// Metric pair of each callee.
    pub(crate) outbound: HashMap<Name, PairId>,
    pub(crate) unknown_caller: PairId,
    pub(crate) unknown_callee: PairId,
}

/// A caller, compiled.
#[derive(Debug)]
pub(crate) struct CallerRules {
    pub(crate) name: Name,
    /// The operations its edge is limited to, each with its text.
    pub(crate) operations: Option<Vec<(Operation, Arc<str>)>>,
    /// Whether requests call gRPC methods, whose names are operations without being listed.
    pub(crate) is_grpc: bool,
    pub(crate) pair: PairId,
    /// Whether what it says about the visitor is believed.
    pub(crate) is_gateway: bool,
}

impl Lasting {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, rooms: Mutex::default() }
    }

    /// The gate towards a service, with its present limit.
    fn room(&self, name: &Name, max: u32) -> Arc<Concurrency> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let room = rooms.entry(name.clone()).or_insert_with(|| Concurrency::new(max));
        room.resize(max);
        Arc::clone(room)
    }
}

impl Live {
    /// Compiles the parts. What the previous [`Live`] was compiled from the same snapshot is taken over.
    ///
    /// # Errors
    /// [`BuildLiveError`]; what was in force stays.
    pub(crate) fn new(
        parts: &LiveParts,
        lasting: &Lasting,
        previous: Option<&Self>,
    ) -> Result<Self, BuildLiveError> {
        let LiveParts { snapshot, credentials, endpoints, public } = parts;
        if credentials.svid.id() != &snapshot.class {
            return Err(BuildLiveError::ForeignClass {
                class: snapshot.class.clone(),
                own: credentials.svid.id().clone(),
            });
        }
        let rules = match previous {
            Some(live) if Arc::ptr_eq(&live.rules.snapshot, snapshot) => Arc::clone(&live.rules),
            Some(_) | None => Arc::new(Rules::new(snapshot, &lasting.metrics)?),
        };
        let callees = snapshot.peers.iter().map(|(name, peer)| {
            let found = endpoints.get(name).map(Vec::as_slice).unwrap_or_default();
            (name.clone(), Arc::new(callee(peer, found, credentials, lasting)))
        });
        let live = Self {
            callees: callees.collect(),
            local: local(snapshot, lasting),
            rules,
            credentials: Arc::clone(credentials),
            public: public.clone(),
        };
        live.check()?;
        Ok(live)
    }

    fn check(&self) -> Result<(), BuildLiveError> {
        let Role::Gateway(gateway) = &self.rules.snapshot.role else { return Ok(()) };
        for listener in &gateway.listeners {
            if listener.tls.is_some() && !self.public.contains_key(&listener.bind) {
                return Err(BuildLiveError::NoCertificate(listener.bind));
            }
        }
        for route in &gateway.routes {
            if let RouteAction::To { peer, .. } = &route.action
                && !self.callees.contains_key(peer)
            {
                let (route, peer) = (route.name.clone(), peer.clone());
                return Err(BuildLiveError::UnknownPeer { route, peer });
            }
        }
        Ok(())
    }

    /// The sockets this proxy must have. `inbound_port` is where the mTLS socket was last time.
    pub(crate) fn listeners(&self, inbound_port: u16) -> BTreeMap<ListenerKey, SocketAddr> {
        let loopback = |port: u16| SocketAddr::from((IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        match &self.rules.snapshot.role {
            Role::Gateway(gateway) => {
                let binds = gateway.listeners.iter().map(|listener| listener.bind);
                binds.map(|bind| (ListenerKey::Gateway(bind), bind)).collect()
            }
            Role::Sidecar(sidecar) => {
                let local = sidecar.local.as_ref();
                let inbound = local.map(|local| {
                    let address = local.bind.unwrap_or_else(|| loopback(inbound_port));
                    (ListenerKey::Inbound, address)
                });
                let outbound = sidecar.outbound.iter();
                let outbound = outbound
                    .map(|(name, port)| (ListenerKey::Outbound(name.clone()), loopback(*port)));
                let proxy = sidecar.http_proxy.map(|port| (ListenerKey::HttpProxy, loopback(port)));
                inbound.into_iter().chain(outbound).chain(proxy).collect()
            }
        }
    }

    /// The bounds of a listener's connections.
    pub(crate) fn limits_of(&self, key: &ListenerKey) -> Limits {
        match (key, &self.rules.part) {
            (ListenerKey::Gateway(bind), Part::Gateway(gateway)) => {
                gateway.listeners.get(bind).map_or(Limits::STANDARD, |listener| listener.head)
            }
            (ListenerKey::Inbound, Part::Sidecar(_)) => {
                self.local.as_ref().map_or(Limits::STANDARD, |local| local.limits)
            }
            (ListenerKey::Outbound(name), Part::Sidecar(_)) => {
                self.callees.get(name).map_or(Limits::STANDARD, |callee| callee.limits)
            }
            (ListenerKey::HttpProxy, Part::Sidecar(_)) => {
                let all = self.callees.values().map(|callee| callee.limits);
                all.reduce(looser).unwrap_or(Limits::STANDARD)
            }
            (ListenerKey::Gateway(_), Part::Sidecar(_))
            | (
                ListenerKey::Inbound | ListenerKey::Outbound(_) | ListenerKey::HttpProxy,
                Part::Gateway(_),
            ) => Limits::STANDARD,
        }
    }

    /// The metric pair of what is not recognised on a listener.
    pub(crate) fn unknown_pair(&self, key: &ListenerKey) -> PairId {
        match &self.rules.part {
            Part::Gateway(gateway) => gateway.no_route,
            Part::Sidecar(sidecar) => match key {
                ListenerKey::Inbound => sidecar.unknown_caller,
                ListenerKey::Outbound(name) => {
                    sidecar.outbound.get(name).copied().unwrap_or(sidecar.unknown_callee)
                }
                ListenerKey::HttpProxy | ListenerKey::Gateway(_) => sidecar.unknown_callee,
            },
        }
    }
}

impl Rules {
    fn new(snapshot: &Arc<Snapshot>, metrics: &Metrics) -> Result<Self, BuildLiveError> {
        let own = snapshot.workload.as_str();
        let part = match &snapshot.role {
            Role::Gateway(gateway) => Part::Gateway(gateway_rules(own, gateway, metrics)),
            Role::Sidecar(sidecar) => Part::Sidecar(sidecar_rules(own, snapshot, sidecar, metrics)),
        };
        let policies = snapshot.policies.policies.iter();
        Ok(Self {
            authorizer: Authorizer::new(&snapshot.policies)?,
            policy_ids: policies
                .map(|policy| (policy.id.clone(), metrics.policy(&policy.id)))
                .collect(),
            part,
            snapshot: Arc::clone(snapshot),
        })
    }
}

fn gateway_rules(own: &str, gateway: &Gateway, metrics: &Metrics) -> GatewayRules {
    let pair = |route: &str, destination: &str| {
        metrics.pair(Pair {
            side: Side::Server,
            route: route.to_owned(),
            source: "visitor".to_owned(),
            destination: destination.to_owned(),
        })
    };
    let of_route = |route: &Arc<Route>| {
        let destination = match &route.action {
            RouteAction::To { peer, .. } => peer.as_str(),
            RouteAction::Redirect { .. } => own,
        };
        (route.name.clone(), pair(route.name.as_str(), destination))
    };
    let loosest = |listener: &Listener| {
        let limits = gateway.routes.iter().map(|route| route.limits);
        limits.fold(listener.limits, looser)
    };
    let https_port = |listener: &Listener| {
        let secure = gateway.listeners.iter().filter(|other| other.tls.is_some());
        let mut same =
            secure.filter(|other| other.hosts.iter().any(|h| listener.hosts.contains(h)));
        same.next().map_or(443, |other| other.bind.port())
    };
    let listeners = gateway.listeners.iter().map(|listener| {
        let rules = ListenerRules {
            hosts: listener.hosts.iter().cloned().collect(),
            head: loosest(listener),
            https_port: https_port(listener),
            listener: listener.clone(),
        };
        (listener.bind, rules)
    });
    GatewayRules {
        router: Router::new(&gateway.routes),
        listeners: listeners.collect(),
        pairs: gateway.routes.iter().map(of_route).collect(),
        no_route: pair("", own),
    }
}

fn sidecar_rules(
    own: &str,
    snapshot: &Snapshot,
    sidecar: &Sidecar,
    metrics: &Metrics,
) -> SidecarRules {
    let pair = |side: Side, source: &str, destination: &str| {
        metrics.pair(Pair {
            side,
            route: String::new(),
            source: source.to_owned(),
            destination: destination.to_owned(),
        })
    };
    let callers = sidecar.callers.iter().map(|(name, caller)| {
        let text = |operation: &Operation| (operation.clone(), operation.to_string().into());
        let operations = caller.operations.as_ref();
        let rules = CallerRules {
            name: name.clone(),
            operations: operations.map(|list| list.iter().map(text).collect()),
            is_grpc: sidecar.local.as_ref().is_some_and(|local| local.protocol == Protocol::Grpc),
            pair: pair(Side::Server, name.as_str(), own),
            is_gateway: caller
                .id
                .workload()
                .is_some_and(|(kind, _)| matches!(kind, WorkloadKind::Gateway)),
        };
        (caller.id.clone(), rules)
    });
    let callees = snapshot.peers.keys();
    SidecarRules {
        allowed: Arc::new(sidecar.callers.values().map(|caller| caller.id.clone()).collect()),
        callers: callers.collect(),
        outbound: callees
            .map(|name| (name.clone(), pair(Side::Client, own, name.as_str())))
            .collect(),
        unknown_caller: pair(Side::Server, "_OTHER", own),
        unknown_callee: pair(Side::Client, own, "_OTHER"),
    }
}

fn callee(
    peer: &Arc<Peer>,
    found: &[Endpoint],
    credentials: &Arc<Credentials>,
    lasting: &Lasting,
) -> Callee {
    let fixed = peer.static_endpoints.iter();
    let fixed = fixed.map(|address| Endpoint { address: *address, labels: BTreeMap::new() });
    let endpoints: Vec<_> = fixed.chain(found.iter().cloned()).collect();
    Callee {
        name: peer.name.clone(),
        protocol: peer.protocol,
        normalization: peer.normalization,
        limits: peer.limits,
        resilience: peer.resilience,
        transport: Transport::Mtls { id: peer.id.clone(), credentials: Arc::clone(credentials) },
        balancer: Balancer::new(&peer.subsets, &endpoints),
        endpoints,
        room: lasting.room(&peer.name, peer.resilience.concurrency),
    }
}

fn local(snapshot: &Snapshot, lasting: &Lasting) -> Option<Arc<Callee>> {
    let Role::Sidecar(Sidecar { local: Some(local), .. }) = &snapshot.role else { return None };
    let endpoints = vec![Endpoint { address: local.address, labels: BTreeMap::new() }];
    Some(Arc::new(Callee {
        name: snapshot.workload.clone(),
        protocol: local.protocol,
        normalization: local.normalization,
        limits: local.limits,
        resilience: local.resilience,
        transport: Transport::Plain,
        balancer: Balancer::new(&[], &endpoints),
        endpoints,
        room: lasting.room(&snapshot.workload, local.resilience.concurrency),
    }))
}

/// The looser of two limits, part by part: what must pass before it is known which of them applies.
fn looser(a: Limits, b: Limits) -> Limits {
    let most = |a: ByteCount, b: ByteCount| a.max(b);
    Limits {
        body: most(a.body, b.body),
        url: most(a.url, b.url),
        header_bytes: most(a.header_bytes, b.header_bytes),
        header_count: a.header_count.max(b.header_count),
        header_timeout: a.header_timeout.max(b.header_timeout),
        body_idle: a.body_idle.max(b.body_idle),
        idle: a.idle.max(b.idle),
        streams: a.streams.max(b.streams),
        connections: a.connections.max(b.connections),
    }
}
