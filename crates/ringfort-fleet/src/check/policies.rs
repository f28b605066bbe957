//! Written policies: `ringfort-policy` judges them; this module says what they may name and which permit does nothing.

use std::collections::{BTreeMap, BTreeSet};

use ringfort_model::{Label, Name, snapshot::PolicySource};
use ringfort_policy::{
    NamedEdge, NamedRoute, NamedService, PolicyFile, PolicyProblem, ProblemKind, SchemaNames,
    Scope, Span as PolicySpan,
};

use super::Checker;
use crate::{
    document::{Document, Target, User},
    fleet::WrittenPolicy,
    problem::{Problem, Severity},
    source::{Sources, Span, narrow},
    yaml::Node,
};

/// The policies of a fleet.
#[derive(Debug)]
pub(crate) struct Policies {
    pub(crate) written: Vec<WrittenPolicy>,
    pub(crate) names: SchemaNames,
}

impl Checker<'_, '_> {
    pub(super) fn policies(&mut self) -> Policies {
        let names = self.schema_names();
        let sources = self.problems.sources();
        let paths = self.section(&["policies"]).map_or(&[][..], Node::items).iter();
        let listed: BTreeSet<&str> = paths.filter_map(Node::text).collect();
        let mut files = Vec::new();
        for path in listed {
            if let Some(file) = self.folder.policies.get(path) {
                files.push(PolicyFile {
                    path: path.to_owned(),
                    text: sources.text(*file).to_string(),
                });
            } else if self.folder.files.contains_key(path) {
                let mut problem = Problem::new("RF0018", format!("`{path}` is no policy file"));
                problem.help = Some("policy files end in `.cedar`".to_owned());
                self.problems.push(problem);
            }
        }
        for problem in ringfort_policy::check(&names, &files) {
            if self.is_complete || is_local(problem.kind) {
                let problem = self.problem(problem);
                self.problems.push(problem);
            }
        }
        let mut written = Vec::new();
        for source in files.iter().filter_map(|file| ringfort_policy::split(file).ok()).flatten() {
            if let Ok(scope) = Scope::of(&source) {
                written.push(WrittenPolicy { source, scope });
            }
        }
        if self.is_complete {
            for policy in &written {
                self.effect(policy, &names);
            }
        }
        Policies { written, names }
    }

    /// A permit all of whose calls are permitted by their own lines does nothing: somebody meant `policy: required`.
    fn effect(&mut self, policy: &WrittenPolicy, names: &SchemaNames) {
        let scope = &policy.scope;
        if scope.forbids() || scope.covers_fleet() {
            return;
        }
        let document = self.document;
        let edges = names.edges.keys().filter(|(caller, callee)| {
            let caller = (caller, labels(names, caller));
            scope.covers_call(caller, (callee, labels(names, callee)))
        });
        let routes = names.routes.iter().filter(|(name, route)| {
            if route.has_user { scope.covers_invoke(name) } else { scope.covers_visit(name) }
        });
        let mut permitted: Vec<Span> = Vec::new();
        for (caller, callee) in edges {
            let service = document.services.get(caller);
            let call = service.and_then(|service| service.calls.iter().find(|c| c.to == *callee));
            match call {
                Some(call) if call.policy_required || call.only.is_some() => return,
                Some(call) => permitted.push(call.span),
                None => permitted.extend(document.services.get(callee).map(|service| service.span)),
            }
        }
        for (name, route) in routes {
            if route.required.is_some() {
                return;
            }
            permitted.extend(document.routes.get(name).map(|route| route.span));
        }
        let Some(first) = permitted.first() else { return };
        let PolicySource { id, text, place, .. } = &policy.source;
        let message =
            format!("permit `{id}` has no effect: what it permits is permitted by its own line");
        let help = "write `policy: required` there, or remove the permit";
        let span = self.policy_span(&place.file, place.line, text);
        let problem = self.problems.error("RF0615", span, message);
        problem.second(*first, "permitted here").help(help).done();
    }

