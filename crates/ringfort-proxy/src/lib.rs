//! The data plane: gateway and sidecar, one code path.
//!
//! Decides nothing itself: it asks the pure crates ring by ring, acts on their answers, and records them. Owns sockets,
//! TLS streams, HTTP, connection pools and the request path ([`request`]). Does **not** read fleet files or the
//! environment, choose policies, or name a library of cryptography.
//!
//! # Invariants
//! - No verdict means refusal; with no snapshot at all there is no open socket.
//! - One state is in force on all data threads; it is replaced whole or not at all.
//! - A request is judged by the state that was in force when it arrived, once.
//! - The data path takes no lock and crosses no thread.

mod admin;
mod answer;
mod authorize;
mod body;
mod connection;
mod credentials;
mod exchange;
mod explain;
mod files;
mod head;
mod identity;
mod keeper;
mod link;
mod listeners;
mod live;
mod plane;
mod request;
mod route;
mod run;
mod socket;
mod tcp;
mod thread;
mod upgrade;
mod upstream;
mod witness;

pub use credentials::Credentials;
pub use listeners::ListenError;
pub use live::{BuildLiveError, LiveParts};
pub use plane::{ApplyError, DataPlane, LogTarget, PlaneOptions, PlaneView, Socket};
pub use run::{ProxyOptions, RunProxyError, run};
pub use witness::{
    LogSink,
    decisions::{DecidedBy, DecidedRequest, Decision, Step},
};

#[cfg(test)]
mod tests;
