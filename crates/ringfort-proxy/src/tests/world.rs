//! What every test starts from: an authority, credentials, snapshots and running planes.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::NonZero,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{Credentials, DataPlane, LiveParts, LogTarget, PlaneOptions};
use ringfort_identity::{
    CertificateAuthority, CreateAuthority, IssuePublicOptions, IssuedCertificate, KeyPair,
    PublicCertificate, PublicOptions, RequestedKey, SignLeafOptions, Svid, SystemRandom, Tls,
    VisitorOptions,
};
use ringfort_model::{
    Limits, Name, Normalization, PathPattern, Percent, Resilience, Revision, Snapshot, SpiffeId,
    TrustDomain, WallClock, WallTime,
    limits::CertificateTerms,
    snapshot::{
        Caller, Endpoint, Gateway, HeaderEdits, Listener, ListenerTls, LocalService, Peer, Place,
        PolicyRoute, PolicyService, PolicySlice, PolicySource, Protocol, Role, Route, RouteAction,
        RouteMatch, Sidecar, TlsVersion,
    },
    spiffe::WorkloadKind,
};
use ringfort_policy::generated;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};

/// 2026-11-22T18:00:00Z, for ever.
#[derive(Debug)]
pub(crate) struct FixedClock;

impl WallClock for FixedClock {
    fn now(&self) -> WallTime {
        WallTime::from_unix(Duration::from_secs(1_795_370_400))
    }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// An authority and what it makes.
pub(crate) struct Authority {
    pub(crate) domain: TrustDomain,
    pub(crate) tls: Tls,
    ca: CertificateAuthority,
}

impl Authority {
    pub(crate) fn new(domain: &str) -> Self {
        let domain: TrustDomain = domain.parse().unwrap();
        let options = CreateAuthority {
            trust_domain: domain.clone(),
            root_key: KeyPair::generate().unwrap(),
            issuing_key: KeyPair::generate().unwrap(),
            now: FixedClock.now(),
        };
        let ca = CertificateAuthority::create(options, &mut SystemRandom).unwrap();
        Self { domain, ca, tls: Tls::new(Arc::new(FixedClock)) }
    }

    pub(crate) fn service(&self, service: &str) -> SpiffeId {
        SpiffeId::of(&self.domain, WorkloadKind::Service, &name(service))
    }

    pub(crate) fn gateway(&self, gateway: &str) -> SpiffeId {
        SpiffeId::of(&self.domain, WorkloadKind::Gateway, &name(gateway))
    }

    pub(crate) fn credentials(&self, id: &SpiffeId) -> Arc<Credentials> {
        let key = KeyPair::generate().unwrap();
        let issued = self.sign(&key.csr_der().unwrap(), id);
        let svid = Svid::new(issued.chain_der, key).unwrap();
        let bundle = Arc::new(self.ca.bundle().unwrap());
        Arc::new(Credentials { tls: self.tls.clone(), svid, bundle })
    }

    pub(crate) fn sign(&self, csr_der: &[u8], id: &SpiffeId) -> IssuedCertificate {
        let requested = RequestedKey::from_csr(csr_der).unwrap();
        let options = SignLeafOptions {
            key: &requested,
            id,
            now: FixedClock.now(),
            ttl: Duration::from_secs(3600),
        };
        self.ca.sign_leaf(options, &mut SystemRandom).unwrap()
    }

    pub(crate) fn public(&self, hosts: &[&str]) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let requested = RequestedKey::from_csr(&key.csr_der().unwrap()).unwrap();
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let options = IssuePublicOptions {
            key: &requested,
            hosts: &hosts,
            now: FixedClock.now(),
            ttl: Duration::from_secs(3600),
        };
        let issued = self.ca.issue_public(options, &mut SystemRandom).unwrap();
        let certificate = PublicCertificate::new(issued.chain_der, &key).unwrap();
        let options = PublicOptions {
            certificates: vec![certificate],
            min: TlsVersion::V1_2,
            alpn: &["h2", "http/1.1"],
        };
        self.tls.public_server_config(options).unwrap()
    }

    pub(crate) fn visitor(&self, alpn: &str) -> Arc<ClientConfig> {
        let roots_der = [self.ca.root_der().to_vec()];
        let options = VisitorOptions { roots_der: &roots_der, alpn: &[alpn] };
        self.tls.visitor_client_config(&options).unwrap()
    }
}

