//! A small server of the control link: signs with a real authority, and remembers what it was told about callers.

use std::{
    collections::VecDeque,
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt as _, future::BoxFuture};
use http::{Request, Response};
use hyper::body::Incoming;
use prost::Message as _;
use ringfort_identity::{
    CertificateAuthority, CreateAuthority, KeyPair, RequestedKey, SignLeafOptions, SystemRandom,
};
use ringfort_model::{WallClock, WallTime};
use ringfort_wire::{
    discovery::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
        aggregated_discovery_service_server::{
            AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
        },
    },
    protobuf::Any,
    resource::{SELECTORS_METADATA, TRUST, TRUST_NAME},
    v1::{
        self, PublicCertificateRequest, PublicCertificateResponse, ReportRequest, ReportResponse,
        SignRequest, SignResponse, Trust,
        link_server::{Link, LinkServer},
    },
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, WatchStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Code, Status, Streaming};
use tower_service::Service;

use super::super::*;

/// Wall time that moves with the runtime's time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: tokio::time::Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { started: tokio::time::Instant::now() }
    }
}

impl WallClock for Clock {
    fn now(&self) -> WallTime {
        WallTime::from_unix(std::time::Duration::from_secs(1_800_000_000))
            .plus(self.started.elapsed())
    }
}

/// How one signing request is answered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reply {
    /// With a certificate that is renewed and ends after so many milliseconds.
    Sign { renew_ms: u64, end_ms: u64 },
    /// With an error.
    Fail(Code),
}

/// Signs for an hour.
pub(super) const FRESH: Reply = Reply::Sign { renew_ms: 1_800_000, end_ms: 3_600_000 };

/// What was seen of one call.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) facts: Vec<v1::Selectors>,
    pub(super) headers: Vec<String>,
}

/// The server; clones share everything.
#[derive(Clone)]
pub(super) struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    authority: CertificateAuthority,
    trust: watch::Sender<Trust>,
    /// Ends the streams of the trust bundle: their process has no identity any more.
    expelled: watch::Sender<bool>,
    replies: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Seen>>,
}

