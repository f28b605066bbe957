//! A checked fleet becomes one snapshot per identity class, the rules of issuance and the plan of its hosts.
//!
//! Each class is told what it may call or must enforce, and nothing else. Whatever this build cannot enforce is
//! compiled shut: a listener without its client CA is left out, a route that needs a user has no policy slice entry
//! and so permits nobody.

mod policies;

use std::{collections::BTreeMap, sync::Arc};

use ringfort_model::{
    Limits, Name, Operation, Revision, Snapshot, SpiffeId,
    selectors::{IssueRule, IssueRules},
    snapshot::{self, Caller, ListenerTls, LocalService, Peer, Role, RouteAction, Sidecar},
    spiffe::WorkloadKind,
};

use crate::{
    document::{Document, Gateway, Listener, Route, Service, Target, Tls},
    fleet::Fleet,
    plan::{HostPlan, PlannedGateway, PlannedService, RunPlan},
    source::Sources,
};

/// What one fleet means at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// One snapshot per class.
    pub snapshots: BTreeMap<SpiffeId, Snapshot>,
    /// Who may become whom.
    pub issue_rules: IssueRules,
    /// What hosts run.
    pub host_plan: HostPlan,
}

/// The parts of a fleet that compilation reads.
pub(crate) struct Compiler<'f> {
    document: &'f Document,
    sources: &'f Sources,
    chains: &'f BTreeMap<String, String>,
    graph: Graph<'f>,
    policies: policies::Slices<'f>,
    revision: Revision,
}

/// Who calls whom: `calls` and routes together.
pub(crate) struct Graph<'f> {
    /// Callee to its callers, with the operations an edge is limited to.
    callers: BTreeMap<&'f Name, BTreeMap<&'f Name, Option<Vec<Operation>>>>,
    /// Gateway to the services its routes lead to.
    targets: BTreeMap<&'f Name, Vec<&'f Name>>,
}

impl<'f> Graph<'f> {
    fn new(document: &'f Document) -> Self {
        let mut graph = Self { callers: BTreeMap::new(), targets: BTreeMap::new() };
        for (caller, service) in &document.services {
            for call in &service.calls {
                let only =
                    call.only.as_ref().map(|list| list.iter().map(|(op, _)| op.clone()).collect());
                graph.callers.entry(&call.to).or_default().insert(caller, only);
            }
        }
        for (gateway, targets) in document.targets() {
            for target in targets.keys() {
                graph.callers.entry(target).or_default().insert(gateway, None);
            }
            graph.targets.insert(gateway, targets.into_keys().collect());
        }
        graph
    }
}

impl Fleet {
    /// Compiles the fleet: one snapshot per class, the rules of issuance and the plan of its hosts.
    ///
    /// Says nothing about demands of rings that are not built; ask [`Fleet::unbuilt_demands`] first.
    #[must_use]
    pub fn compile(&self, revision: Revision) -> Compiled {
        let graph = Graph::new(&self.document);
        let compiler = Compiler {
            document: &self.document,
            sources: &self.sources,
            chains: &self.chains,
            policies: policies::Slices::new(self),
            graph,
            revision,
        };
        let snapshots = compiler.snapshots();
        Compiled {
            snapshots: snapshots.into_iter().map(|s| (s.class.clone(), s)).collect(),
            issue_rules: compiler.issue_rules(),
            host_plan: compiler.host_plan(),
        }
    }
}

