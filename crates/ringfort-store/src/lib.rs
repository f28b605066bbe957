//! The only SQL: what a control plane must remember, behind domain verbs.
//!
//! Decides how state survives: one gap-free, hash-chained revision per apply, each verb one transaction, so that after
//! `kill -9` a revision exists whole or not at all. Does **not** know what the files mean, make or open secrets (it is
//! handed sealed bytes), compute digests (a [`ringfort_model::Digester`] is handed in) or read a clock.
//!
//! One backend today: SQLite, one writer, one server per file. All SQL stands in `sql.rs`; a second backend gets a
//! second such module behind the same verbs.

mod counter;
mod instance;
mod issuance;
mod number;
mod open;
mod query;
mod revision;
mod secret;
mod sql;

pub use counter::Counter;
pub use instance::Instance;
pub use issuance::{Issuance, IssuancePurpose};
pub use open::{OpenStoreError, Store};
pub use query::QueryStoreError;
pub use revision::{
    Apply, ApplyRevisionError, BODIES_KEPT, Chain, ClassState, ExportRevisionError, Files,
    HISTORY_MAX, Head, RevisionRecord, files_digest,
};

#[cfg(test)]
mod tests;