/// A snapshot without peers, callers or routes.
fn bare(class: SpiffeId, domain: &TrustDomain, workload: &str, role: Role) -> Snapshot {
    Snapshot {
        revision: Revision::new(1),
        class,
        trust_domain: domain.clone(),
        workload: name(workload),
        role,
        peers: BTreeMap::new(),
        policies: PolicySlice::default(),
        certificates: CertificateTerms {
            ttl: Duration::from_secs(3600),
            renew_at: Percent::new(50).unwrap(),
        },
        access_log_2xx: Percent::new(100).unwrap(),
    }
}

pub(crate) fn place(line: u32) -> Place {
    Place { file: "shop.yaml".to_owned(), line }
}

/// A gateway in plaintext on any port; add routes and peers.
pub(crate) fn gateway(authority: &Authority) -> Snapshot {
    let role = Role::Gateway(Gateway {
        listeners: vec![plain_listener()],
        routes: Vec::new(),
        trusted_proxies: Vec::new(),
    });
    bare(authority.gateway("public"), &authority.domain, "public", role)
}

pub(crate) fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

pub(crate) fn plain_listener() -> Listener {
    Listener {
        bind: any_port(),
        hosts: vec!["shop.example".to_owned()],
        tls: None,
        redirect_to_https: false,
        limits: Limits::STANDARD,
    }
}

pub(crate) fn tls_listener() -> Listener {
    Listener { tls: Some(ListenerTls::Internal { min: TlsVersion::V1_2 }), ..plain_listener() }
}

pub(crate) fn gateway_role(snapshot: &mut Snapshot) -> &mut Gateway {
    match &mut snapshot.role {
        Role::Gateway(gateway) => gateway,
        Role::Sidecar(_) => panic!("a sidecar"),
    }
}

pub(crate) fn sidecar_role(snapshot: &mut Snapshot) -> &mut Sidecar {
    match &mut snapshot.role {
        Role::Sidecar(sidecar) => sidecar,
        Role::Gateway(_) => panic!("a gateway"),
    }
}

/// A route to a peer that anybody may visit.
pub(crate) fn route(route: &str, path: &str, peer: &str) -> Route {
    Route {
        name: name(route),
        matches: vec![RouteMatch {
            host: "shop.example".to_owned(),
            path: path.parse::<PathPattern>().unwrap(),
            methods: Vec::new(),
            headers: BTreeMap::new(),
        }],
        action: RouteAction::To { peer: name(peer), rewrite: None },
        limits: Limits::STANDARD,
        timeout: None,
        upgrade: false,
        headers: HeaderEdits::default(),
        cors_origins: Vec::new(),
        place: place(10),
    }
}

/// Adds a route, and the permit its line stands for.
pub(crate) fn add_route(snapshot: &mut Snapshot, route: Route) {
    let service = match &route.action {
        RouteAction::To { peer, .. } => Some(peer.clone()),
        RouteAction::Redirect { .. } => None,
    };
    let gateway = snapshot.workload.clone();
    snapshot.policies.routes.insert(route.name.clone(), PolicyRoute { service, gateway });
    snapshot.policies.policies.push(PolicySource {
        id: format!("shop.yaml:{}", route.name),
        text: generated::visit_permit(&route.name),
        place: route.place.clone(),
        generated: true,
    });
    gateway_role(snapshot).routes.push(Arc::new(route));
}

/// A service in front of a program.
pub(crate) fn sidecar(
    authority: &Authority,
    service: &str,
    protocol: Protocol,
    program: SocketAddr,
) -> Snapshot {
    let role = Role::Sidecar(Sidecar {
        local: Some(LocalService {
            address: program,
            protocol,
            normalization: Normalization::Strict,
            limits: Limits::STANDARD,
            resilience: Resilience::STANDARD,
            bind: None,
        }),
        callers: BTreeMap::new(),
        outbound: BTreeMap::new(),
        http_proxy: None,
    });
    let mut snapshot = bare(authority.service(service), &authority.domain, service, role);
    let resource = PolicyService { protocol, labels: Vec::new() };
    snapshot.policies.services.insert(name(service), resource);
    snapshot
}

/// Lets a workload call, as a `calls:` line does.
pub(crate) fn add_caller(snapshot: &mut Snapshot, caller: &str, id: SpiffeId) {
    let service = snapshot.workload.clone();
    snapshot.policies.workload_labels.insert(name(caller), Vec::new());
    snapshot.policies.policies.push(PolicySource {
        id: format!("shop.yaml:{caller}"),
        text: generated::call_permit(&name(caller), &service, None),
        place: place(20),
        generated: true,
    });
    sidecar_role(snapshot).callers.insert(name(caller), Caller { id, operations: None });
}

