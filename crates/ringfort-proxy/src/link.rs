//! The control link: one connection to the agent's socket, kept up for ever, and what comes over it.
//!
//! The link only carries. What is asked and what is done with the answers is decided by [`crate::keeper`].

use std::{path::PathBuf, time::Duration};

use ringfort_identity::SystemRandom;
use ringfort_model::SecureRandom;
use ringfort_wire::{
    discovery::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse,
        aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
    },
    resource::MESSAGE_BYTES_MAX,
    v1::{self, link_client::LinkClient},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

/// Back-off between attempts, doubled each time, with jitter.
const BACK_OFF_MIN: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);

/// Bounds of one attempt and of one call.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const CALL_WITHIN: Duration = Duration::from_secs(10);

/// HTTP/2 liveness of the link.
const PING_EVERY: Duration = Duration::from_secs(15);
const PONG_WITHIN: Duration = Duration::from_secs(15);

/// Messages on their way in each direction.
const MESSAGES: usize = 16;

/// What happens on the link.
pub(crate) enum Event {
    /// It is up: say what is wanted.
    Up(Box<Up>),
    /// Configuration.
    Configuration(DeltaDiscoveryResponse),
    /// What the server knows of this instance.
    Registration(v1::ReportResponse),
    /// It is down, for this reason; it will be up again.
    Down(String),
}

/// A link that is up.
pub(crate) struct Up {
    pub(crate) calls: LinkClient<Channel>,
    /// Subscriptions and acknowledgements.
    pub(crate) ads: mpsc::Sender<DeltaDiscoveryRequest>,
    pub(crate) reports: mpsc::Sender<v1::ReportRequest>,
}

/// Keeps the link up until `stop`; ends when nobody takes events.
pub(crate) async fn keep_up(socket: PathBuf, events: mpsc::Sender<Event>, stop: CancellationToken) {
    let mut back_off = BACK_OFF_MIN;
    loop {
        let attempt = async {
            let was_up = match connect(&socket).await {
                Ok(link) => carry(link, &events).await,
                Err(status) => Err((false, status)),
            };
            let (was_up, reason) = match was_up {
                Ok(()) => return None,
                Err((was_up, status)) => (was_up, status.message().to_owned()),
            };
            events.send(Event::Down(reason)).await.ok().map(|()| was_up)
        };
        let was_up = tokio::select! {
            // Losing an attempt closes its connection.
            () = stop.cancelled() => return,
            attempted = attempt => match attempted {
                Some(was_up) => was_up,
                None => return,
            },
        };
        back_off = if was_up { BACK_OFF_MIN } else { back_off.saturating_mul(2).min(BACK_OFF_MAX) };
        tokio::select! {
            // Both only wait.
            () = stop.cancelled() => return,
            () = tokio::time::sleep(jittered(back_off)) => {}
        }
    }
}

/// Half to all of a pause.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let mut byte = [0_u8];
    SystemRandom.fill(&mut byte);
    let [byte] = byte;
    pause.mul_f64(0.5 + f64::from(byte) / 510.0)
}

struct Connected {
    up: Up,
    ads: Streaming<DeltaDiscoveryResponse>,
    reports: Streaming<v1::ReportResponse>,
}

async fn connect(socket: &std::path::Path) -> Result<Connected, Status> {
    let path = socket.to_str().ok_or_else(|| Status::internal("the socket's path is no text"))?;
    let endpoint = Endpoint::from_shared(format!("unix://{path}"))
        .map_err(|error| Status::internal(error.to_string()))?
        .connect_timeout(CONNECT_WITHIN)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN)
        .keep_alive_while_idle(true);
    let channel = tokio::time::timeout(CONNECT_WITHIN, endpoint.connect())
        .await
        .map_err(|_late| Status::unavailable("the agent does not answer"))?
        .map_err(|error| Status::unavailable(crate::upstream::with_cause(&error)))?;
    let calls = LinkClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let (ads, wanted) = mpsc::channel(MESSAGES);
    let (reports, told) = mpsc::channel(MESSAGES);
    let mut streams = calls.clone();
    let mut discovery =
        AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let opened = async {
        let ads = discovery.delta_aggregated_resources(ReceiverStream::new(wanted)).await?;
        let reports = streams.report(ReceiverStream::new(told)).await?;
        Ok::<_, Status>((ads.into_inner(), reports.into_inner()))
    };
    let (ads_in, reports_in) = tokio::time::timeout(CALL_WITHIN, opened)
        .await
        .map_err(|_late| Status::unavailable("the server does not answer"))??;
    Ok(Connected { up: Up { calls, ads, reports }, ads: ads_in, reports: reports_in })
}

/// Carries events until a stream ends; the error says that it was up, and why it is not any more. `Ok` when nobody
/// takes events.
async fn carry(link: Connected, events: &mpsc::Sender<Event>) -> Result<(), (bool, Status)> {
    let Connected { up, mut ads, mut reports } = link;
    if events.send(Event::Up(Box::new(up))).await.is_err() {
        return Ok(());
    }
    let ended = || (true, Status::unavailable("the server ended the stream"));
    loop {
        let event = tokio::select! {
            // Cancel-safe: the decoder keeps what it has read of a message.
            message = ads.message() => {
                Event::Configuration(message.map_err(|status| (true, status))?.ok_or_else(ended)?)
            }
            // Cancel-safe as above.
            message = reports.message() => {
                Event::Registration(message.map_err(|status| (true, status))?.ok_or_else(ended)?)
            }
        };
        if events.send(event).await.is_err() {
            return Ok(());
        }
    }
}

/// Bounds one call of the link.
pub(crate) async fn call<T>(
    answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    tokio::time::timeout(CALL_WITHIN, answer)
        .await
        .map_err(|_late| Status::deadline_exceeded("the server does not answer"))?
        .map(tonic::Response::into_inner)
}
