//! The built-in shop: its fleet file, its five small services, and the guided tour through its walls.
//!
//! The services are real programs: they keep orders, stock, charges and a ledger in memory and find each other only
//! through their own sidecars. Does **not** know anything of the product inside: a service sees plain HTTP or lines of
//! text on loopback, as any program behind a sidecar does. Reads no environment; the caller hands it in.

pub mod call;
pub mod fleet;
pub mod serve;
pub mod tour;

mod shop;

pub use call::{ReadUpstreamsError, Upstreams};
pub use fleet::{ShopPorts, fleet_files};
pub use serve::{ListenError, ParseProgramError, Program, ServeOptions, serve, serve_on};
