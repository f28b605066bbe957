//! The SPIFFE Workload API: hands X.509-SVIDs to programs that speak it.
//!
//! Decides who may ask and how often; what identity a caller has is the server's decision. JWT-SVIDs are not issued:
//! those calls answer `Unimplemented`.
//!
//! # Source
//! SPIFFE Workload Endpoint, section 3 (metadata, transport) and SPIFFE Workload API, sections 4 and 5.

use std::{
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, future, stream};
use ringfort_model::WallClock;
use ringfort_wire::workload::{
    JwtBundlesRequest, JwtBundlesResponse, JwtsvidRequest, JwtsvidResponse, ValidateJwtsvidRequest,
    ValidateJwtsvidResponse, X509BundlesRequest, X509BundlesResponse, X509svid, X509svidRequest,
    X509svidResponse,
    spiffe_workload_api_server::{SpiffeWorkloadApi, SpiffeWorkloadApiServer},
};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status};

use crate::{
    door::Caller,
    quota::{Quota, Rate, Who},
    upstream::Upstream,
};

use feed::{Feed, Identity, News};

mod feed;

/// Most streams of one caller, and of all.
const STREAMS_EACH_MAX: u32 = 32;
const STREAMS_ALL_MAX: u32 = 4096;
/// Most calls of one caller in a second.
const CALLS_PER_SECOND_MAX: u32 = 10;
/// Largest request; all of them are all but empty.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Proves that a request was meant for this API and not forged across protocols.
const SECURITY_HEADER: &str = "workload.spiffe.io";

/// What the Workload APIs of all connections share.
#[derive(Debug, Clone)]
pub(crate) struct WorkloadApis {
    server_socket: PathBuf,
    clock: Arc<dyn WallClock>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    streams: Quota<Who>,
    calls: Rate,
}

/// The Workload API of one connection.
#[derive(Debug)]
pub(crate) struct WorkloadApi {
    shared: WorkloadApis,
    caller: Caller,
    /// One feed for all streams of the connection, while there are any.
    feed: Mutex<Weak<watch::Sender<News>>>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl WorkloadApis {
    pub(crate) fn new(
        server_socket: PathBuf,
        clock: Arc<dyn WallClock>,
        tracker: TaskTracker,
        shutdown: CancellationToken,
    ) -> Self {
        let streams = Quota::new(STREAMS_EACH_MAX, STREAMS_ALL_MAX);
        let calls = Rate::new(CALLS_PER_SECOND_MAX);
        Self { server_socket, clock, tracker, shutdown, streams, calls }
    }

    /// The API for one caller.
    pub(crate) fn of(&self, caller: Caller) -> SpiffeWorkloadApiServer<WorkloadApi> {
        let api = WorkloadApi { shared: self.clone(), caller, feed: Mutex::default() };
        SpiffeWorkloadApiServer::new(api).max_decoding_message_size(REQUEST_BYTES_MAX)
    }
}

impl WorkloadApi {
    /// What every call must pass: the header, then the rate, then attestation.
    fn check<T>(&self, request: &Request<T>) -> Result<Upstream, Status> {
        let mut headers = request.metadata().get_all(SECURITY_HEADER).iter();
        let (first, second) = (headers.next(), headers.next());
        if first.is_none_or(|value| value.as_bytes() != b"true") || second.is_some() {
            return Err(Status::invalid_argument(
                "the metadata `workload.spiffe.io: true` is missing",
            ));
        }
        if !self.shared.calls.admits(&self.caller.who, tokio::time::Instant::now().into_std()) {
            return Err(Status::resource_exhausted("too many calls in a second"));
        }
        let facts = self.caller.facts.as_ref().map_err(|_logged_when_it_connected| {
            Status::permission_denied("no identity is issued to this process")
        })?;
        Upstream::new(&self.shared.server_socket, facts)
            .ok_or_else(|| Status::internal("the path of the server's socket is not UTF-8"))
    }

    fn unimplemented<T>(&self, request: &Request<T>) -> Status {
        let unimplemented = || Status::unimplemented("JWT-SVIDs are not issued");
        self.check(request).err().unwrap_or_else(unimplemented)
    }

