//! One request walked through the rings on paper: what each would say, and which line of the fleet makes it say so.
//!
//! Uses what the proxies use: the compiled snapshots, the canonical reading, the policy engine. Looks at a request
//! without headers; routes that demand a header are left out.

use std::{fmt::Write as _, net::Ipv4Addr};

use ringfort_model::{
    CanonicalRequest, Name, Normalization, Ring, Snapshot,
    canonical::{HostField, HttpVersion, RawRequest},
    snapshot::{Caller, Gateway, LocalService, Protocol, Role, Route, RouteAction},
};
use ringfort_policy::{Authorizer, Explanation, HttpFacts, Question, Verdict};
use ringfort_wire::v1;

use crate::world::InForce;

/// Why a question cannot be walked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExplainRequestError {
    /// A name that is none.
    #[error("`{0}` is no service or gateway of the fleet")]
    Unknown(String),
    /// The callee takes no calls.
    #[error("`{0}` only calls: nothing listens there")]
    NoListener(Name),
    /// An HTTP service is asked without a request.
    #[error("`{0}` speaks HTTP: say method and path, as in `GET /`")]
    NoRequest(Name),
    /// The compiled policies cannot be evaluated; an apply would have refused them.
    #[error("the policies of `{0}` cannot be evaluated")]
    Policies(Name),
}

/// The walk so far.
#[derive(Debug, Default)]
struct Walk {
    rings: Vec<v1::RingReport>,
    refused: bool,
}

/// What a ring says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Pass,
    Refuse,
    NotInForce,
}

/// Walks one request.
///
/// # Errors
/// [`ExplainRequestError`]: the question names nothing of this fleet.
pub(crate) fn explain(
    in_force: &InForce,
    request: &v1::ExplainRequest,
) -> Result<v1::ExplainResponse, ExplainRequestError> {
    let mut walk = Walk::default();
    let not_built = "packets are not filtered by this build";
    walk.says(Ring::Firewall, Says::NotInForce, not_built.to_owned(), None);
    if request.r#as.is_empty() {
        visit(in_force, request, &mut walk)?;
    } else {
        let caller = workload(in_force, &request.r#as)?;
        let callee = workload(in_force, &request.to)?;
        call(caller, callee, &asked(request, callee), &mut walk)?;
    }
    let load = "timeouts and the concurrency cap apply; rate limits and breakers are not built";
    walk.says(Ring::Load, Says::NotInForce, load.to_owned(), None);
    walk.says(Ring::Supply, Says::NotInForce, "builds are not attested yet".to_owned(), None);
    let witness = "the decision is counted, and logged unless it is a sampled success";
    walk.rings.push(ring_report(Ring::Witness, "pass", witness.to_owned(), None));
    let text = walk.text();
    Ok(v1::ExplainResponse { allowed: !walk.refused, rings: walk.rings, text })
}

/// A request as it reaches one proxy.
#[derive(Debug, Clone)]
struct Asked {
    method: String,
    target: String,
    host: String,
}

fn asked(request: &v1::ExplainRequest, callee: &Snapshot) -> Asked {
    let host = format!("{}.fleet.internal", callee.workload);
    Asked { method: request.method.clone(), target: request.target.clone(), host }
}

fn workload<'w>(in_force: &'w InForce, name: &str) -> Result<&'w Snapshot, ExplainRequestError> {
    let rule = in_force.rules.workloads.get(name);
    let class = rule.and_then(|rule| in_force.classes.get(&rule.id));
    let snapshot = class.map(|class| class.content.snapshot.as_ref());
    snapshot.ok_or_else(|| ExplainRequestError::Unknown(name.to_owned()))
}

/// The walk from one workload to a service's own sidecar.
fn call(
    caller: &Snapshot,
    callee: &Snapshot,
    asked: &Asked,
    walk: &mut Walk,
) -> Result<(), ExplainRequestError> {
    let none = || ExplainRequestError::NoListener(callee.workload.clone());
    let Role::Sidecar(sidecar) = &callee.role else { return Err(none()) };
    let local = sidecar.local.as_ref().ok_or_else(none)?;
    let edge = sidecar.callers.get(caller.workload.as_str());
    let canonical = protocol_ring(callee, local, asked)?;
    let facts = canonical.as_ref().and_then(|read| read.as_ref().ok());
    let explanation = call_policy(caller, callee, edge, facts)?;
    match edge {
        Some(_edge) => {
            let detail =
                format!("`{}` and `{}` prove themselves by mTLS", caller.class, callee.class);
            walk.says(Ring::Transport, Says::Pass, detail, None);
        }
        None => {
            let nearest = nearest(&explanation);
            let (from, to) = (&caller.workload, &callee.workload);
            let detail = format!("`{to}` admits no `{from}`: the handshake is refused{nearest}");
            walk.says(Ring::Transport, Says::Refuse, detail, None);
        }
    }
    match &canonical {
        None => walk.says(Ring::Protocol, Says::Pass, "bytes over TCP".to_owned(), None),
        Some(Ok(read)) => {
            let detail = format!("reads as `{} {}`", read.method(), read.key());
            walk.says(Ring::Protocol, Says::Pass, detail, None);
        }
        Some(Err(reason)) => {
            walk.says(Ring::Protocol, Says::Refuse, format!("400: {reason}"), None);
        }
    }
    not_built_inside(walk);
    policy_ring(&explanation, walk);
    Ok(())
}

