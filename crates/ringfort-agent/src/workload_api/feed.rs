//! The identity of one foreign workload, kept fresh for as long as anyone listens.
//!
//! # Invariants
//! - Each certificate has a new key, and neither is told once the certificate has ended.
//! - A denial ends the feed; a server that is away ends it only when there is nothing valid left to tell.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use prost::Message as _;
use ringfort_identity::{KeyPair, SystemRandom};
use ringfort_model::{SecureRandom as _, SpiffeId, WallClock, WallTime};
use ringfort_wire::{
    discovery::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse,
        aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
    },
    resource::{MESSAGE_BYTES_MAX, TRUST, TRUST_NAME},
    v1::{SignRequest, SignResponse, Trust, link_client::LinkClient},
};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::upstream::{Upstream, seen};

/// Longest wait for one certificate.
const SIGN_WITHIN: Duration = Duration::from_secs(10);
/// Waits between tries while the server is away.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(5);
/// Longest sleep until the wall clock is looked at again: it may have been set.
const SLEEP_LONGEST: Duration = Duration::from_secs(30);
/// Workloads asked to renew at once spread over this time.
const RENEW_SPREAD_MS: u64 = 1000;

/// An identity a workload can use.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) id: SpiffeId,
    /// Leaf, then the issuing CA.
    pub(super) chain: Vec<bytes::Bytes>,
    pub(super) key: KeyPair,
    pub(super) trust: Trust,
    pub(super) not_after: WallTime,
    renew_at: WallTime,
}

/// What listeners see: nothing yet, an identity, or why there is none. After an error nothing follows.
pub(super) type News = Option<Result<Arc<Identity>, Status>>;

/// Keeps an identity fresh until nobody listens or there is none.
pub(super) struct Feed {
    pub(super) upstream: Upstream,
    pub(super) clock: Arc<dyn WallClock>,
}

/// What the stream of the trust bundle says, beside the certificate's own time.
#[derive(Debug, Default)]
struct Heard {
    /// The newest bundle.
    trust: Option<Trust>,
    /// How often the server said that the process has no identity, or another one, than it had.
    doubts: u64,
}

/// What ends a wait.
enum Wake {
    Renew,
    Trust(Trust),
    Nobody,
}

impl Feed {
    pub(super) async fn run(self, news: Arc<watch::Sender<News>>) {
        let end = tokio::select! {
            end = self.feed(&news) => end,
            // Losing the feed closes its streams to the server, which is meant.
            () = news.closed() => return,
        };
        if let Err(status) = end {
            news.send_replace(Some(Err(status)));
        }
    }

    /// Ends with the status listeners get last, or because nobody listens.
    async fn feed(&self, news: &watch::Sender<News>) -> Result<(), Status> {
        let mut current = self.sign().await.map_err(told)?;
        let (heard, mut newest) = watch::channel(Heard::default());
        let mut follow = std::pin::pin!(self.follow_trust(heard));
        let mut doubts = 0;
        loop {
            news.send_replace(Some(Ok(Arc::new(current.clone()))));
            let wake = tokio::select! {
                // Kept across turns; it ends only when `newest` is gone.
                () = &mut follow => Wake::Nobody,
                // Cancel-safe: both sides look at values, nothing is taken out of a queue.
                wake = self.wake(&current, &mut newest, &mut doubts) => wake,
            };
            match wake {
                Wake::Nobody => return Ok(()),
                Wake::Trust(trust) => current.trust = trust,
                Wake::Renew => {
                    let renewed = tokio::select! {
                        () = &mut follow => return Ok(()),
                        renewed = self.renew(&current) => renewed?,
                    };
                    // What was just asked for is answered, even if the server signed with an older bundle.
                    let newest = newest.borrow().trust.clone().unwrap_or_default();
                    let trust = newer(newer(renewed.trust.clone(), &current.trust), &newest);
                    current = Identity { trust, ..renewed };
                }
            }
        }
    }

