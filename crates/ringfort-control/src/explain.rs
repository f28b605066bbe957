//! What would happen to a request, ring by ring, by the same decisions the proxies take.
//!
//! Pure: reads compiled snapshots, asks the policy engine, and says what each ring would say, with the line that
//! decides and the smallest change that would allow a refused request. For operators only.

use std::net::{IpAddr, Ipv4Addr};

use ringfort_fleet::{FleetFile, render};
use ringfort_model::{
    CanonicalRequest, Name, Revision, Ring, Snapshot,
    canonical::{HostField, HttpVersion, RawRequest},
    operation::grpc_name,
    snapshot::{Caller, Protocol, Role, Route, RouteAction, Sidecar},
};
use ringfort_policy::{Authorizer, HttpFacts, Question, Verdict};
use ringfort_wire::v1::{ExplainRequest, ExplainResponse, RingReport};

/// Why a request cannot be explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainRequestError {
    /// The fleet itself is refused.
    #[error("the fleet is not valid:\n{0}")]
    Fleet(String),
    /// A name is not in the fleet.
    #[error("the fleet has no {kind} named `{name}`")]
    Unknown {
        /// `workload` or `service`.
        kind: &'static str,
        /// The name asked for.
        name: String,
    },
    /// The policies of the callee cannot be read; the compiler refuses such a fleet, so this is a fault of ours.
    #[error("the policies of `{0}` cannot be evaluated")]
    Policies(Name),
    /// An HTTP service needs a method and a path.
    #[error("`{0}` speaks HTTP: give a method and a path, e.g. `GET /`")]
    NoRequest(Name),
}

/// Explains a request against files that are not applied.
///
/// # Errors
/// As [`explain`], and [`ExplainRequestError::Fleet`] for files with errors.
pub fn explain_files(
    files: &[FleetFile],
    request: &ExplainRequest,
) -> Result<ExplainResponse, ExplainRequestError> {
    let loaded = ringfort_fleet::load(files);
    let Some(fleet) = loaded.fleet else {
        return Err(ExplainRequestError::Fleet(render::text(&loaded.problems, false)));
    };
    explain(fleet.compile(Revision::NONE).snapshots.values(), request)
}

/// Walks one request through the rings of a fleet, given as the snapshots of all its classes.
///
/// # Errors
/// [`ExplainRequestError::Unknown`] and [`ExplainRequestError::NoRequest`] when the question has no meaning.
pub(crate) fn explain<'s>(
    snapshots: impl IntoIterator<Item = &'s Snapshot>,
    request: &ExplainRequest,
) -> Result<ExplainResponse, ExplainRequestError> {
    let fleet = View(snapshots.into_iter().collect());
    let mut walk = Walk::new();
    if request.r#as.is_empty() {
        visitor(&fleet, request, &mut walk)?;
    } else {
        let (caller, callee) = (&request.r#as, &request.to);
        let caller = fleet.named(caller).ok_or_else(|| unknown("workload", caller))?;
        let callee = fleet.named(callee).ok_or_else(|| unknown("service", callee))?;
        let host = inner_host(callee);
        let asked = Asked { method: &request.method, target: &request.target, host: &host };
        call(&caller.workload, callee, &asked, &mut walk)?;
    }
    Ok(walk.finish())
}

fn unknown(kind: &'static str, name: &str) -> ExplainRequestError {
    ExplainRequestError::Unknown { kind, name: name.to_owned() }
}

/// The host by which a program calls a service.
fn inner_host(callee: &Snapshot) -> String {
    format!("{}.fleet.internal", callee.workload)
}

/// Finds snapshots by name.
struct View<'f>(Vec<&'f Snapshot>);

impl<'f> View<'f> {
    fn named(&self, name: &str) -> Option<&'f Snapshot> {
        self.0.iter().copied().find(|snapshot| snapshot.workload.as_str() == name)
    }

    /// The gateway that answers a host, with its routes.
    fn gateway_of(&self, host: &str) -> Option<(&'f Snapshot, &'f [std::sync::Arc<Route>])> {
        self.0.iter().copied().find_map(|snapshot| match &snapshot.role {
            Role::Gateway(gateway) => {
                let mut hosts = gateway.listeners.iter().flat_map(|listener| &listener.hosts);
                hosts.any(|known| known == host).then_some((snapshot, gateway.routes.as_slice()))
            }
            Role::Sidecar(_) => None,
        })
    }
}

