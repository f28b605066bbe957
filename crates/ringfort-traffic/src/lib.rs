//! Where and when: which route a request takes, which instance answers it, and whether there is room for it.
//!
//! Decides from arguments alone: the routes and endpoints of a snapshot, a random number, the requests in flight.
//! Does **not** open connections, read a clock, draw randomness, or decide who may ask: that is policy.
//!
//! Invariants: no decision has a default; what a decision costs does not depend on how many routes there are; what
//! was counted in is counted out.

pub mod admission;
pub mod balance;
pub mod router;

pub use admission::{Admission, Concurrency, Permit};
pub use balance::Balancer;
pub use router::{RouteMiss, Routed, Router};