    /// Waits until the identity should be renewed, or its bundle changed.
    async fn wake(
        &self,
        current: &Identity,
        newest: &mut watch::Receiver<Heard>,
        doubts: &mut u64,
    ) -> Wake {
        loop {
            let (trust, heard_doubts) = {
                let heard = newest.borrow_and_update();
                (heard.trust.clone(), heard.doubts)
            };
            if heard_doubts != std::mem::replace(doubts, heard_doubts) {
                // Asking for a certificate settles it: a new identity, or none.
                return Wake::Renew;
            }
            if let Some(trust) = trust
                && age(&trust) > age(&current.trust)
            {
                if trust.renew_epoch > current.trust.renew_epoch {
                    sleep(Duration::from_millis(u64::from(draw()) % RENEW_SPREAD_MS)).await;
                    return Wake::Renew;
                }
                return Wake::Trust(trust);
            }
            let left = current.renew_at.since(self.clock.now());
            if left.is_zero() {
                return Wake::Renew;
            }
            tokio::select! {
                // Nothing is lost with a timer.
                () = sleep(left.min(SLEEP_LONGEST)) => {}
                // Cancel-safe: the value stays where it is.
                changed = newest.changed() => if changed.is_err() { return Wake::Nobody },
            }
        }
    }

    /// Signs again, patiently as long as the current certificate lasts.
    async fn renew(&self, current: &Identity) -> Result<Identity, Status> {
        let mut wait = RETRY_FIRST;
        loop {
            let left = current.not_after.since(self.clock.now());
            if left.is_zero() {
                return Err(Status::unavailable(
                    "the certificate ended before it could be renewed",
                ));
            }
            match timeout(left, self.sign()).await {
                Ok(Ok(renewed)) => return Ok(renewed),
                Ok(Err(status)) if is_denial(status.code()) => return Err(told(status)),
                Ok(Err(status)) => {
                    tracing::warn!(id = %current.id, reason = crate::reason(&status), "cannot renew");
                }
                Err(_elapsed) => {}
            }
            let left = current.not_after.since(self.clock.now());
            sleep(wait.min(left)).await;
            wait = wait.saturating_mul(2).min(RETRY_LONGEST);
        }
    }