/// A request as it was typed.
struct Asked<'a> {
    method: &'a str,
    target: &'a str,
    host: &'a str,
}

/// A workload calls a service.
fn call(
    caller: &Name,
    callee: &Snapshot,
    asked: &Asked<'_>,
    walk: &mut Walk,
) -> Result<(), ExplainRequestError> {
    let service = &callee.workload;
    let Role::Sidecar(sidecar) = &callee.role else {
        return Err(unknown("service", service.as_str()));
    };
    let authorizer = Authorizer::new(&callee.policies)
        .map_err(|_fault| ExplainRequestError::Policies(service.clone()))?;
    let Some(edge) = sidecar.callers.get(caller) else {
        let question = Question::Call { caller, service, operation: None, http: None };
        let change = authorizer.explain(&question).nearest;
        let change = change.map_or_else(String::new, |change| format!("; to allow it, {change}"));
        walk.refuse(
            Ring::Transport,
            format!("`{service}` accepts no handshake of `{caller}`: there is no edge between them{change}"),
            String::new(),
        );
        return Ok(());
    };
    walk.pass(Ring::Transport, format!("`{caller}` proves {} and `{service}` accepts it", edge.id));
    let canonical = match protocol(sidecar, service, asked, walk)? {
        Read::Refused => return Ok(()),
        Read::Bytes => None,
        Read::Request(request) => Some(request),
    };
    let protocol = sidecar.local.as_ref().map(|local| local.protocol);
    let operation = canonical.as_ref().and_then(|request| operation(edge, protocol, request));
    let question = Question::Call {
        caller,
        service,
        operation: operation.as_deref(),
        http: canonical.as_ref().map(facts),
    };
    policy(&authorizer, &question, walk);
    Ok(())
}

/// What a service's sidecar makes of what arrives.
enum Read {
    /// It refuses.
    Refused,
    /// Bytes without requests.
    Bytes,
    /// One canonical request.
    Request(CanonicalRequest),
}

/// Ring `protocol` at a service.
fn protocol(
    sidecar: &Sidecar,
    service: &Name,
    asked: &Asked<'_>,
    walk: &mut Walk,
) -> Result<Read, ExplainRequestError> {
    let Some(local) = &sidecar.local else { return Err(unknown("service", service.as_str())) };
    if !local.protocol.is_http() {
        walk.pass(Ring::Protocol, format!("`{service}` speaks bytes: there is no request to read"));
        return Ok(Read::Bytes);
    }
    if asked.method.is_empty() {
        return Err(ExplainRequestError::NoRequest(service.clone()));
    }
    let read = canonical(asked).and_then(|request| {
        request.require(local.normalization)?;
        request.fits(local.limits.url)?;
        Ok(request)
    });
    match read {
        Ok(request) => {
            let read = format!("read as {} {}", request.method(), request.key());
            walk.pass(Ring::Protocol, read);
            Ok(Read::Request(request))
        }
        Err(error) => {
            walk.refuse(Ring::Protocol, error.to_string(), String::new());
            Ok(Read::Refused)
        }
    }
}

