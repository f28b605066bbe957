//! The wire types of the control link and their conversion to model types.
//!
//! Decides what bytes mean: `ringfort.v1` resources, delta ADS and the SPIFFE Workload API as generated code,
//! `TryFrom` conversions to and from the model, the assembly of resources into a snapshot, and its form on disk.
//! Does **not** do IO, verify signatures (that is an argument) or decide who may have what.

pub mod assemble;
pub mod convert;
pub mod disk;
mod generated;
pub mod resource;

pub use generated::{discovery, protobuf, rpc, v1, workload};
