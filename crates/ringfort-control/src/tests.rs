//! A whole control plane on a temporary socket, asked as agents, proxies and operators ask it.

mod apply;
mod distribution;
mod fixture;
mod identity;
mod instances;
