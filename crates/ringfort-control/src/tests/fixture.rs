//! A server in a temporary folder, its clients, and a proxy as simple as can be.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{RunServerError, ServerOptions};
use prost::Message as _;
use ringfort_identity::{ConfigKeys, ConfigPublicKey, KeyPair, Sha256Digester};
use ringfort_model::{
    Digest, Revision, Selectors, Snapshot, SpiffeId, WallClock, WallTime,
    selectors::{Part, StartedAs},
};
use ringfort_wire::{
    assemble::{Assembly, Change, Checks},
    discovery::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse,
        aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
    },
    resource, rpc,
    v1::{self, admin_client::AdminClient, link_client::LinkClient},
};
use tokio::{net::UnixStream, sync::mpsc, task::JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Status, Streaming,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const SHOP: &str = r#"ringfort: v1
services:
  orders:
    listen: 8080
    calls:
      - { to: payments, only: ["POST /charge"] }
      - ledger
  payments: { listen: 8081, resilience: { concurrency: 100 } }
  ledger: { listen: { port: 5432, protocol: tcp } }
gateways:
  public:
    listeners: [ { bind: "127.0.0.1:8443", hosts: [shop.test], tls: internal } ]
routes:
  orders:
    match: [ { host: shop.test, path: /orders/* } ]
    to: orders
    user: none
"#;

/// A clock that tests set; clones share the time.
#[derive(Debug, Clone)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl WallClock for TestClock {
    fn now(&self) -> WallTime {
        WallTime::from_unix(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

/// A server that can be stopped and started again on the same state.
pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) clock: TestClock,
    shutdown: CancellationToken,
    running: JoinSet<Result<(), RunServerError>>,
}

impl Fixture {
    pub(crate) async fn empty() -> Self {
        let mut fixture = Self {
            folder: tempfile::tempdir().unwrap(),
            clock: TestClock(Arc::new(AtomicU64::new(1_800_000_000_000))),
            shutdown: CancellationToken::new(),
            running: JoinSet::new(),
        };
        fixture.start().await;
        fixture
    }

    /// A server with the shop in force.
    pub(crate) async fn shop() -> Self {
        let fixture = Self::empty().await;
        assert_eq!(fixture.apply(SHOP).await.revision, 1);
        fixture
    }

    pub(crate) fn options(&self, shutdown: CancellationToken) -> ServerOptions {
        let at = |name: &str| self.folder.path().join(name);
        ServerOptions {
            agent: None,
            socket: at("server.sock"),
            database: at("server.db"),
            sealing_key: at("server.key"),
            host: "host-1".parse().unwrap(),
            clock: Arc::new(self.clock.clone()),
            shutdown,
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("server.sock")
    }

    pub(crate) async fn start(&mut self) {
        self.shutdown = CancellationToken::new();
        let options = self.options(self.shutdown.clone());
        self.running.spawn(crate::run(options));
        let socket = self.socket();
        let up = async {
            while UnixStream::connect(&socket).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, up).await.expect("the server listens");
    }

    pub(crate) async fn stop(&mut self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.running.join_next()).await;
        ended.expect("the server stops").unwrap().unwrap().unwrap();
    }

    pub(crate) fn channel(&self) -> Channel {
        let uri = format!("unix://{}", self.socket().display());
        Endpoint::from_shared(uri).unwrap().connect_lazy()
    }

    pub(crate) fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel())
    }

    pub(crate) fn link(&self) -> LinkClient<Channel> {
        LinkClient::new(self.channel())
    }

    pub(crate) async fn try_apply(
        &self,
        text: &str,
        base: Option<u64>,
    ) -> Result<v1::apply_response::Outcome, Status> {
        let bytes = text.to_owned().into_bytes().into();
        let request = v1::ApplyRequest {
            files: vec![v1::File { path: "shop.yaml".to_owned(), bytes }],
            base_revision: base,
            author: "ada".to_owned(),
            message: "why".to_owned(),
        };
        let answer = self.admin().apply(request).await?;
        Ok(answer.into_inner().outcome.unwrap())
    }

    pub(crate) async fn apply(&self, text: &str) -> v1::Applied {
        match self.try_apply(text, None).await.unwrap() {
            v1::apply_response::Outcome::Applied(applied) => applied,
            v1::apply_response::Outcome::Rejected(rejected) => panic!("{}", rejected.text),
        }
    }

    pub(crate) async fn rejected(&self, text: &str) -> v1::Rejected {
        match self.try_apply(text, None).await.unwrap() {
            v1::apply_response::Outcome::Applied(applied) => panic!("{applied:?}"),
            v1::apply_response::Outcome::Rejected(rejected) => rejected,
        }
    }

    pub(crate) async fn status(&self) -> v1::StatusResponse {
        self.admin().status(v1::StatusRequest {}).await.unwrap().into_inner()
    }

    pub(crate) async fn renew(&self) -> v1::RenewResponse {
        self.admin().renew(v1::RenewRequest { all: true }).await.unwrap().into_inner()
    }

    pub(crate) async fn sign(&self, workload: &str) -> Result<v1::SignResponse, Status> {
        let csr_der = KeyPair::generate().unwrap().csr_der().unwrap().into();
        let request = v1::SignRequest { csr_der, for_foreign: false };
        let answer = self.link().sign(attested(request, &child(workload))).await?;
        Ok(answer.into_inner())
    }
}

/// What an agent attests of a proxy that it started for a workload.
pub(crate) fn child(workload: &str) -> Selectors {
    Selectors {
        pid: 4711,
        uid: 0,
        gid: 0,
        unix_user: Some("root".to_owned()),
        unix_group: Some("root".to_owned()),
        exe: "/usr/bin/ringfort".to_owned(),
        exe_sha256: Digest::new([1; 32]),
        started_as: Some(StartedAs { workload: workload.parse().unwrap(), part: Part::Proxy }),
    }
}

/// The call with the facts an agent adds.
pub(crate) fn attested<T>(message: T, selectors: &Selectors) -> Request<T> {
    let mut request = Request::new(message);
    let facts = v1::Selectors::from(selectors).encode_to_vec();
    let value = MetadataValue::from_bytes(&facts);
    request.metadata_mut().insert_bin(resource::SELECTORS_METADATA, value);
    request
}

/// A proxy's configuration client.
pub(crate) struct Proxy {
    pub(crate) assembly: Assembly,
    keys: ConfigKeys,
    outgoing: mpsc::Sender<DeltaDiscoveryRequest>,
    incoming: Streaming<DeltaDiscoveryResponse>,
}

impl Proxy {
    /// Gets an identity, then a stream; `held` is what it kept from before.
    pub(crate) async fn connect(fixture: &Fixture, workload: &str, held: Option<Assembly>) -> Self {
        let signed = fixture.sign(workload).await.unwrap();
        let class: SpiffeId = signed.spiffe_id.parse().unwrap();
        let assembly = held.unwrap_or_else(|| Assembly::new(class, Revision::NONE));
        let keys = signed.trust.unwrap().config_keys;
        let keys = keys.iter().map(|key| ConfigPublicKey::read(&key.ed25519_public).unwrap());
        let (outgoing, receiver) = mpsc::channel(64);
        for type_url in resource::ALL {
            let request = DeltaDiscoveryRequest {
                type_url: type_url.to_owned(),
                initial_resource_versions: assembly.versions(type_url),
                ..DeltaDiscoveryRequest::default()
            };
            outgoing.send(request).await.unwrap();
        }
        let mut client = AggregatedDiscoveryServiceClient::new(fixture.channel());
        let request = attested(ReceiverStream::new(receiver), &child(workload));
        let incoming = client.delta_aggregated_resources(request).await.unwrap().into_inner();
        Self { assembly, keys: keys.collect(), outgoing, incoming }
    }

    /// The next message, or how the stream ended.
    pub(crate) async fn hear(&mut self) -> Result<DeltaDiscoveryResponse, Status> {
        let message = tokio::time::timeout(PATIENCE, self.incoming.message()).await;
        message.expect("the server speaks")?.ok_or_else(|| Status::cancelled("ended"))
    }

    /// Takes or refuses a message as a proxy does.
    pub(crate) async fn take(&mut self, response: &DeltaDiscoveryResponse) -> Change {
        let checks = Checks { digester: &Sha256Digester, verifier: &self.keys };
        let change = self.assembly.accept(response, checks).unwrap();
        if matches!(change, Change::Complete(_)) {
            self.assembly.put_in_force();
        }
        self.answer(response, None).await;
        change
    }

    pub(crate) async fn answer(&self, response: &DeltaDiscoveryResponse, refusal: Option<&str>) {
        let request = DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            error_detail: refusal.map(|text| rpc::Status { code: 3, message: text.to_owned() }),
            ..DeltaDiscoveryRequest::default()
        };
        self.outgoing.send(request).await.unwrap();
    }

    /// Takes messages until a snapshot is complete; returns it with the names of the types heard.
    pub(crate) async fn completed(&mut self) -> (Arc<Snapshot>, Vec<String>) {
        let mut heard = Vec::new();
        loop {
            let response = self.hear().await.unwrap();
            heard.push(short(&response));
            if let Change::Complete(snapshot) = self.take(&response).await {
                return (snapshot, heard);
            }
        }
    }

    /// Everything the server says until the trust of a later renewal; that one is the mark and left out.
    pub(crate) async fn heard_until_renewal(&mut self, fixture: &Fixture) -> Vec<String> {
        let epoch = fixture.renew().await.epoch;
        let mut heard = Vec::new();
        loop {
            let response = self.hear().await.unwrap();
            let name = short(&response);
            if let Change::Trust(trust) = self.take(&response).await
                && trust.renew_epoch >= epoch
            {
                return heard;
            }
            heard.push(name);
        }
    }
}

/// `Peer payments`, or `Peer -payments` for a removal.
pub(crate) fn short(response: &DeltaDiscoveryResponse) -> String {
    let kind = response.type_url.strip_prefix(resource::TYPE_PREFIX).unwrap();
    let put = response.resources.iter().map(|one| one.name.clone());
    let removed = response.removed_resources.iter().map(|name| format!("-{name}"));
    let names: Vec<_> = put.chain(removed).collect();
    format!("{kind} {}", names.join(" "))
}
