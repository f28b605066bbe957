//! The control plane: takes a fleet, issues identities, distributes configuration, answers operators.
//!
//! Decides when a revision is in force and for whom; who becomes whom is [`issue::decide`], what a fleet means is
//! `ringfort-fleet`, what is remembered is `ringfort-store`. Does **not** see traffic: proxies go on without it.
//!
//! # Invariants
//! - Every class is compiled before a revision exists; a fleet with one fault changes nothing.
//! - A stream's class is that of its attested process, never what a request says.
//! - A certificate is recorded before it leaves.

pub mod issue;

mod admin;
mod ads;
mod apply;
mod authority;
mod explain;
mod link;
mod manifest;
mod peer;
mod registry;
mod run;
mod server;
mod status;
mod subscription;
mod world;

pub use authority::{KeepKeysError, SealingKeyError};
pub use explain::{ExplainRequestError, explain_files};
pub use run::{RunServerError, ServerOptions, run};

#[cfg(test)]
mod tests;
