//! Relays the control link of local proxies to the server, and adds who they are.
//!
//! Messages pass as bytes, up to their limit; the relay reads none of them. Of a caller's metadata only its deadline
//! passes: facts about it are written here, from the attestation of its connection.

use std::{
    convert::Infallible,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::{Buf as _, BufMut as _, Bytes};
use futures_util::{Stream, StreamExt as _, future, stream};
use http::{Request, Response, uri::PathAndQuery};
use hyper::body::Incoming;
use ringfort_wire::resource::MESSAGE_BYTES_MAX;
use tokio_util::sync::CancellationToken;
use tonic::{
    Status, Streaming,
    body::Body,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::StreamingService,
};
use tower_service::Service;

use crate::{
    door::Caller,
    quota::{Held, Quota, Who},
    upstream::{Upstream, seen},
};

/// What is relayed, and nothing else: `Admin` above all is not.
const PATHS: [&str; 4] = [
    "/ringfort.v1.Link/Sign",
    "/ringfort.v1.Link/Report",
    "/ringfort.v1.Link/PublicCertificate",
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
];

/// Most streams of one caller, and of all: a proxy has 2, and 2 more while it renews and reconnects.
const STREAMS_EACH_MAX: u32 = 64;
const STREAMS_ALL_MAX: u32 = 4096;

/// What the relays of all connections share.
#[derive(Debug, Clone)]
pub(crate) struct Relays {
    server_socket: PathBuf,
    streams: Quota<Who>,
    shutdown: CancellationToken,
}

/// The relay of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    shared: Relays,
    caller: Arc<Caller>,
    upstream: Option<Upstream>,
}

type Answers = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

impl Relays {
    pub(crate) fn new(server_socket: PathBuf, shutdown: CancellationToken) -> Self {
        let streams = Quota::new(STREAMS_EACH_MAX, STREAMS_ALL_MAX);
        Self { server_socket, streams, shutdown }
    }

    /// The relay for one caller.
    pub(crate) fn of(&self, caller: Caller) -> Relay {
        let facts = caller.facts.as_ref().ok();
        let upstream = facts.and_then(|facts| Upstream::new(&self.server_socket, facts));
        Relay { shared: self.clone(), caller: Arc::new(caller), upstream }
    }
}

impl Relay {
    fn begin(&self, path: &str) -> Result<Call, Status> {
        let path = PATHS.into_iter().find(|known| *known == path);
        let path = path.ok_or_else(|| Status::unimplemented("not relayed"))?;
        let Some(upstream) = self.upstream.clone() else {
            return Err(match &self.caller.facts {
                Err(error) => Status::permission_denied(crate::reason(error)),
                Ok(_) => Status::internal("the path of the server's socket is not UTF-8"),
            });
        };
        let held = self.shared.streams.take(self.caller.who.clone());
        let held = held.ok_or_else(|| Status::resource_exhausted("too many open streams"))?;
        let shutdown = self.shared.shutdown.clone();
        Ok(Call { path, upstream, shutdown, held: Some(held) })
    }
}

impl Service<Request<Incoming>> for Relay {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let call = self.begin(request.uri().path());
        Box::pin(async move {
            let call = match call {
                Ok(call) => call,
                Err(status) => return Ok(status.into_http()),
            };
            let limit = Some(MESSAGE_BYTES_MAX);
            let mut grpc =
                tonic::server::Grpc::new(Pass).apply_max_message_size_config(limit, limit);
            Ok(grpc.streaming(call, request).await)
        })
    }
}

/// One call on its way to the server.
struct Call {
    path: &'static str,
    upstream: Upstream,
    shutdown: CancellationToken,
    held: Option<Held<Who>>,
}

impl StreamingService<Bytes> for Call {
    type Response = Bytes;
    type ResponseStream = Answers;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Answers>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Streaming<Bytes>>) -> Self::Future {
        let (path, upstream, shutdown) = (self.path, self.upstream.clone(), self.shutdown.clone());
        let held = self.held.take();
        Box::pin(relay(path, upstream, shutdown, held, request))
    }
}

async fn relay(
    path: &'static str,
    upstream: Upstream,
    shutdown: CancellationToken,
    held: Option<Held<Who>>,
    request: tonic::Request<Streaming<Bytes>>,
) -> Result<tonic::Response<Answers>, Status> {
    let (metadata, _extensions, messages) = request.into_parts();
    let broken = Broken::default();
    let request = upstream.request(broken.clone().watch(messages), Some(&metadata));
    let mut grpc = tonic::client::Grpc::new(upstream.channel.clone())
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let answered = async {
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        grpc.streaming(request, PathAndQuery::from_static(path), Pass).await
    };
    let answered = tokio::select! {
        answered = answered => answered,
        // Losing it closes the stream to the server, which is meant.
        () = shutdown.cancelled() => return Err(stopping()),
    };
    let answers = answered.map_err(|status| broken.take().unwrap_or_else(|| seen(status)))?;
    let (metadata, answers, _extensions) = answers.into_parts();
    let answers = answers
        .map(|answer| answer.map_err(seen))
        .chain(
            stream::once(async move { broken.take() }).filter_map(async |status| status.map(Err)),
        )
        .take_until(shutdown.clone().cancelled_owned())
        .chain(
            stream::once(async move { shutdown.is_cancelled().then(stopping) })
                .filter_map(async |status| status.map(Err)),
        )
        .map(move |answer| {
            // Lives as long as the stream.
            let _held = &held;
            answer
        });
    let mut response = tonic::Response::new(Box::pin(answers) as Answers);
    *response.metadata_mut() = metadata;
    Ok(response)
}

fn stopping() -> Status {
    Status::unavailable("the agent is stopping")
}

/// Why a caller's stream broke: what it sent too much of must be told to it, not to the server.
#[derive(Debug, Clone, Default)]
struct Broken(Arc<Mutex<Option<Status>>>);

impl Broken {
    fn take(&self) -> Option<Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The messages up to the first that is broken.
    fn watch(self, messages: Streaming<Bytes>) -> impl Stream<Item = Bytes> + Send + 'static {
        messages.scan(self, |broken, message| {
            future::ready(match message {
                Ok(message) => Some(message),
                Err(status) => {
                    *broken.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                    None
                }
            })
        })
    }
}

/// Passes messages as they are.
#[derive(Debug, Clone, Copy)]
struct Pass;

impl Codec for Pass {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Pass {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Pass {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