/// Somebody outside asks a gateway.
fn visitor(
    fleet: &View<'_>,
    request: &ExplainRequest,
    walk: &mut Walk,
) -> Result<(), ExplainRequestError> {
    let host = request.to.to_ascii_lowercase();
    let asked = Asked { method: &request.method, target: &request.target, host: &host };
    let Some((gateway, routes)) = fleet.gateway_of(&host) else {
        let detail = format!("no gateway answers the host `{host}`: 421");
        walk.refuse(Ring::Protocol, detail, String::new());
        return Ok(());
    };
    walk.pass(Ring::Transport, format!("gateway `{}` answers `{host}`", gateway.workload));
    let canonical = match canonical(&asked) {
        Ok(canonical) => canonical,
        Err(error) => {
            walk.refuse(Ring::Protocol, error.to_string(), String::new());
            return Ok(());
        }
    };
    let Some(route) = find_route(routes, &canonical) else {
        let (method, key) = (canonical.method(), canonical.key());
        let detail = format!("no route takes {method} {key} on `{host}`");
        walk.refuse(Ring::Protocol, detail, String::new());
        return Ok(());
    };
    let upstream = match &route.action {
        RouteAction::Redirect { .. } => None,
        RouteAction::To { peer, rewrite } => Some((peer, rewrite)),
    };
    let sent = match upstream.and_then(|(_, rewrite)| rewrite.as_ref()) {
        Some(rewrite) => canonical.rewritten(rewrite),
        None => Ok(canonical),
    };
    let sent = match sent {
        Ok(sent) => sent,
        Err(error) => {
            walk.refuse(Ring::Protocol, error.to_string(), route.place.to_string());
            return Ok(());
        }
    };
    let taken =
        format!("route `{}` takes it, read as {} {}", route.name, sent.method(), sent.key());
    walk.pass_at(Ring::Protocol, taken, route.place.to_string());
    let authorizer = Authorizer::new(&gateway.policies)
        .map_err(|_fault| ExplainRequestError::Policies(gateway.workload.clone()))?;
    let question = Question::Visit {
        route: &route.name,
        operation: None,
        http: facts(&sent),
        client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    policy(&authorizer, &question, walk);
    let callee = upstream.and_then(|(peer, _)| fleet.named(peer.as_str()));
    if let (false, Some(callee)) = (walk.is_refused(), callee) {
        let target = sent.target().to_owned();
        let host = inner_host(callee);
        let inner = Asked { method: sent.method(), target: &target, host: &host };
        walk.next_hop(format!("then `{}` calls `{}`", gateway.workload, callee.workload));
        call(&gateway.workload, callee, &inner, walk)?;
    }
    Ok(())
}

/// The most specific route that takes the request; header conditions are taken as met.
fn find_route<'r>(
    routes: &'r [std::sync::Arc<Route>],
    request: &CanonicalRequest,
) -> Option<&'r Route> {
    let rules = routes.iter().flat_map(|route| route.matches.iter().map(move |rule| (route, rule)));
    let takes = rules.filter(|(_, rule)| {
        rule.host == request.host()
            && (rule.methods.is_empty()
                || rule.methods.iter().any(|method| method == request.method()))
            && rule.path.matches(request.key())
    });
    takes.max_by(|(_, one), (_, other)| one.path.cmp(&other.path)).map(|(route, _)| &**route)
}

fn canonical(asked: &Asked<'_>) -> Result<CanonicalRequest, ringfort_model::CanonicaliseError> {
    let (path, query) = match asked.target.split_once('?') {
        Some((path, query)) => (path, Some(query.as_bytes())),
        None => (asked.target, None),
    };
    let raw = RawRequest {
        method: asked.method.as_bytes(),
        path: path.as_bytes(),
        query,
        authority: None,
        host: HostField::One(asked.host.as_bytes()),
        version: HttpVersion::Http11,
    };
    CanonicalRequest::parse(&raw, ringfort_model::ByteCount::kib(64))
}

fn facts(request: &CanonicalRequest) -> HttpFacts<'_> {
    HttpFacts { method: request.method(), host: request.host(), path: request.key() }
}

/// The operation by the edge's own `only` list, as the callee's proxy decides it.
fn operation(
    edge: &Caller,
    protocol: Option<Protocol>,
    request: &CanonicalRequest,
) -> Option<String> {
    match &edge.operations {
        Some(list) => {
            list.iter().find(|operation| operation.covers(request)).map(ToString::to_string)
        }
        None => grpc_name(request).filter(|_| protocol == Some(Protocol::Grpc)).map(str::to_owned),
    }
}

