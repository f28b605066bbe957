//! A whole proxy process in a task: it gets identity and configuration over the control link, keeps serving without
//! it, and starts again from its files.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use crate::{ProxyOptions, RunProxyError};
use prost::Message as _;
use ringfort_identity::{ConfigKey, Sha256Digester, SystemRandom};
use ringfort_model::{Revision, Snapshot, SpiffeId, snapshot::Protocol};
use ringfort_wire::{
    assemble, convert,
    discovery::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
        aggregated_discovery_service_server::{
            AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
        },
    },
    protobuf::Any,
    resource,
    v1::{
        self,
        link_server::{Link, LinkServer},
    },
};
use tokio::{
    net::{TcpStream, UnixListener, UnixStream},
    sync::{mpsc, watch},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};

use super::{
    caller::{self, get, soon, text},
    program,
    world::*,
};

/// Resources by type and name, with version and bytes.
type Offer = BTreeMap<&'static str, BTreeMap<String, (String, Vec<u8>)>>;

/// A control plane of one class.
struct Control {
    authority: Authority,
    class: SpiffeId,
    key: ConfigKey,
    offer: watch::Sender<Offer>,
    epoch: AtomicUsize,
    signed: AtomicUsize,
    /// Resources sent, by type.
    sent: Mutex<Vec<&'static str>>,
    nacks: Mutex<Vec<String>>,
    reports: Mutex<Vec<v1::ReportRequest>>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Control {
    fn new(class: SpiffeId, authority: Authority) -> Arc<Self> {
        Arc::new(Self {
            authority,
            class,
            key: ConfigKey::generate(&mut SystemRandom).unwrap(),
            offer: watch::channel(Offer::new()).0,
            epoch: AtomicUsize::new(0),
            signed: AtomicUsize::new(0),
            sent: Mutex::default(),
            nacks: Mutex::default(),
            reports: Mutex::default(),
        })
    }

    fn trust(&self) -> v1::Trust {
        let credentials = self.authority.credentials(&self.class);
        let epoch = u64::try_from(self.epoch.load(Ordering::SeqCst)).unwrap();
        v1::Trust {
            sequence: 1 + epoch,
            trust_domain: self.authority.domain.to_string(),
            root_der: credentials.bundle.roots_der().map(|der| der.to_vec().into()).collect(),
            config_keys: vec![v1::ConfigKey {
                id: self.key.public().id().to_owned(),
                ed25519_public: self.key.public().as_bytes().to_vec().into(),
            }],
            renew_epoch: epoch,
        }
    }

    /// Offers a snapshot, sealed by `key`.
    fn offer(&self, snapshot: &Snapshot, key: &ConfigKey) {
        let mut offer = Offer::new();
        let mut manifest = v1::Manifest {
            revision: snapshot.revision.number(),
            class: snapshot.class.to_string(),
            signed_at_unix_ms: 1,
            config_key_id: key.public().id().to_owned(),
            ..v1::Manifest::default()
        };
        for one in convert::encode(snapshot) {
            let version = assemble::version(&one.bytes, &Sha256Digester);
            manifest.entries.push(v1::manifest::Entry {
                r#type: one.type_url.strip_prefix(resource::TYPE_PREFIX).unwrap().to_owned(),
                name: one.name.clone(),
                version: version.as_bytes().to_vec().into(),
            });
            let encoded = (version.to_string(), one.bytes.to_vec());
            offer.entry(one.type_url).or_default().insert(one.name, encoded);
        }
        manifest.entries.sort_by(|a, b| (&a.r#type, &a.name).cmp(&(&b.r#type, &b.name)));
        let digest = assemble::manifest_digest(&manifest, &Sha256Digester);
        manifest.digest = digest.as_bytes().to_vec().into();
        manifest.signature = key.sign(&digest).into();
        let mut put = |type_url: &'static str, name: &str, bytes: Vec<u8>| {
            let version = assemble::version(&bytes, &Sha256Digester).to_string();
            offer.entry(type_url).or_default().insert(name.to_owned(), (version, bytes));
        };
        put(resource::MANIFEST, snapshot.class.as_str(), manifest.encode_to_vec());
        put(resource::TRUST, resource::TRUST_NAME, self.trust().encode_to_vec());
        self.offer.send_replace(offer);
    }
}

struct Service(Arc<Control>);

#[tonic::async_trait]
impl Link for Service {
    type ReportStream = Answers<v1::ReportResponse>;

    async fn sign(
        &self,
        request: Request<v1::SignRequest>,
    ) -> Result<Response<v1::SignResponse>, Status> {
        let control = &self.0;
        let issued = control.authority.sign(&request.get_ref().csr_der, &control.class);
        control.signed.fetch_add(1, Ordering::SeqCst);
        let ms =
            |time: ringfort_model::WallTime| u64::try_from(time.since_unix().as_millis()).unwrap();
        Ok(Response::new(v1::SignResponse {
            spiffe_id: control.class.to_string(),
            not_before_ms: ms(issued.not_before),
            not_after_ms: ms(issued.not_after),
            renew_at_ms: ms(issued.not_before) + 1_800_000,
            chain_der: issued.chain_der.into_iter().map(Into::into).collect(),
            trust: Some(control.trust()),
            workload: "orders".to_owned(),
        }))
    }

    async fn report(
        &self,
        request: Request<Streaming<v1::ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let (answers, stream) = mpsc::channel(4);
        let control = Arc::clone(&self.0);
        let mut reports = request.into_inner();
        caller::spawn(async move {
            while let Ok(Some(report)) = reports.message().await {
                let registered = !report.draining && !report.address.is_empty();
                control.reports.lock().unwrap().push(report);
                drop(answers.send(Ok(v1::ReportResponse { registered, others: 1 })).await);
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn public_certificate(
        &self,
        _request: Request<v1::PublicCertificateRequest>,
    ) -> Result<Response<v1::PublicCertificateResponse>, Status> {
        Err(Status::permission_denied("no gateway"))
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Service {
    type DeltaAggregatedResourcesStream = Answers<DeltaDiscoveryResponse>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (outgoing, stream) = mpsc::channel(16);
        let control = Arc::clone(&self.0);
        let mut incoming = request.into_inner();
        let mut offer = control.offer.subscribe();
        caller::spawn(async move {
            // What the client has, by type and name; a type is known once it was asked for.
            let mut has: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
            loop {
                let now = offer.borrow_and_update().clone();
                for type_url in resource::ALL {
                    let (Some(has), Some(wanted)) = (has.get_mut(type_url), now.get(type_url))
                    else {
                        continue;
                    };
                    let fresh = wanted
                        .iter()
                        .filter(|(name, (version, _))| has.get(*name) != Some(version));
                    let resources: Vec<_> = fresh
                        .map(|(name, (version, bytes))| Resource {
                            version: version.clone(),
                            name: name.clone(),
                            aliases: Vec::new(),
                            resource: Some(Any {
                                type_url: type_url.to_owned(),
                                value: bytes.clone().into(),
                            }),
                        })
                        .collect();
                    if resources.is_empty() {
                        continue;
                    }
                    control.sent.lock().unwrap().push(type_url);
                    *has = wanted
                        .iter()
                        .map(|(name, (version, _))| (name.clone(), version.clone()))
                        .collect();
                    let response = DeltaDiscoveryResponse {
                        type_url: type_url.to_owned(),
                        nonce: "n".to_owned(),
                        resources,
                        ..DeltaDiscoveryResponse::default()
                    };
                    if outgoing.send(Ok(response)).await.is_err() {
                        return;
                    }
                }
                tokio::select! {
                    changed = offer.changed() => if changed.is_err() { return },
                    message = incoming.message() => {
                        let Ok(Some(request)) = message else { return };
                        if let Some(detail) = request.error_detail {
                            control.nacks.lock().unwrap().push(detail.message);
                        }
                        has.entry(request.type_url).or_insert(request.initial_resource_versions);
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// Both services, by path.
#[derive(Clone)]
struct Both {
    link: LinkServer<Service>,
    ads: AggregatedDiscoveryServiceServer<Service>,
}

impl tower_service::Service<http::Request<tonic::body::Body>> for Both {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        if request.uri().path().starts_with("/ringfort.v1.Link/") {
            self.link.call(request)
        } else {
            self.ads.call(request)
        }
    }
}

/// Serves a control plane on a socket until the token.
fn serve(control: &Arc<Control>, socket: &Path) -> (CancellationToken, TaskTracker) {
    drop(std::fs::remove_file(socket));
    let listener = UnixListener::bind(socket).unwrap();
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let (until, service) = (stop.clone(), Arc::clone(control));
    drop(tasks.spawn(async move {
        let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
        let both = Both {
            link: LinkServer::new(Service(Arc::clone(&service))),
            ads: AggregatedDiscoveryServiceServer::new(Service(service)),
        };
        let serving = tonic::transport::Server::builder().serve_with_incoming(both, incoming);
        tokio::select! {
            served = serving => served.unwrap(),
            () = until.cancelled() => {}
        }
    }));
    tasks.close();
    (stop, tasks)
}

/// A proxy of `orders` in this process.
struct Process {
    run: PathBuf,
    shutdown: CancellationToken,
    ended: tokio::task::JoinHandle<Result<(), RunProxyError>>,
}

impl Process {
    fn start(folder: &Path) -> Self {
        let shutdown = CancellationToken::new();
        let run = folder.join("run");
        let options = ProxyOptions {
            name: name("orders"),
            control_socket: folder.join("control.sock"),
            state_dir: folder.join("state"),
            run_dir: run.clone(),
            threads: 1,
            clock: Arc::new(FixedClock),
            shutdown: shutdown.clone(),
        };
        let ended = TaskTracker::new().spawn(async move { crate::run(options).await });
        Self { run, shutdown, ended }
    }

    async fn admin(&self, path: &str) -> (u16, String) {
        let request = http::Request::get(path.to_owned()).header("host", "proxy");
        let socket = self.run.join("orders.sock");
        let Ok(stream) = UnixStream::connect(socket).await else { return (0, String::new()) };
        let mut client = caller::http1_over(stream).await;
        let Ok(response) = client.send_request(request.body(program::whole("")).unwrap()).await
        else {
            return (0, String::new());
        };
        (response.status().as_u16(), text(response).await)
    }

    async fn status(&self, pointer: &str) -> serde_json::Value {
        let (_, body) = self.admin("/status").await;
        let status: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        status.pointer(pointer).cloned().unwrap_or_default()
    }

    /// Waits until a field of the status is this.
    async fn until(&self, pointer: &str, expected: impl Into<serde_json::Value>) {
        let expected = expected.into();
        let shown = async {
            while self.status(pointer).await != expected {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(std::time::Duration::from_secs(10), shown).await.is_err() {
            panic!("never {pointer} = {expected}: {:?}", self.admin("/status").await);
        }
    }

    async fn inbound(&self) -> std::net::SocketAddr {
        let address = self.status("/listeners/0/address").await;
        address.as_str().unwrap().parse().unwrap()
    }

    async fn end(self) {
        self.shutdown.cancel();
        soon(self.ended).await.unwrap().unwrap();
    }
}

/// Calls `orders` as `web`.
async fn call(control: &Control, address: std::net::SocketAddr) -> http::StatusCode {
    let web = control.authority.credentials(&control.authority.service("web"));
    let tls = caller::call(address, &web, &control.class, "http/1.1").await.unwrap();
    caller::http1_over(tls).await.send_request(get("/x")).await.unwrap().status()
}

fn snapshot(control: &Control, program: std::net::SocketAddr, revision: u64) -> Snapshot {
    let mut snapshot = sidecar(&control.authority, "orders", Protocol::Http1, program);
    add_caller(&mut snapshot, "web", control.authority.service("web"));
    snapshot.revision = Revision::new(revision);
    snapshot
}

#[tokio::test]
async fn a_proxy_lives_through_the_death_of_everything_around_it() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("shop.test");
    let control = Control::new(authority.service("orders"), authority);
    let program = program::echo(false).await;

    // Without a server it refuses: there is no socket at all.
    let proxy = Process::start(folder.path());
    proxy.until("/state", "waiting").await;
    assert_eq!(proxy.admin("/healthz").await.0, 503);

    // The server comes: identity, configuration, registration.
    control.offer(&snapshot(&control, program.address, 1), &control.key);
    let socket = folder.path().join("control.sock");
    let (stop, tasks) = serve(&control, &socket);
    proxy.until("/state", "serving").await;
    proxy.until("/revision", 1).await;
    proxy.until("/registered", true).await;
    assert_eq!(proxy.admin("/healthz").await.0, 200);
    let inbound = proxy.inbound().await;
    assert_eq!(call(&control, inbound).await, 200);
    assert!(proxy.admin("/metrics").await.1.contains("ringfort_config_revision 1\n"));

    // A new revision is in force as soon as it is reported.
    control.offer(&snapshot(&control, program.address, 2), &control.key);
    proxy.until("/revision", 2).await;

    // The server dies: traffic goes on.
    stop.cancel();
    soon(tasks.wait()).await;
    drop(std::fs::remove_file(&socket));
    assert_eq!(call(&control, inbound).await, 200);

    // The proxy dies too, and starts again: from its files, where it was.
    proxy.end().await;
    assert!(TcpStream::connect(inbound).await.is_err());
    let proxy = Process::start(folder.path());
    proxy.until("/state", "serving").await;
    assert_eq!(proxy.status("/revision").await, 2);
    assert_eq!(proxy.inbound().await, inbound);
    assert_eq!(call(&control, inbound).await, 200);

    // The server is back: nothing it has is sent again, but for the bundle, whose version only a stream tells.
    control.sent.lock().unwrap().clear();
    let signed = control.signed.load(Ordering::SeqCst);
    let _server = serve(&control, &socket);
    proxy.until("/link", "connected").await;
    proxy.until("/registered", true).await;
    assert!(control.sent.lock().unwrap().iter().all(|type_url| *type_url == resource::TRUST));
    assert_eq!(control.signed.load(Ordering::SeqCst), signed, "the kept identity was still good");
    proxy.end().await;
    assert!(control.reports.lock().unwrap().last().unwrap().draining);
}

#[tokio::test]
async fn a_raised_epoch_renews_without_ending_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("shop.test");
    let control = Control::new(authority.service("orders"), authority);
    let program = program::echo(false).await;
    let offered = snapshot(&control, program.address, 1);
    control.offer(&offered, &control.key);
    let _server = serve(&control, &folder.path().join("control.sock"));
    let proxy = Process::start(folder.path());
    proxy.until("/revision", 1).await;
    let web = control.authority.credentials(&control.authority.service("web"));
    let tls = caller::call(proxy.inbound().await, &web, &control.class, "http/1.1").await.unwrap();
    let mut client = caller::http1_over(tls).await;
    assert_eq!(text(client.send_request(get("/a")).await.unwrap()).await, "/a 0");
    assert_eq!(control.signed.load(Ordering::SeqCst), 1);
    control.epoch.store(1, Ordering::SeqCst);
    control.offer(&offered, &control.key);
    eventually("the certificate is renewed", || control.signed.load(Ordering::SeqCst) == 2).await;
    assert_eq!(text(client.send_request(get("/b")).await.unwrap()).await, "/b 0");
    proxy.end().await;
}

#[tokio::test]
async fn configuration_that_may_not_come_into_force_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("shop.test");
    let control = Control::new(authority.service("orders"), authority);
    let program = program::echo(false).await;
    control.offer(&snapshot(&control, program.address, 5), &control.key);
    let _server = serve(&control, &folder.path().join("control.sock"));
    let proxy = Process::start(folder.path());
    proxy.until("/revision", 5).await;
    let nacked = |text: &str| {
        let nacks = control.nacks.lock().unwrap();
        nacks.last().is_some_and(|nack| nack.contains(text))
    };
    control.offer(&snapshot(&control, program.address, 4), &control.key);
    eventually("an older revision is refused", || nacked("revision 4 lies below 5")).await;
    let stranger = ConfigKey::generate(&mut SystemRandom).unwrap();
    control.offer(&snapshot(&control, program.address, 6), &stranger);
    eventually("a foreign signature is refused", || nacked("not signed by a trusted server")).await;
    let mut broken = snapshot(&control, program.address, 7);
    broken.policies.policies[0].text = "permit (nonsense".to_owned();
    control.offer(&broken, &control.key);
    eventually("policies that cannot be read are refused", || {
        nacked("policies cannot be enforced")
    })
    .await;
    assert_eq!(proxy.status("/revision").await, 5);
    assert_eq!(call(&control, proxy.inbound().await).await, 200);
    // Control: the next good revision comes into force.
    control.offer(&snapshot(&control, program.address, 8), &control.key);
    proxy.until("/revision", 8).await;
    proxy.until("/nack", "").await;
    proxy.end().await;
}

#[tokio::test]
async fn a_damaged_snapshot_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("shop.test");
    let control = Control::new(authority.service("orders"), authority);
    let program = program::echo(false).await;
    control.offer(&snapshot(&control, program.address, 1), &control.key);
    let socket = folder.path().join("control.sock");
    let (stop, tasks) = serve(&control, &socket);
    let proxy = Process::start(folder.path());
    proxy.until("/revision", 1).await;
    proxy.end().await;
    stop.cancel();
    soon(tasks.wait()).await;
    drop(std::fs::remove_file(&socket));
    let kept = folder.path().join("state/orders/snapshot.bin");
    let mut bytes = std::fs::read(&kept).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&kept, bytes).unwrap();
    let proxy = Process::start(folder.path());
    proxy.until("/nack", "damaged: the content differs from its digest").await;
    assert_eq!(proxy.status("/state").await, "waiting");
    assert_eq!(proxy.status("/listeners").await, serde_json::json!([]));
    proxy.end().await;
}
