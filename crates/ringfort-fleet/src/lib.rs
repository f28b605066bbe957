//! The fleet file: bytes become problems with places, or one snapshot per identity class.
//!
//! Decides what a fleet folder means and refuses, with the exact edit, whatever it cannot mean or enforce. It fails
//! closed: an unknown field, an unresolved name or an unlisted policy file is an error, never a warning. It does
//! **not** read files, know the time, or apply anything.
//!
//! The way of a fleet: [`load`] = YAML -> the language's table -> typed values -> checks; [`Fleet::compile`] =
//! snapshots, rules of issuance, plan of the hosts.

pub mod plan;
pub mod render;

mod check;
mod code;
mod compile;
mod decode;
mod document;
mod fleet;
mod folder;
mod language;
mod problem;
mod reference;
mod scalar;
mod schema;
mod source;
mod structure;
mod suggest;
mod view;
mod yaml;

pub use code::{CodeText, code, codes};
pub use compile::Compiled;
pub use fleet::Fleet;
pub use folder::{FILE_BYTES_MAX, FILES_MAX, Loaded, load};
pub use plan::HostPlan;
pub use problem::{Problem, Severity};
pub use reference::config_reference_markdown;
pub use schema::json_schema;
pub use source::{FleetFile, Spot};

#[cfg(test)]
mod tests;