    /// Answers with a message for each new identity for which `message` makes one.
    fn answers<R, T: Send + 'static>(
        &self,
        request: &Request<R>,
        mut message: impl FnMut(&Identity) -> Option<T> + Send + 'static,
    ) -> Result<Response<Answers<T>>, Status> {
        let upstream = self.check(request)?;
        let held = self.shared.streams.take(self.caller.who.clone());
        let held = held.ok_or_else(|| Status::resource_exhausted("too many open streams"))?;
        let clock = Arc::clone(&self.shared.clock);
        let shutdown = self.shared.shutdown.clone();
        let answers = WatchStream::new(self.listen(upstream))
            .filter_map(future::ready::<News>)
            .filter_map(move |news| {
                let answer = news.and_then(|identity| {
                    if identity.not_after <= clock.now() {
                        return Err(Status::unavailable("the certificate has ended"));
                    }
                    Ok(message(&identity))
                });
                future::ready(answer.transpose())
            })
            .take_until(shutdown.cancelled_owned())
            // A feed that ended without a word, or a stop. After an error nothing of this is sent any more.
            .chain(stream::once(future::ready(Err(Status::unavailable("try again")))))
            .map(move |answer| {
                // Lives as long as the stream.
                let _held = &held;
                answer
            });
        Ok(Response::new(Box::pin(answers)))
    }

    /// Listens to the connection's feed and starts it if there is none.
    fn listen(&self, upstream: Upstream) -> watch::Receiver<News> {
        let mut feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = feed.upgrade() {
            let is_over = running.borrow().as_ref().is_some_and(Result::is_err);
            // A feed without listeners is about to end.
            if !is_over && running.receiver_count() > 0 {
                return running.subscribe();
            }
        }
        let (news, listener) = watch::channel(None);
        let news = Arc::new(news);
        *feed = Arc::downgrade(&news);
        let running = Feed { upstream, clock: Arc::clone(&self.shared.clock) };
        self.shared.tracker.spawn(running.run(news));
        listener
    }
}

#[tonic::async_trait]
impl SpiffeWorkloadApi for WorkloadApi {
    type FetchX509SVIDStream = Answers<X509svidResponse>;
    type FetchX509BundlesStream = Answers<X509BundlesResponse>;
    type FetchJWTBundlesStream = Answers<JwtBundlesResponse>;

    async fn fetch_x509svid(
        &self,
        request: Request<X509svidRequest>,
    ) -> Result<Response<Self::FetchX509SVIDStream>, Status> {
        self.answers(&request, |identity| Some(svid_response(identity)))
    }

    async fn fetch_x509_bundles(
        &self,
        request: Request<X509BundlesRequest>,
    ) -> Result<Response<Self::FetchX509BundlesStream>, Status> {
        let mut told = None;
        self.answers(&request, move |identity| {
            // A new certificate under the same roots is no news here.
            let bundle = concatenated(&identity.trust.root_der);
            let is_news = told.as_ref() != Some(&bundle);
            told = Some(bundle.clone());
            is_news.then(|| bundles_response(identity, bundle))
        })
    }

    async fn fetch_jwtsvid(
        &self,
        request: Request<JwtsvidRequest>,
    ) -> Result<Response<JwtsvidResponse>, Status> {
        Err(self.unimplemented(&request))
    }

    async fn fetch_jwt_bundles(
        &self,
        request: Request<JwtBundlesRequest>,
    ) -> Result<Response<Self::FetchJWTBundlesStream>, Status> {
        Err(self.unimplemented(&request))
    }

    async fn validate_jwtsvid(
        &self,
        request: Request<ValidateJwtsvidRequest>,
    ) -> Result<Response<ValidateJwtsvidResponse>, Status> {
        Err(self.unimplemented(&request))
    }
}

fn svid_response(identity: &Identity) -> X509svidResponse {
    let svid = X509svid {
        spiffe_id: identity.id.to_string(),
        x509_svid: concatenated(&identity.chain),
        x509_svid_key: Bytes::copy_from_slice(identity.key.pkcs8().expose()),
        bundle: concatenated(&identity.trust.root_der),
        hint: String::new(),
    };
    X509svidResponse { svids: vec![svid], ..X509svidResponse::default() }
}

fn bundles_response(identity: &Identity, bundle: Bytes) -> X509BundlesResponse {
    let trust_domain = format!("spiffe://{}", identity.id.trust_domain());
    X509BundlesResponse {
        bundles: [(trust_domain, bundle)].into(),
        ..X509BundlesResponse::default()
    }
}

/// DER documents one after the other, as the API wants them.
fn concatenated(documents: &[Bytes]) -> Bytes {
    documents.concat().into()
}
