//! Delta ADS: one task per stream between the pure [`Subscription`] and the wire.
//!
//! The class of a stream is what its attested process is, never what the request says; when the rules in force make it
//! somebody else, the stream ends.

use std::{pin::Pin, sync::Arc, time::Duration};

use ringfort_model::{Selectors, SpiffeId};
use ringfort_wire::discovery::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
    aggregated_discovery_service_server::AggregatedDiscoveryService,
};
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    peer,
    server::Server,
    subscription::{Heard, Subscription},
    world::World,
};

/// Messages on their way to one client beside what the transport holds.
const MESSAGES: usize = 1;

/// How long a client may leave a message untaken before its stream ends.
const TAKE_WITHIN: Duration = Duration::from_secs(30);

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct AdsService {
    pub(crate) server: Arc<Server>,
}

type ResponseStream =
    Pin<Box<dyn Stream<Item = Result<DeltaDiscoveryResponse, Status>> + Send + 'static>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for AdsService {
    type DeltaAggregatedResourcesStream = ResponseStream;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<ResponseStream>, Status> {
        let selectors = peer::selectors(&request)?;
        let world = self.server.watch_world();
        let class = self.server.identify(&self.server.world(), &selectors)?.id;
        let (outgoing, receiver) = mpsc::channel(MESSAGES);
        let stream = AdsStream {
            server: Arc::clone(&self.server),
            selectors,
            class,
            world,
            subscription: Subscription::default(),
            outgoing,
        };
        let incoming = request.into_inner();
        self.server.tracker.spawn(async move { stream.run(incoming).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

struct AdsStream {
    server: Arc<Server>,
    selectors: Selectors,
    class: SpiffeId,
    world: watch::Receiver<Arc<World>>,
    subscription: Subscription,
    outgoing: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
}

impl AdsStream {
    async fn run(mut self, mut incoming: Streaming<DeltaDiscoveryRequest>) {
        let shutdown = self.server.shutdown.clone();
        loop {
            let world = Arc::clone(&self.world.borrow_and_update());
            if let Err(status) = self.speak(&world).await {
                // A client that no longer listens needs no reason.
                let _gone = self.outgoing.try_send(Err(status));
                return;
            }
            tokio::select! {
                // Nothing is lost: the client resumes with the versions it has.
                () = shutdown.cancelled() => return,
                // Cancel-safe: what changed stays marked as unseen.
                changed = self.world.changed() => if changed.is_err() { return },
                // Cancel-safe: the decoder keeps what it has read of a message.
                message = incoming.message() => {
                    let Ok(Some(request)) = message else { return };
                    self.hear(&request);
                }
            }
        }
    }

    fn hear(&mut self, request: &DeltaDiscoveryRequest) {
        match self.subscription.hear(request) {
            Heard::Nothing | Heard::Ack => {}
            Heard::Nack { type_url, text } => {
                tracing::warn!(class = %self.class, type_url, text, "configuration refused by a proxy");
            }
            Heard::UnknownType => {
                tracing::warn!(class = %self.class, type_url = request.type_url, "unknown type");
            }
        }
    }

    /// Sends what the client lacks.
    async fn speak(&mut self, world: &World) -> Result<(), Status> {
        let verdict = self.server.identify(world, &self.selectors)?;
        if verdict.id != self.class {
            return Err(Status::aborted("the fleet gave this process another identity"));
        }
        let digester = self.server.keys.digester.as_ref();
        let Some(offer) = world.offer(&self.class, digester) else {
            return Err(Status::permission_denied("the fleet has no such class"));
        };
        loop {
            let slot = tokio::time::timeout(TAKE_WITHIN, self.outgoing.reserve()).await;
            let Ok(Ok(slot)) = slot else {
                return Err(Status::deadline_exceeded("the client takes no messages"));
            };
            let Some(response) = self.subscription.speak(&offer) else { return Ok(()) };
            slot.send(Ok(response));
        }
    }
}
