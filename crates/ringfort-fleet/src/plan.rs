//! What one host runs of a fleet: programs, sidecars and gateways, as data for the supervisor.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use ringfort_model::Name;

/// Everything hosts run. A host takes the entries whose `runs_on` is `None` or names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPlan {
    /// The services that have a program of their own, by name.
    pub services: BTreeMap<Name, PlannedService>,
    /// The gateways by name.
    pub gateways: BTreeMap<Name, PlannedGateway>,
    /// Where each agent serves the metrics of its host's proxies.
    pub metrics_bind: SocketAddr,
}

/// One service on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedService {
    /// How its program is started; `None`: a running one is used.
    pub run: Option<RunPlan>,
    /// The Unix user its program runs as, when the fleet file names one by `workload: { unix_user }`.
    pub unix_user: Option<String>,
    /// The Unix group its program runs as, when the fleet file names one.
    pub unix_group: Option<String>,
    /// Whether it needs a sidecar: it can be called, or it calls.
    pub needs_sidecar: bool,
    /// Hosts it may run on; `None` means every enrolled host.
    pub runs_on: Option<BTreeSet<Name>>,
}

/// How a program is started; no shell is involved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPlan {
    /// Program and arguments; never empty.
    pub command: Vec<String>,
    /// Environment variables, beside what the supervisor sets.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub dir: Option<String>,
}

/// One gateway on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedGateway {
    /// The Unix user it runs as, when the fleet file names one.
    pub unix_user: Option<String>,
    /// The Unix group it runs as, when the fleet file names one.
    pub unix_group: Option<String>,
    /// Hosts it may run on; `None` means every enrolled host.
    pub runs_on: Option<BTreeSet<Name>>,
}

impl HostPlan {
    /// The part of the plan that belongs to one host.
    #[must_use]
    pub fn of_host(&self, host: &Name) -> Self {
        let here = |runs_on: &Option<BTreeSet<Name>>| {
            runs_on.as_ref().is_none_or(|hosts| hosts.contains(host))
        };
        let mut part = self.clone();
        part.services.retain(|_, service| here(&service.runs_on));
        part.gateways.retain(|_, gateway| here(&gateway.runs_on));
        part
    }
}