/// Ring `policy`.
fn policy(authorizer: &Authorizer, question: &Question<'_>, walk: &mut Walk) {
    let explanation = authorizer.explain(question);
    let place = explanation.determining.first().map(|policy| policy.place.to_string());
    let mut detail = match &explanation.verdict {
        Verdict::Permit { policy } => format!("permitted by {policy}"),
        Verdict::Forbid { policy } => format!("forbidden by {policy}"),
        Verdict::NoPermit => "no policy permits it".to_owned(),
        Verdict::Failed { policy: Some(policy), reason } => {
            format!("{policy} cannot be evaluated: {reason}")
        }
        Verdict::Failed { policy: None, reason } => format!("cannot be evaluated: {reason}"),
    };
    if explanation.verdict.is_permit() {
        walk.pass_at(Ring::Policy, detail, place.unwrap_or_default());
        return;
    }
    for unmet in &explanation.unmet {
        detail.push_str(&format!("; {unmet} would, but its condition does not hold"));
    }
    if let Some(change) = &explanation.nearest {
        detail.push_str(&format!("; to allow it, {change}"));
    }
    let place = place.or_else(|| explanation.unmet.first().map(|policy| policy.place.to_string()));
    walk.refuse(Ring::Policy, detail, place.unwrap_or_default());
}

/// The rings as they are walked, outermost first, hop by hop.
struct Walk {
    hops: Vec<(String, Vec<RingReport>)>,
    is_refused: bool,
}

impl Walk {
    fn new() -> Self {
        Self { hops: vec![(String::new(), Vec::new())], is_refused: false }
    }

    const fn is_refused(&self) -> bool {
        self.is_refused
    }

    fn next_hop(&mut self, title: String) {
        self.hops.push((title, Vec::new()));
    }

    fn pass(&mut self, ring: Ring, detail: String) {
        self.pass_at(ring, detail, String::new());
    }

    fn pass_at(&mut self, ring: Ring, detail: String, place: String) {
        self.report(ring, "pass", detail, place);
    }

    fn refuse(&mut self, ring: Ring, detail: String, place: String) {
        self.is_refused = true;
        self.report(ring, "refuse", detail, place);
    }

    fn report(&mut self, ring: Ring, verdict: &str, detail: String, place: String) {
        let report =
            RingReport { ring: ring.to_string(), verdict: verdict.to_owned(), detail, place };
        if let Some((_, reports)) = self.hops.last_mut() {
            reports.push(report);
        }
    }

    fn finish(self) -> ExplainResponse {
        let allowed = !self.is_refused;
        let (mut text, mut rings) = (String::new(), Vec::new());
        text.push_str(if allowed { "allowed\n" } else { "refused\n" });
        for (title, reports) in self.hops {
            if !title.is_empty() {
                text.push_str(&format!("{title}\n"));
            }
            for report in complete(&reports) {
                let RingReport { ring, verdict, detail, place } = &report;
                let verdict = verdict.replace('_', " ");
                text.push_str(format!("  {ring:<10}{verdict:<14}{detail}").trim_end());
                if !place.is_empty() && !detail.contains(place.as_str()) {
                    text.push_str(&format!(" ({place})"));
                }
                text.push('\n');
                rings.push(report);
            }
        }
        ExplainResponse { allowed, rings, text }
    }
}

/// Fills in the rings that said nothing: not in force, or not reached behind a refusal.
fn complete(reports: &[RingReport]) -> Vec<RingReport> {
    let refused = reports.iter().any(|report| report.verdict == "refuse");
    let refusing = Ring::ALL.iter().position(|ring| {
        reports.iter().any(|report| report.verdict == "refuse" && report.ring == ring.as_str())
    });
    let said = |ring: Ring| reports.iter().find(|report| report.ring == ring.as_str()).cloned();
    let silent = |index: usize, ring: Ring| {
        let (verdict, detail) = match ring {
            _ if !ring.is_built() && ring != Ring::Load => ("not_in_force", ""),
            _ if refused && refusing.is_some_and(|refusing| index > refusing) => {
                ("not_reached", "")
            }
            Ring::Load => ("pass", "concurrency and timeouts are decided when the request comes"),
            Ring::Witness => ("pass", "recorded by the proxies that decide"),
            Ring::Firewall
            | Ring::Transport
            | Ring::Protocol
            | Ring::User
            | Ring::Contract
            | Ring::Policy
            | Ring::Supply => ("pass", ""),
        };
        RingReport {
            ring: ring.to_string(),
            verdict: verdict.to_owned(),
            detail: detail.to_owned(),
            place: String::new(),
        }
    };
    Ring::ALL
        .iter()
        .enumerate()
        .map(|(index, ring)| said(*ring).unwrap_or_else(|| silent(index, *ring)))
        .collect()
}

#[cfg(test)]
mod tests;
