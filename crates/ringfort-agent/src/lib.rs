//! The host shell: attests workloads, hands out identities, relays the control link, runs processes.
//!
//! Decides which local process is which (from facts of the kernel alone), how long processes run and in which order,
//! and how much one user may ask of the agent. Does **not** decide identities (the server does, from the facts
//! attested here), does not read configuration, and never sees the key of a proxy.
//!
//! # Invariants
//! - What a peer says about itself is never forwarded as a fact: the metadata of facts is written here alone.
//! - Who cannot be attested gets `PermissionDenied`, whatever it asks.
//! - Every stream, connection, message and queue has a limit.

pub mod agent;
pub mod attest;
pub mod children;
pub mod supervise;

mod admin;
mod authority;
mod door;
mod metrics;
mod quota;
mod relay;
mod upstream;
mod workload_api;

pub use agent::{Agent, AgentOptions, StartAgentError};
pub use attest::Attestor;
pub use children::Children;
pub use door::OpenSocketError;
pub use supervise::Supervisor;

/// An error and its causes in one line, for logs and for people.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
