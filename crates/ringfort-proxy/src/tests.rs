//! The data plane against real sockets: hand-built snapshots, a test authority, programs and callers on loopback.

mod caller;
mod hardening;
mod link;
mod mesh;
mod program;
mod routing;
mod streams;
mod swaps;
mod world;