impl Compiler<'_> {
    fn snapshots(&self) -> Vec<Snapshot> {
        let services = self.own_services().map(|(name, service)| self.service(name, service));
        let gateways =
            self.document.gateways.iter().map(|(name, gateway)| self.gateway(name, gateway));
        services.chain(gateways).collect()
    }

    /// The services with a program of their own.
    fn own_services(&self) -> impl Iterator<Item = (&Name, &Service)> {
        self.document.services.iter().filter(|(_, service)| !service.is_builtin)
    }

    fn id(&self, kind: WorkloadKind, name: &Name) -> SpiffeId {
        SpiffeId::of(&self.document.trust_domain, kind, name)
    }

    fn id_of_caller(&self, name: &Name) -> SpiffeId {
        let is_gateway = self.document.gateways.contains_key(name);
        self.id(if is_gateway { WorkloadKind::Gateway } else { WorkloadKind::Service }, name)
    }

    fn service(&self, name: &Name, service: &Service) -> Snapshot {
        let callers = self.graph.callers.get(name).into_iter().flatten();
        let callers = callers.map(|(caller, operations)| {
            let id = self.id_of_caller(caller);
            ((*caller).clone(), Caller { id, operations: operations.clone() })
        });
        let ports = service.calls.iter();
        let sidecar = Sidecar {
            local: self.local(service),
            callers: callers.collect(),
            outbound: ports.filter_map(|call| Some((call.to.clone(), call.port?.0))).collect(),
            http_proxy: service.proxy_port.map(|(port, _)| port),
        };
        let callees = service.calls.iter().map(|call| &call.to);
        Snapshot {
            revision: self.revision,
            class: self.id(WorkloadKind::Service, name),
            trust_domain: self.document.trust_domain.clone(),
            workload: name.clone(),
            role: Role::Sidecar(sidecar),
            peers: self.peers(callees),
            policies: self.policies.of_service(name, self.graph.callers.get(name)),
            certificates: service.certificates,
            access_log_2xx: self.document.access_log_2xx,
        }
    }

    fn local(&self, service: &Service) -> Option<LocalService> {
        let listen = service.listen?;
        let only_static = match service.static_endpoints.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        Some(LocalService {
            address: listen.address,
            protocol: listen.protocol,
            normalization: service.normalization,
            limits: service.limits.over(Limits::STANDARD),
            resilience: service.resilience,
            bind: service.bind.map(|(address, _)| address).or(only_static),
        })
    }

    fn peers<'n>(&self, names: impl Iterator<Item = &'n Name>) -> BTreeMap<Name, Arc<Peer>> {
        names.filter_map(|name| Some((name.clone(), Arc::new(self.peer(name)?)))).collect()
    }

    /// A service as its callers see it; `None` when it does not listen.
    fn peer(&self, name: &Name) -> Option<Peer> {
        let service = self.document.services.get(name)?;
        let listen = service.listen?;
        Some(Peer {
            name: name.clone(),
            id: self.id(WorkloadKind::Service, name),
            protocol: listen.protocol,
            normalization: service.normalization,
            resilience: service.resilience,
            limits: service.limits.over(Limits::STANDARD),
            subsets: service.subsets.clone(),
            static_endpoints: service.static_endpoints.clone(),
        })
    }

    fn gateway(&self, name: &Name, gateway: &Gateway) -> Snapshot {
        let routes: Vec<(&Name, &Route)> = self.document.routes_of(name).collect();
        let limits = gateway.limits.over(Limits::STANDARD);
        let targets = self.graph.targets.get(name).into_iter().flatten().copied();
        let role = snapshot::Gateway {
            listeners: gateway.listeners.iter().filter_map(|l| self.listener(l, limits)).collect(),
            routes: routes.iter().map(|(name, route)| self.route(name, route, limits)).collect(),
            trusted_proxies: gateway.trusted_proxies.clone(),
        };
        Snapshot {
            revision: self.revision,
            class: self.id(WorkloadKind::Gateway, name),
            trust_domain: self.document.trust_domain.clone(),
            workload: name.clone(),
            role: Role::Gateway(role),
            peers: self.peers(targets),
            policies: self.policies.of_gateway(name, &routes),
            certificates: self.document.certificates,
            access_log_2xx: self.document.access_log_2xx,
        }
    }

    /// A socket; `None` when this build could only serve it with less protection than written.
    fn listener(&self, listener: &Listener, limits: Limits) -> Option<snapshot::Listener> {
        if listener.has_client_ca {
            return None;
        }
        let tls = match &listener.tls {
            Tls::None => None,
            Tls::Acme => return None,
            Tls::Built(ListenerTls::Files { chain, key, min }) => {
                let chain = self.chains.get(chain)?.clone();
                Some(ListenerTls::Files { chain, key: key.clone(), min: *min })
            }
            Tls::Built(internal @ ListenerTls::Internal { .. }) => Some(internal.clone()),
        };
        Some(snapshot::Listener {
            bind: listener.bind,
            hosts: listener.hosts.iter().map(|(host, _)| host.clone()).collect(),
            tls,
            redirect_to_https: listener.redirect_to_https,
            limits,
        })
    }

    fn route(&self, name: &Name, route: &Route, gateway: Limits) -> Arc<snapshot::Route> {
        let (action, service) = match &route.target {
            Target::Service { name, rewrite, .. } => {
                let action = RouteAction::To { peer: name.clone(), rewrite: rewrite.clone() };
                (action, self.document.services.get(name))
            }
            Target::Redirect { to, status } => {
                (RouteAction::Redirect { to: to.clone(), status: *status }, None)
            }
        };
        let limits = route.limits.over(gateway);
        Arc::new(snapshot::Route {
            name: name.clone(),
            matches: route.matches.iter().map(|condition| condition.rule.clone()).collect(),
            action,
            limits: service.map_or(limits, |service| service.limits.over(limits)),
            timeout: route.timeout,
            upgrade: route.upgrade,
            headers: route.headers.clone(),
            cors_origins: route.cors_origins.clone(),
            place: self.sources.place(route.span),
        })
    }

    fn issue_rules(&self) -> IssueRules {
        let services = self.own_services().map(|(name, service)| {
            let rule = IssueRule {
                kind: WorkloadKind::Service,
                id: self.id(WorkloadKind::Service, name),
                selectors: service.workload.selectors.clone(),
                certificates: service.certificates,
                runs_on: service.runs_on.clone(),
            };
            (name.clone(), rule)
        });
        let gateways = self.document.gateways.iter().map(|(name, gateway)| {
            let rule = IssueRule {
                kind: WorkloadKind::Gateway,
                id: self.id(WorkloadKind::Gateway, name),
                selectors: gateway.workload.selectors.clone(),
                certificates: self.document.certificates,
                runs_on: gateway.runs_on.clone(),
            };
            (name.clone(), rule)
        });
        IssueRules {
            trust_domain: self.document.trust_domain.clone(),
            workloads: services.chain(gateways).collect(),
        }
    }

    fn host_plan(&self) -> HostPlan {
        let services = self.own_services().map(|(name, service)| {
            let run = service.run.as_ref().map(|run| RunPlan {
                command: run.command.clone(),
                env: run.env.clone(),
                dir: run.dir.clone(),
            });
            let written = service.workload.span != service.span;
            let selectors = Some(&service.workload.selectors).filter(|_| written);
            let planned = PlannedService {
                run,
                unix_user: selectors.and_then(|selectors| selectors.unix_user.clone()),
                unix_group: selectors.and_then(|selectors| selectors.unix_group.clone()),
                needs_sidecar: service.listen.is_some() || !service.calls.is_empty(),
                runs_on: service.runs_on.clone(),
            };
            (name.clone(), planned)
        });
        let gateways = self.document.gateways.iter().map(|(name, gateway)| {
            let written = gateway.workload.span != gateway.span;
            let selectors = Some(&gateway.workload.selectors).filter(|_| written);
            let planned = PlannedGateway {
                unix_user: selectors.and_then(|selectors| selectors.unix_user.clone()),
                unix_group: selectors.and_then(|selectors| selectors.unix_group.clone()),
                runs_on: gateway.runs_on.clone(),
            };
            (name.clone(), planned)
        });
        HostPlan {
            services: services.collect(),
            gateways: gateways.collect(),
            metrics_bind: self.document.metrics_bind,
        }
    }
}

#[cfg(test)]
mod tests;