/// How the callee reads the request; `None` for TCP.
fn protocol_ring(
    callee: &Snapshot,
    local: &LocalService,
    asked: &Asked,
) -> Result<Option<Result<CanonicalRequest, String>>, ExplainRequestError> {
    if local.protocol == Protocol::Tcp {
        return Ok(None);
    }
    if asked.method.is_empty() || asked.target.is_empty() {
        return Err(ExplainRequestError::NoRequest(callee.workload.clone()));
    }
    Ok(Some(canonical(asked, local.normalization, local.limits.url)))
}

fn canonical(
    asked: &Asked,
    normalization: Normalization,
    url_max: ringfort_model::ByteCount,
) -> Result<CanonicalRequest, String> {
    let (path, query) = match asked.target.split_once('?') {
        Some((path, query)) => (path, Some(query.as_bytes())),
        None => (asked.target.as_str(), None),
    };
    let raw = RawRequest {
        method: asked.method.as_bytes(),
        path: path.as_bytes(),
        query,
        authority: None,
        host: HostField::One(asked.host.as_bytes()),
        version: HttpVersion::Http11,
    };
    CanonicalRequest::parse_for(&raw, normalization, url_max).map_err(|fault| fault.to_string())
}

fn call_policy(
    caller: &Snapshot,
    callee: &Snapshot,
    edge: Option<&Caller>,
    request: Option<&CanonicalRequest>,
) -> Result<Explanation, ExplainRequestError> {
    let authorizer = authorizer(callee)?;
    let listed = edge.and_then(|edge| edge.operations.as_ref());
    let operation = request.and_then(|request| {
        listed?.iter().find(|operation| operation.covers(request)).map(ToString::to_string)
    });
    Ok(authorizer.explain(&Question::Call {
        caller: &caller.workload,
        service: &callee.workload,
        operation: operation.as_deref(),
        http: request.map(facts),
    }))
}

fn authorizer(snapshot: &Snapshot) -> Result<Authorizer, ExplainRequestError> {
    let made = Authorizer::new(&snapshot.policies);
    made.map_err(|_unreadable| ExplainRequestError::Policies(snapshot.workload.clone()))
}

fn facts(request: &CanonicalRequest) -> HttpFacts<'_> {
    HttpFacts { method: request.method(), host: request.host(), path: request.key() }
}

/// The walk of a visitor through a gateway, then to the service behind the route.
fn visit(
    in_force: &InForce,
    request: &v1::ExplainRequest,
    walk: &mut Walk,
) -> Result<(), ExplainRequestError> {
    let asked = Asked {
        method: request.method.clone(),
        target: request.target.clone(),
        host: request.to.clone(),
    };
    let found = in_force.classes.values().find_map(|class| {
        let snapshot = class.content.snapshot.as_ref();
        let Role::Gateway(gateway) = &snapshot.role else { return None };
        let answers = gateway.listeners.iter().find(|one| one.hosts.contains(&asked.host))?;
        Some((snapshot, gateway, answers))
    });
    let Some((snapshot, gateway, listener)) = found else {
        let detail = format!("421: no gateway answers for host `{}`", asked.host);
        walk.says(Ring::Transport, Says::Refuse, detail, None);
        return Ok(());
    };
    let name = &snapshot.workload;
    let tls = if listener.tls.is_some() { "TLS" } else { "plain HTTP on loopback" };
    walk.says(Ring::Transport, Says::Pass, format!("gateway `{name}` answers by {tls}"), None);
    let Some((route, read)) = routed(gateway, &asked, listener.limits.url, walk) else {
        return Ok(());
    };
    not_built_inside(walk);
    let explanation = authorizer(snapshot)?.explain(&Question::Visit {
        route: &route.name,
        operation: None,
        http: facts(&read),
        client_ip: Ipv4Addr::LOCALHOST.into(),
    });
    policy_ring(&explanation, walk);
    if let RouteAction::To { peer, .. } = &route.action {
        let callee = workload(in_force, peer.as_str())?;
        let inner = Asked { target: read.target().to_owned(), ..asked };
        call(snapshot, callee, &inner, walk)?;
    }
    Ok(())
}