impl Server {
    pub(super) fn new(clock: Clock) -> Self {
        let authority = CertificateAuthority::create(
            CreateAuthority {
                trust_domain: "shop.test".parse().unwrap(),
                root_key: KeyPair::generate().unwrap(),
                issuing_key: KeyPair::generate().unwrap(),
                now: clock.now(),
            },
            &mut SystemRandom,
        )
        .unwrap();
        let trust = Trust {
            sequence: 1,
            trust_domain: "shop.test".to_owned(),
            root_der: vec![authority.root_der().to_vec().into()],
            config_keys: Vec::new(),
            renew_epoch: 0,
        };
        let inner = Inner {
            clock,
            authority,
            trust: watch::Sender::new(trust),
            expelled: watch::Sender::new(false),
            replies: Mutex::default(),
            seen: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Serves at a socket until the guard is dropped.
    pub(super) fn open(&self, socket: PathBuf) -> tokio_util::sync::DropGuard {
        let shutdown = CancellationToken::new();
        let tracker = TaskTracker::new();
        let attestor = Attestor::new(Children::new());
        let porch = Porch::new(attestor, tracker.clone(), shutdown.clone());
        let door = Door::open(socket).unwrap();
        let server = self.clone();
        tracker.spawn(async move { door.serve(porch, |_caller| server.clone()).await });
        shutdown.drop_guard()
    }

    /// Answers the next signing requests so; then [`FRESH`].
    pub(super) fn reply(&self, replies: &[Reply]) {
        self.inner.replies.lock().unwrap().extend(replies);
    }

    pub(super) fn update_trust(&self, update: impl FnOnce(&mut Trust)) {
        self.inner.trust.send_modify(update);
    }

    pub(super) fn expel(&self) {
        self.inner.expelled.send_replace(true);
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.inner.seen.lock().unwrap()
    }

    pub(super) fn root_der(&self) -> Vec<u8> {
        self.inner.authority.root_der().to_vec()
    }
}

impl Service<Request<Incoming>> for Server {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let metadata = tonic::metadata::MetadataMap::from_headers(request.headers().clone());
        let facts = metadata.get_all_bin(SELECTORS_METADATA).iter();
        let facts =
            facts.map(|value| v1::Selectors::decode(value.to_bytes().unwrap()).unwrap()).collect();
        let headers = request.headers().keys().map(ToString::to_string).collect();
        self.seen().push(Seen { path: path.clone(), facts, headers });
        if path.starts_with("/ringfort.v1.Link/") {
            LinkServer::new(self.clone()).call(request)
        } else {
            AggregatedDiscoveryServiceServer::new(self.clone()).call(request)
        }
    }
}

type Answers<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Link for Server {
    async fn sign(
        &self,
        request: tonic::Request<SignRequest>,
    ) -> Result<tonic::Response<SignResponse>, Status> {
        let reply = self.inner.replies.lock().unwrap().pop_front().unwrap_or(FRESH);
        let (renew_ms, end_ms) = match reply {
            Reply::Sign { renew_ms, end_ms } => (renew_ms, end_ms),
            Reply::Fail(code) => return Err(Status::new(code, "inner reason")),
        };
        let key = RequestedKey::from_csr(&request.get_ref().csr_der).unwrap();
        let id = "spiffe://shop.test/svc/orders".parse().unwrap();
        let now = self.inner.clock.now();
        let ttl = std::time::Duration::from_secs(3600);
        let options = SignLeafOptions { key: &key, id: &id, now, ttl };
        let issued = self.inner.authority.sign_leaf(options, &mut SystemRandom).unwrap();
        let now_ms = u64::try_from(now.since_unix().as_millis()).unwrap();
        Ok(tonic::Response::new(SignResponse {
            spiffe_id: id.to_string(),
            chain_der: issued.chain_der.into_iter().map(Into::into).collect(),
            trust: Some(self.inner.trust.borrow().clone()),
            not_before_ms: now_ms,
            not_after_ms: now_ms + end_ms,
            renew_at_ms: now_ms + renew_ms,
            workload: "orders".to_owned(),
        }))
    }

    type ReportStream = Answers<ReportResponse>;

    async fn report(
        &self,
        request: tonic::Request<Streaming<ReportRequest>>,
    ) -> Result<tonic::Response<Self::ReportStream>, Status> {
        let answers = request.into_inner().map(|message| {
            let others = u32::try_from(message?.instance.len()).unwrap();
            Ok(ReportResponse { registered: true, others })
        });
        Ok(tonic::Response::new(Box::pin(answers)))
    }

    async fn public_certificate(
        &self,
        _request: tonic::Request<PublicCertificateRequest>,
    ) -> Result<tonic::Response<PublicCertificateResponse>, Status> {
        Err(Status::permission_denied("not a gateway"))
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Server {
    type DeltaAggregatedResourcesStream = Answers<DeltaDiscoveryResponse>;

    /// Sends the trust bundle, whenever it changes and once every message of the client was read.
    async fn delta_aggregated_resources(
        &self,
        request: tonic::Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<tonic::Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.unwrap();
        assert_eq!(
            (first.type_url.as_str(), first.resource_names_subscribe.as_slice()),
            (TRUST, [TRUST_NAME.to_owned()].as_slice())
        );
        let (sender, receiver) = mpsc::channel(4);
        let denials = sender.clone();
        let mut trusts = WatchStream::new(self.inner.trust.subscribe());
        let send = async move {
            while let Some(trust) = trusts.next().await {
                let value = trust.encode_to_vec().into();
                let resource = Resource {
                    name: TRUST_NAME.to_owned(),
                    resource: Some(Any { type_url: TRUST.to_owned(), value }),
                    ..Resource::default()
                };
                let nonce = trust.sequence.to_string();
                let response = DeltaDiscoveryResponse {
                    type_url: TRUST.to_owned(),
                    nonce: nonce.clone(),
                    resources: vec![resource],
                    ..DeltaDiscoveryResponse::default()
                };
                if sender.send(Ok(response)).await.is_err() {
                    return;
                }
                let Ok(Some(ack)) = requests.message().await else { return };
                assert_eq!((ack.response_nonce, ack.error_detail), (nonce, None));
            }
        };
        let mut expelled = self.inner.expelled.subscribe();
        TaskTracker::new().spawn(async move {
            let expelled = async { expelled.wait_for(|expelled| *expelled).await.map(drop) };
            tokio::select! {
                () = send => {}
                expelled = expelled => {
                    expelled.unwrap();
                    let denied = Status::permission_denied("no such class");
                    drop(denials.send(Err(denied)).await);
                }
            }
        });
        Ok(tonic::Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}
