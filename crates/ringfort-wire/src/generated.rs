//! Code written by `tools/protogen` from `proto/*.proto`, and the test that it is fresh.

pub mod discovery;
pub mod protobuf;
pub mod rpc;
pub mod v1;
pub mod workload;

#[cfg(test)]
mod tests;
