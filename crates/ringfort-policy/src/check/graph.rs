//! Policies against the graph: a permit acts only inside it, a demand must be enforceable where it acts.

use ringfort_model::{Label, Name, snapshot::Protocol};

use crate::{PolicyProblem, ProblemKind, SchemaNames, names::NamedService, scope::Party};

use super::{
    Subject,
    tree::{self, Mention},
};

/// A policy on bytes over TCP that asks for what only HTTP has.
pub(super) fn unenforceable(names: &SchemaNames, subject: &Subject<'_>) -> Option<PolicyProblem> {
    if !subject.scope.covers_action("call") {
        return None;
    }
    // Without a demand on the resource the policy speaks of every service that has requests.
    subject.scope.resource().entity()?;
    let mentions = tree::mentions(&subject.policy)?;
    let of = |owner: &str, wanted: &[&str]| {
        mentions.iter().find_map(|mention| match mention {
            Mention::Attribute { path, attribute, .. }
                if path.as_slice() == [owner] && wanted.contains(&attribute.as_str()) =>
            {
                Some(attribute.clone())
            }
            Mention::Attribute { .. }
            | Mention::Entity { .. }
            | Mention::Like { .. }
            | Mention::Compared { .. } => None,
        })
    };
    let attribute = of("context", &["http", "operation"])?;
    if of("resource", &["protocol"]).is_some() {
        return None;
    }
    let is_tcp = |(name, service): &(&Name, &NamedService)| {
        service.protocol == Some(Protocol::Tcp)
            && subject.scope.resource().admits(Party::service(name, &service.labels))
    };
    let (name, _) = names.services.iter().find(is_tcp)?;
    let message =
        format!("policy tests `context.{attribute}` on `{name}` (tcp): cannot be enforced");
    let is_exact = subject.scope.resource().entity().is_some_and(|entity| entity.kind == "Service");
    let help = (!is_exact)
        .then(|| "say `resource.protocol != \"tcp\" && ...` if bytes are not meant".to_owned());
    let entity = subject.scope.resource().entity()?;
    let span = subject.entity_span(&entity.kind, &entity.id);
    Some(subject.problem(span, ProblemKind::Unenforceable, message, help))
}

/// A permit for what is never asked.
pub(super) fn outside(names: &SchemaNames, subject: &Subject<'_>) -> Option<PolicyProblem> {
    let scope = &subject.scope;
    if scope.forbids() || scope.covers_fleet() || is_asked(names, subject) {
        return None;
    }
    let problem = |span, message: String, help| {
        Some(subject.problem(span, ProblemKind::OutsideGraph, message, help))
    };
    let route = scope.resource().entity().filter(|entity| entity.kind == "Route");
    if let Some(route) = route.filter(|route| names.routes.contains_key(route.id.as_str())) {
        let has_user = names.routes.get(route.id.as_str()).is_some_and(|route| route.has_user);
        let (user, action) =
            if has_user { ("who signs in", "invoke") } else { ("`user: none`", "visit") };
        let message = format!("permit on route `{}` ({user}) is never asked", route.id);
        let help = Some(format!("the action of this route is `{action}`"));
        return problem(subject.entity_span("Route", &route.id), message, help);
    }
    let caller = scope.principal().entity().filter(|entity| entity.kind == "Workload");
    let callee = scope.resource().entity().filter(|entity| entity.kind == "Service");
    if let Some((caller, callee)) = caller.zip(callee).filter(|_| scope.covers_action("call")) {
        let (from, to) = (&caller.id, &callee.id);
        let message = format!("permit `{from}` -> `{to}` is outside the graph and never asked");
        let help = if names.gateways.contains_key(from.as_str()) {
            format!("add a route of `{from}` to `{to}`")
        } else {
            format!("add `{to}` to `calls` of `{from}`")
        };
        return problem(subject.entity_span("Service", to), message, Some(help));
    }
    problem(subject.effect_span(), "permit is outside the graph and never asked".to_owned(), None)
}

/// Whether some edge or route of the fleet asks what the policy's head covers.
fn is_asked(names: &SchemaNames, subject: &Subject<'_>) -> bool {
    let scope = &subject.scope;
    names.edges.keys().any(|edge| covers_edge(names, subject, edge))
        || names.routes.iter().any(|(name, route)| {
            if route.has_user { scope.covers_invoke(name) } else { scope.covers_visit(name) }
        })
}

fn covers_edge(names: &SchemaNames, subject: &Subject<'_>, edge: &(Name, Name)) -> bool {
    let (caller, callee) = edge;
    let caller_labels = labels(names, caller);
    let callee_labels = labels(names, callee);
    subject.scope.covers_call((caller, caller_labels), (callee, callee_labels))
}

fn labels<'a>(names: &'a SchemaNames, workload: &Name) -> &'a [Label] {
    let service = names.services.get(workload).map(|service| service.labels.as_slice());
    let gateway = names.gateways.get(workload).map(Vec::as_slice);
    service.or(gateway).unwrap_or_default()
}

/// Lines with `policy: required` that no permit answers.
pub(super) fn required(names: &SchemaNames, subjects: &[Subject<'_>]) -> Vec<PolicyProblem> {
    let mut problems = Vec::new();
    let permits = || subjects.iter().filter(|subject| !subject.scope.forbids());
    for (edge, named) in &names.edges {
        let Some(span) = &named.required else { continue };
        if !permits().any(|subject| covers_edge(names, subject, edge)) {
            let (from, to) = edge;
            problems.push(unanswered(span, format!("`{from}` -> `{to}`")));
        }
    }
    for (name, route) in &names.routes {
        let Some(span) = &route.required else { continue };
        let answers = |subject: &Subject<'_>| {
            if route.has_user {
                subject.scope.covers_invoke(name)
            } else {
                subject.scope.covers_visit(name)
            }
        };
        if !permits().any(answers) {
            problems.push(unanswered(span, format!("route `{name}`")));
        }
    }
    problems
}

fn unanswered(span: &crate::Span, what: String) -> PolicyProblem {
    PolicyProblem {
        span: span.clone(),
        kind: ProblemKind::RequiredWithoutPermit,
        message: format!("{what} is `policy: required` and no permit allows it: always denied"),
        help: Some(
            "write a permit for it in a `.cedar` file, or drop `policy: required`".to_owned(),
        ),
    }
}