    /// Makes a key and has it certified.
    async fn sign(&self) -> Result<Identity, Status> {
        let key = KeyPair::generate().map_err(internal)?;
        let csr_der = key.csr_der().map_err(internal)?.into();
        let mut link = LinkClient::new(self.upstream.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let request = self.upstream.request(SignRequest { csr_der, for_foreign: true }, None);
        let signed = timeout(SIGN_WITHIN, link.sign(request)).await;
        let signed = signed
            .map_err(|_elapsed| Status::unavailable("the server did not answer in time"))?
            .map_err(seen)?;
        self.identity(signed.into_inner(), key)
    }

    fn identity(&self, signed: SignResponse, key: KeyPair) -> Result<Identity, Status> {
        let id = signed.spiffe_id.parse().map_err(internal)?;
        let trust = signed.trust.filter(|trust| !trust.root_der.is_empty());
        let trust = trust.ok_or_else(|| Status::internal("the server sent no trust bundle"))?;
        let (not_before, not_after) = (time(signed.not_before_ms), time(signed.not_after_ms));
        if signed.chain_der.is_empty() || not_after <= self.clock.now() {
            return Err(Status::unavailable("the server sent no certificate that is valid now"));
        }
        let renew_at = jittered(not_before, time(signed.renew_at_ms));
        Ok(Identity { id, chain: signed.chain_der, key, trust, not_after, renew_at })
    }

    /// Follows the trust bundle on a stream of the workload's own class, for as long as anyone wants to know.
    async fn follow_trust(&self, heard: watch::Sender<Heard>) {
        let mut wait = RETRY_FIRST;
        while !heard.is_closed() {
            match self.follow_trust_once(&heard).await {
                Ok(()) => wait = RETRY_FIRST,
                Err(status) => {
                    tracing::debug!(reason = crate::reason(&status), "no trust stream");
                    if is_denial(status.code()) || status.code() == Code::Aborted {
                        heard.send_modify(|heard| heard.doubts = heard.doubts.saturating_add(1));
                    }
                }
            }
            sleep(wait).await;
            wait = wait.saturating_mul(2).min(RETRY_LONGEST);
        }
    }

    async fn follow_trust_once(&self, heard: &watch::Sender<Heard>) -> Result<(), Status> {
        let (acks, outgoing) = mpsc::channel(4);
        let subscribe = DeltaDiscoveryRequest {
            type_url: TRUST.to_owned(),
            resource_names_subscribe: vec![TRUST_NAME.to_owned()],
            ..DeltaDiscoveryRequest::default()
        };
        send(&acks, subscribe).await?;
        let mut client = AggregatedDiscoveryServiceClient::new(self.upstream.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let request = self.upstream.request(ReceiverStream::new(outgoing), None);
        let mut responses = client.delta_aggregated_resources(request).await?.into_inner();
        while let Some(response) = responses.next().await {
            let response = response?;
            let ack = DeltaDiscoveryRequest {
                type_url: TRUST.to_owned(),
                response_nonce: response.nonce.clone(),
                ..DeltaDiscoveryRequest::default()
            };
            if let Some(trust) = trust_in(response) {
                heard.send_modify(|heard| heard.trust = Some(trust));
            }
            send(&acks, ack).await?;
        }
        Ok(())
    }
}

async fn send(
    acks: &mpsc::Sender<DeltaDiscoveryRequest>,
    message: DeltaDiscoveryRequest,
) -> Result<(), Status> {
    let closed = |_closed| Status::unavailable("the stream to the server closed");
    acks.send(message).await.map_err(closed)
}

/// The trust bundle of a response; anything else in it is passed over.
fn trust_in(response: DeltaDiscoveryResponse) -> Option<Trust> {
    let resources = response.resources.into_iter();
    let mut trusts = resources.filter(|resource| resource.name == TRUST_NAME);
    let any = trusts.next()?.resource.filter(|any| any.type_url == TRUST)?;
    let trust = Trust::decode(any.value).ok()?;
    (!trust.root_der.is_empty()).then_some(trust)
}

fn newer(one: Trust, other: &Trust) -> Trust {
    if age(other) > age(&one) { other.clone() } else { one }
}

const fn age(trust: &Trust) -> (u64, u64) {
    (trust.sequence, trust.renew_epoch)
}

fn time(unix_ms: u64) -> WallTime {
    WallTime::from_unix(Duration::from_millis(unix_ms))
}

/// A time up to 10 % before the one the server named, so that workloads started together part ways.
fn jittered(not_before: WallTime, renew_at: WallTime) -> WallTime {
    let life = renew_at.since(not_before);
    let permille = draw() % 101;
    renew_at.minus(life.saturating_mul(permille).checked_div(1000).unwrap_or(Duration::ZERO))
}

fn draw() -> u32 {
    let mut drawn = [0; 4];
    SystemRandom.fill(&mut drawn);
    u32::from_be_bytes(drawn)
}

fn internal(error: impl std::error::Error) -> Status {
    Status::internal(error.to_string())
}

const fn is_denial(code: Code) -> bool {
    matches!(code, Code::PermissionDenied | Code::Unauthenticated | Code::NotFound)
}

/// What a workload is told: that it has no identity, or that it may try again. The reason stays in the log.
fn told(status: Status) -> Status {
    if is_denial(status.code()) {
        tracing::info!(reason = status.message(), "a workload has no identity");
        return Status::permission_denied("no identity is issued to this process");
    }
    tracing::warn!(reason = crate::reason(&status), "no identity now");
    Status::unavailable("no identity can be issued now")
}
