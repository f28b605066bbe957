//! The way to the server: one connection of its own per local connection, with the attested facts on every call.

use std::{path::Path, time::Duration};

use prost::Message as _;
use ringfort_model::Selectors;
use ringfort_wire::{resource::SELECTORS_METADATA, v1};
use tonic::{
    Code, Request, Status,
    metadata::{BinaryMetadataValue, MetadataMap},
    transport::{Channel, Endpoint},
};

/// Longest wait for a connection; the socket is on this host.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const PING_EVERY: Duration = Duration::from_secs(15);
const PONG_WITHIN: Duration = Duration::from_secs(15);

/// A connection to the server's socket for one attested caller. It is made with the first call and made again with
/// the next one after it broke.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) channel: Channel,
    facts: BinaryMetadataValue,
}

impl Upstream {
    /// For calls on behalf of the process with these facts. `None` when the path of the socket is no text.
    pub(crate) fn new(server_socket: &Path, facts: &Selectors) -> Option<Self> {
        let endpoint = Endpoint::from_shared(format!("unix://{}", server_socket.to_str()?)).ok()?;
        let channel = endpoint
            .connect_timeout(CONNECT_WITHIN)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PONG_WITHIN)
            .keep_alive_while_idle(true)
            .connect_lazy();
        let facts = v1::Selectors::from(facts).encode_to_vec();
        Some(Self { channel, facts: BinaryMetadataValue::from_bytes(&facts) })
    }

    /// A request with the attested facts and no other metadata but the caller's deadline.
    pub(crate) fn request<T>(&self, message: T, from: Option<&MetadataMap>) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        if let Some(deadline) = from.and_then(|from| from.get("grpc-timeout")) {
            metadata.insert("grpc-timeout", deadline.clone());
        }
        metadata.insert_bin(SELECTORS_METADATA, self.facts.clone());
        request
    }
}

/// The status a caller sees: a broken or missing connection to the server is `Unavailable`, so that it tries again.
pub(crate) fn seen(status: Status) -> Status {
    let from_transport = std::error::Error::source(&status).is_some();
    if from_transport && matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled) {
        return away();
    }
    match status.code() {
        Code::Unavailable if from_transport => away(),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => status,
    }
}

fn away() -> Status {
    Status::unavailable("the server of this fleet does not answer")
}