    /// The first line of a policy that begins on a line of a file.
    fn policy_span(&self, file: &str, line: u32, text: &str) -> Span {
        let file = self.folder.policies.get(file).copied().unwrap_or(0);
        let start = self.problems.sources().line_start(file, line);
        let first_line = text.split('\n').next().unwrap_or_default();
        Span { file, start, end: start.saturating_add(narrow(first_line.len())) }
    }

    fn schema_names(&self) -> SchemaNames {
        let document = self.document;
        let identity = |section: &str| -> BTreeSet<Name> {
            let entries = self.section(&["identity", section]).map_or(&[][..], Node::entries);
            entries.iter().filter_map(|entry| entry.key.parse().ok()).collect()
        };
        let mut names = SchemaNames {
            labels: BTreeSet::new(),
            groups: identity("groups"),
            clients: identity("clients"),
            gateways: BTreeMap::new(),
            services: BTreeMap::new(),
            routes: BTreeMap::new(),
            edges: BTreeMap::new(),
        };
        for (name, gateway) in &document.gateways {
            names.labels.extend(gateway.labels.iter().cloned());
            names.gateways.insert(name.clone(), gateway.labels.clone());
        }
        for (name, service) in &document.services {
            names.labels.extend(service.labels.iter().cloned());
            let (protocol, labels) = (service.protocol(), service.labels.clone());
            names.services.insert(name.clone(), NamedService { protocol, labels });
        }
        self.edges(document, &mut names);
        names
    }

    fn edges(&self, document: &Document, names: &mut SchemaNames) {
        let sources = self.problems.sources();
        for (caller, service) in &document.services {
            for call in &service.calls {
                let required = call.policy_required.then(|| policy_span(sources, call.span));
                names.edges.insert((caller.clone(), call.to.clone()), NamedEdge { required });
            }
        }
        for (name, route) in &document.routes {
            let Some((gateway, _)) = document.gateway_of(route) else { continue };
            let service = match &route.target {
                Target::Service { name, .. } => Some(name.clone()),
                Target::Redirect { .. } => None,
            };
            if let Some(service) = &service {
                let edge = NamedEdge { required: None };
                names.edges.insert((gateway.clone(), service.clone()), edge);
            }
            let required = route.policy_required.then(|| policy_span(sources, route.span));
            let has_user = !matches!(route.user, User::None);
            let named = NamedRoute { service, gateway: gateway.clone(), has_user, required };
            names.routes.insert(name.clone(), named);
        }
    }

    fn problem(&self, problem: PolicyProblem) -> Problem {
        let PolicyProblem { span, kind, message, help } = problem;
        let sources = self.problems.sources();
        let spot = sources.index(&span.file).map(|file| {
            let end = span.offset.saturating_add(span.len);
            sources.spot(Span { file, start: narrow(span.offset), end: narrow(end) })
        });
        Problem { code: kind.code(), severity: Severity::Error, message, spot, second: None, help }
    }
}

/// Whether a problem can be judged without knowing the whole graph.
const fn is_local(kind: ProblemKind) -> bool {
    match kind {
        ProblemKind::Syntax
        | ProblemKind::Id
        | ProblemKind::LoosePattern
        | ProblemKind::Unguarded => true,
        ProblemKind::UnknownName
        | ProblemKind::Unenforceable
        | ProblemKind::OutsideGraph
        | ProblemKind::NeverApplies
        | ProblemKind::RequiredWithoutPermit
        | ProblemKind::Invalid => false,
    }
}

fn labels<'n>(names: &'n SchemaNames, workload: &Name) -> &'n [Label] {
    let service = names.services.get(workload).map(|service| service.labels.as_slice());
    service.or_else(|| names.gateways.get(workload).map(Vec::as_slice)).unwrap_or_default()
}

fn policy_span(sources: &Sources, span: Span) -> PolicySpan {
    let spot = sources.spot(span);
    PolicySpan {
        file: spot.file.to_string(),
        line: spot.line,
        column: spot.column,
        offset: crate::source::wide(span.start),
        len: crate::source::wide(span.end.saturating_sub(span.start)),
    }
}
