//! The vocabulary of Ringfort: what every other crate means by its words.
//!
//! Decides what a valid name, identity, path, limit or snapshot is, once, by parsing. Does **not** do IO, read a
//! clock, draw randomness, or name any library of cryptography, HTTP or policy.
//!
//! # Glossary
//! - **fleet**: all services, gateways and routes described by one folder of files.
//! - **workload**: a process with an identity: a service's program, its sidecar, or a gateway.
//! - **service**: a workload others may call. **gateway**: where requests enter the fleet.
//! - **class**: all workloads that share one SPIFFE ID; what a snapshot is compiled for.
//! - **peer**: a service seen from a workload that may call it. **caller**: a workload seen from the callee.
//! - **endpoint**: one address at which a service's sidecar accepts mTLS.
//! - **ring**: one wall a request passes; see [`Ring`]. **refusal**: a ring's "no": ring, reason, decision id.
//! - **revision**: the gap-free number of one applied state of the fleet. **digest**: SHA-256 over canonical bytes.
//! - **snapshot**: everything one class needs to serve, at one revision.
//! - **SVID**: the X.509 certificate and key that prove a workload's identity. **bundle**: the roots that verify it.

pub mod canonical;
pub mod digest;
pub mod headers;
pub mod limits;
pub mod name;
pub mod operation;
pub mod path;
pub mod quantity;
pub mod random;
pub mod refusal;
pub mod revision;
pub mod ring;
pub mod secret;
pub mod selectors;
pub mod snapshot;
pub mod spiffe;
pub mod time;

pub use canonical::{
    CanonicalRequest, CanonicaliseError, HostField, HttpVersion, Normalization, RawRequest,
};
pub use digest::{ConfigVerifier, ContentDigester, Digest, Digester, VerifyConfigError};
pub use limits::{Limits, Resilience};
pub use name::{Label, Name, ParseNameError};
pub use operation::Operation;
pub use path::{ParsePathError, PathPattern};
pub use quantity::{ByteCount, Percent};
pub use random::SecureRandom;
pub use refusal::{DecisionId, Refusal};
pub use revision::Revision;
pub use ring::Ring;
pub use secret::Secret;
pub use selectors::Selectors;
pub use snapshot::Snapshot;
pub use spiffe::{ParseSpiffeError, SpiffeId, TrustDomain};
pub use time::{WallClock, WallTime};