/// The route a visitor takes and the request as sent upstream; what refuses is written down.
fn routed<'g>(
    gateway: &'g Gateway,
    asked: &Asked,
    url_max: ringfort_model::ByteCount,
    walk: &mut Walk,
) -> Option<(&'g Route, CanonicalRequest)> {
    let mut refuse = |detail: String| {
        walk.says(Ring::Protocol, Says::Refuse, detail, None);
        None
    };
    // Every kind of upstream is tried: which one reads the path is known after routing.
    let read = Normalization::ALL.into_iter().map(|kind| canonical(asked, kind, url_max));
    let mut faults = Vec::new();
    let mut found = None;
    for attempt in read {
        match attempt {
            Ok(read) => {
                found = Some(read);
                break;
            }
            Err(fault) => faults.push(fault),
        }
    }
    let Some(read) = found else {
        return refuse(format!("400: {}", faults.first().cloned().unwrap_or_default()));
    };
    let mut fitting: Vec<_> = gateway
        .routes
        .iter()
        .flat_map(|route| route.matches.iter().map(move |one| (route.as_ref(), one)))
        .filter(|(_, one)| one.host == read.host() && one.path.matches(read.key()))
        .filter(|(_, one)| one.headers.is_empty())
        .collect();
    if fitting.is_empty() {
        return refuse(format!("404: no route of the gateway covers `{}`", read.key()));
    }
    fitting.retain(|(_, one)| {
        one.methods.is_empty() || one.methods.iter().any(|method| method == read.method())
    });
    let best = fitting.into_iter().max_by(|(_, a), (_, b)| a.path.cmp(&b.path));
    let Some((route, _)) = best else {
        return refuse(format!("405: no route takes `{}` here", read.method()));
    };
    let rewrite = match &route.action {
        RouteAction::To { rewrite, .. } => rewrite.as_ref(),
        RouteAction::Redirect { .. } => None,
    };
    let sent = match rewrite.map(|rewrite| read.rewritten(rewrite)).transpose() {
        Ok(rewritten) => rewritten.unwrap_or(read),
        Err(fault) => return refuse(format!("400: {fault}")),
    };
    let detail = format!("route `{}` takes it as `{} {}`", route.name, sent.method(), sent.key());
    walk.says(Ring::Protocol, Says::Pass, detail, Some(route.place.to_string()));
    Some((route, sent))
}

fn not_built_inside(walk: &mut Walk) {
    walk.says(Ring::User, Says::NotInForce, "nobody signs in yet".to_owned(), None);
    walk.says(Ring::Contract, Says::NotInForce, "no contract is enforced yet".to_owned(), None);
}

fn policy_ring(explanation: &Explanation, walk: &mut Walk) {
    let place = explanation.determining.first().map(|policy| policy.place.to_string());
    let named = explanation.determining.first().map(ToString::to_string).unwrap_or_default();
    match &explanation.verdict {
        Verdict::Permit { .. } => {
            walk.says(Ring::Policy, Says::Pass, format!("permitted by {named}"), place);
        }
        Verdict::Forbid { .. } => {
            let detail = format!("forbidden by {named}{}", nearest(explanation));
            walk.says(Ring::Policy, Says::Refuse, detail, place);
        }
        Verdict::NoPermit => {
            let unmet: Vec<String> = explanation.unmet.iter().map(ToString::to_string).collect();
            let unmet = if unmet.is_empty() {
                String::new()
            } else {
                format!("; the conditions of {} do not hold", unmet.join(", "))
            };
            let detail = format!("no policy permits it{unmet}{}", nearest(explanation));
            let place = explanation.unmet.first().map(|policy| policy.place.to_string());
            walk.says(Ring::Policy, Says::Refuse, detail, place);
        }
        Verdict::Failed { reason, .. } => {
            let detail = format!("a policy cannot be evaluated, so nothing passes: {reason}");
            walk.says(Ring::Policy, Says::Refuse, detail, place);
        }
    }
}

fn nearest(explanation: &Explanation) -> String {
    let change = explanation.nearest.as_ref();
    change.map_or_else(String::new, |change| format!("; to permit it: {change}"))
}

impl Walk {
    fn says(&mut self, ring: Ring, says: Says, detail: String, place: Option<String>) {
        if self.refused {
            self.rings.push(ring_report(ring, "not_reached", String::new(), None));
            return;
        }
        self.refused = says == Says::Refuse;
        let verdict = match says {
            Says::Pass => "pass",
            Says::Refuse => "refuse",
            Says::NotInForce => "not_in_force",
        };
        self.rings.push(ring_report(ring, verdict, detail, place));
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for ring in &self.rings {
            let verdict = ring.verdict.replace('_', " ");
            let place = match ring.place.as_str() {
                "" => String::new(),
                place => format!("  [{place}]"),
            };
            // Writing to a string cannot fail.
            let _infallible =
                writeln!(text, "{:<10} {verdict:<12} {}{place}", ring.ring, ring.detail);
        }
        let whole = if self.refused { "refused" } else { "allowed" };
        text.push_str(whole);
        text.push('\n');
        text
    }
}

fn ring_report(ring: Ring, verdict: &str, detail: String, place: Option<String>) -> v1::RingReport {
    v1::RingReport {
        ring: ring.as_str().to_owned(),
        verdict: verdict.to_owned(),
        detail,
        place: place.unwrap_or_default(),
    }
}