/// A callee, at fixed endpoints.
pub(crate) fn add_peer(
    authority: &Authority,
    snapshot: &mut Snapshot,
    peer: &str,
    protocol: Protocol,
    endpoints: &[SocketAddr],
) {
    let peer = Peer {
        name: name(peer),
        id: authority.service(peer),
        protocol,
        normalization: Normalization::Strict,
        resilience: Resilience::STANDARD,
        limits: Limits::STANDARD,
        subsets: Vec::new(),
        static_endpoints: endpoints.to_vec(),
    };
    snapshot.peers.insert(peer.name.clone(), Arc::new(peer));
}

pub(crate) fn edit_peer(snapshot: &mut Snapshot, peer: &str, edit: impl FnOnce(&mut Peer)) {
    edit(Arc::make_mut(snapshot.peers.get_mut(peer).unwrap()));
}

/// Bytes somebody wrote, readable while they are written.
#[derive(Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) plane: DataPlane,
    pub(crate) log: Written,
    authority: Arc<Credentials>,
    public: BTreeMap<SocketAddr, Arc<ServerConfig>>,
}

impl Proxy {
    /// Starts a proxy with two data threads.
    pub(crate) async fn start(authority: &Authority, snapshot: Snapshot) -> Self {
        Self::start_with(authority, snapshot, 2).await
    }

    pub(crate) async fn start_with(
        authority: &Authority,
        snapshot: Snapshot,
        threads: u16,
    ) -> Self {
        let log = Written::default();
        let credentials = authority.credentials(&snapshot.class);
        let public = BTreeMap::from([(any_port(), authority.public(&["shop.example"]))]);
        let tls = matches!(&snapshot.role, Role::Gateway(it) if it.listeners[0].tls.is_some());
        let public = if tls { public } else { BTreeMap::new() };
        let options = PlaneOptions {
            threads: NonZero::new(threads).unwrap(),
            clock: Arc::new(FixedClock),
            log: {
                let log = log.clone();
                LogTarget::Sink(Arc::new(move || Box::new(log.clone())))
            },
            decisions_file: None,
            inbound_port: 0,
            process: 7,
        };
        let parts = parts(snapshot, &credentials, &public, BTreeMap::new());
        let plane = DataPlane::start(&options, &parts).await.unwrap();
        Self { plane, log, authority: credentials, public }
    }

    /// Brings another snapshot into force.
    pub(crate) async fn apply(
        &mut self,
        snapshot: Snapshot,
        endpoints: BTreeMap<Name, Vec<Endpoint>>,
    ) {
        let parts = parts(snapshot, &self.authority, &self.public, endpoints);
        self.plane.apply(&parts).await.unwrap();
    }

    /// Tries to bring another snapshot into force.
    pub(crate) async fn try_apply(&mut self, snapshot: Snapshot) -> Result<(), crate::ApplyError> {
        let parts = parts(snapshot, &self.authority, &self.public, BTreeMap::new());
        self.plane.apply(&parts).await
    }

    /// Where the gateway of these tests listens.
    pub(crate) fn gateway(&self) -> SocketAddr {
        self.plane.address(crate::Socket::Gateway(any_port())).unwrap()
    }

    pub(crate) fn inbound(&self) -> SocketAddr {
        self.plane.address(crate::Socket::Inbound).unwrap()
    }

    pub(crate) fn outbound(&self, callee: &str) -> SocketAddr {
        self.plane.address(crate::Socket::Outbound(&name(callee))).unwrap()
    }

    /// The value of a metric sample that begins with `sample`; 0 if there is none.
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let text = self.plane.view().metrics_text().unwrap();
        let lines = text.lines().filter(|line| line.starts_with(sample));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }
}

fn parts(
    snapshot: Snapshot,
    credentials: &Arc<Credentials>,
    public: &BTreeMap<SocketAddr, Arc<ServerConfig>>,
    endpoints: BTreeMap<Name, Vec<Endpoint>>,
) -> LiveParts {
    LiveParts {
        snapshot: Arc::new(snapshot),
        credentials: Arc::clone(credentials),
        endpoints,
        public: public.clone(),
    }
}

/// Waits until something holds; a second is long here.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::task::yield_now().await;
    }
}
