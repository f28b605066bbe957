//! From a canonical request to its destination: by route at a gateway, by port or name at a sidecar.

use std::{rc::Rc, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts,
};
use ringfort_model::{
    CanonicalRequest, Limits, Normalization, Refusal, Ring, SpiffeId,
    headers::Upgrade,
    operation::grpc_name,
    snapshot::{Protocol, Route, RouteAction},
};
use ringfort_traffic::RouteMiss;

use crate::{
    exchange::Exchange,
    head::{Asked, Sender},
    live::{CallerRules, GatewayRules, ListenerKey, ListenerRules, Part, SidecarRules},
    upstream::Door,
};

/// Where a request goes, and under which rules.
pub(crate) struct Destination {
    pub(crate) door: Rc<Door>,
    /// The request as sent upstream, and as policies see it.
    pub(crate) canonical: CanonicalRequest,
    /// The host sent upstream.
    pub(crate) host: String,
    pub(crate) limits: Limits,
    /// From arrival to response head.
    pub(crate) timeout: Duration,
    pub(crate) upgrade: bool,
    pub(crate) sender: Sender,
    pub(crate) question: Asks,
    pub(crate) route: Option<Arc<Route>>,
}

/// What policies are asked about a request.
pub(crate) enum Asks {
    /// Whether a visitor may use a route.
    Visit(Arc<Route>),
    /// Whether a caller may call this service.
    Call { caller: ringfort_model::Name },
    /// Nothing here: the callee's own proxy asks. The graph alone decides that we know the callee.
    AtCallee,
}

/// What a request leads to.
pub(crate) enum Found {
    Forward(Box<Destination>),
    /// Answered here, if the policies of the route allow the visit.
    Redirect {
        route: Arc<Route>,
        canonical: CanonicalRequest,
        response: Response<()>,
    },
    /// Answered here without a question: what says nothing about the fleet.
    Answer(Response<()>),
}

/// Finds the destination.
///
/// # Errors
/// The refusal: an unknown host, path, method or callee; a path the callee does not read.
pub(crate) fn find(
    exchange: &mut Exchange,
    asked: &Asked,
    parts: &Parts,
) -> Result<Found, Refusal> {
    let here = Rc::clone(&exchange.here);
    let key = exchange.connection.key.clone();
    match (&here.live.rules.part, &key) {
        (Part::Gateway(gateway), ListenerKey::Gateway(bind)) => {
            let listener = gateway.listeners.get(bind).ok_or_else(no_longer_served)?;
            at_gateway(exchange, gateway, listener, asked, parts)
        }
        (Part::Sidecar(sidecar), ListenerKey::Inbound) => inbound(exchange, sidecar, asked),
        (Part::Sidecar(sidecar), ListenerKey::Outbound(name)) => {
            let door = here.door(name).ok_or_else(no_longer_served)?;
            outbound(exchange, sidecar, asked, door)
        }
        (Part::Sidecar(sidecar), ListenerKey::HttpProxy) => {
            let host = asked.canonical.host();
            let name = host.strip_suffix(".fleet.internal").unwrap_or(host);
            let door = here.door_by_text(name).ok_or_else(|| unknown_callee(host))?;
            outbound(exchange, sidecar, asked, door)
        }
        (Part::Gateway(_) | Part::Sidecar(_), _) => Err(no_longer_served()),
    }
}

fn at_gateway(
    exchange: &mut Exchange,
    gateway: &GatewayRules,
    listener: &ListenerRules,
    asked: &Asked,
    parts: &Parts,
) -> Result<Found, Refusal> {
    let canonical = &asked.canonical;
    if !listener.hosts.contains(canonical.host()) {
        let detail = format!("this listener does not answer for `{}`", canonical.host());
        return Err(Refusal::new(Ring::Transport, 421, "host_unknown", detail));
    }
    // A connection from before the listener had TLS, or had none, does not meet what is demanded now.
    if listener.listener.tls.is_some() != (exchange.connection.security != "none") {
        let detail = "the connection was made before the listener changed";
        return Err(Refusal::new(Ring::Transport, 421, "listener_changed", detail).closing());
    }
    if listener.listener.redirect_to_https {
        return Ok(Found::Answer(to_https(canonical, listener.https_port)?));
    }
    let equals = |name: &str, value: &str| {
        let mut values = parts.headers.get_all(name).iter();
        matches!((values.next(), values.next()), (Some(only), None) if only.as_bytes() == value.as_bytes())
    };
    if let Some(response) = preflight(gateway, canonical, &parts.headers, &equals) {
        return Ok(Found::Answer(response));
    }
    let routed = gateway.router.find(canonical.host(), canonical.method(), canonical.key(), equals);
    let route = match routed {
        Ok(routed) => Arc::clone(routed.route),
        Err(miss) => {
            // A path that only some upstreams read is a fault of the request where no route leads to one of them.
            canonical.require(Normalization::Strict)?;
            if let RouteMiss::Method { allow } = &miss {
                exchange.allow = HeaderValue::try_from(allow.join(", ")).ok();
            }
            return Err(Refusal::from(&miss));
        }
    };
    exchange.route = Some(route.name.clone());
    exchange.pair = gateway.pairs.get(&route.name).copied().unwrap_or(exchange.pair);
    match &route.action {
        RouteAction::Redirect { to, status } => {
            let response = redirect(to, *status)?;
            Ok(Found::Redirect { canonical: canonical.clone(), route, response })
        }
        RouteAction::To { peer, rewrite } => {
            let door = Rc::clone(exchange.here.door(peer).ok_or_else(no_longer_served)?);
            canonical.require(door.callee.normalization)?;
            canonical.fits(route.limits.url)?;
            exchange.destination = Some(peer.clone());
            let canonical = match rewrite {
                Some(rewrite) => canonical.rewritten(rewrite)?,
                None => canonical.clone(),
            };
            Ok(Found::Forward(Box::new(Destination {
                host: canonical.host().to_owned(),
                canonical,
                limits: route.limits,
                timeout: route.timeout.unwrap_or(door.callee.resilience.timeout),
                upgrade: route.upgrade && asked.upgrade == Upgrade::WebSocket,
                sender: Sender::Stranger,
                question: Asks::Visit(Arc::clone(&route)),
                route: Some(route),
                door,
            })))
        }
    }
}

fn inbound(
    exchange: &mut Exchange,
    sidecar: &SidecarRules,
    asked: &Asked,
) -> Result<Found, Refusal> {
    let caller = exchange.connection.caller.as_ref();
    let caller = caller.and_then(|id| sidecar.callers.get(id)).ok_or_else(|| no_caller(caller))?;
    exchange.source = Some(caller.name.clone());
    exchange.destination = Some(exchange.here.live.rules.snapshot.workload.clone());
    exchange.pair = caller.pair;
    let door = Rc::clone(exchange.here.local.as_ref().ok_or_else(no_longer_served)?);
    asked.canonical.require(door.callee.normalization)?;
    exchange.operation = operation(caller, &asked.canonical);
    Ok(Found::Forward(Box::new(Destination {
        host: asked.canonical.host().to_owned(),
        canonical: asked.canonical.clone(),
        limits: door.callee.limits,
        timeout: door.callee.resilience.timeout,
        upgrade: asked.is_upgrade_inside(),
        sender: if caller.is_gateway { Sender::Gateway } else { Sender::Workload },
        question: Asks::Call { caller: caller.name.clone() },
        route: None,
        door,
    })))
}

fn outbound(
    exchange: &mut Exchange,
    sidecar: &SidecarRules,
    asked: &Asked,
    door: &Rc<Door>,
) -> Result<Found, Refusal> {
    let callee = &door.callee;
    exchange.source = Some(exchange.here.live.rules.snapshot.workload.clone());
    exchange.destination = Some(callee.name.clone());
    exchange.pair = sidecar.outbound.get(&callee.name).copied().unwrap_or(exchange.pair);
    if callee.protocol == Protocol::Tcp {
        let detail = format!("`{}` speaks bytes, not HTTP", callee.name);
        return Err(Refusal::new(Ring::Protocol, 400, "not_http", detail).closing());
    }
    asked.canonical.require(callee.normalization)?;
    let host = asked.canonical.host();
    // A program that calls a port of its own loopback means the service behind it.
    let local = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    Ok(Found::Forward(Box::new(Destination {
        host: if local { format!("{}.fleet.internal", callee.name) } else { host.to_owned() },
        canonical: asked.canonical.clone(),
        limits: callee.limits,
        timeout: callee.resilience.timeout,
        upgrade: asked.is_upgrade_inside(),
        sender: Sender::Workload,
        question: Asks::AtCallee,
        route: None,
        door: Rc::clone(door),
    })))
}

impl Asked {
    /// Whether the request wants another protocol that may pass between workloads: anything but HTTP/2 in the clear.
    fn is_upgrade_inside(&self) -> bool {
        match self.upgrade {
            Upgrade::No => false,
            Upgrade::WebSocket => true,
            Upgrade::Other => self.protocol.as_ref().is_some_and(|protocol| {
                let value = protocol.as_bytes().to_ascii_lowercase();
                !value.windows(3).any(|part| part == b"h2c")
            }),
        }
    }
}

/// The operation of the caller's list that a request is, as policies name it.
pub(crate) fn operation(caller: &CallerRules, canonical: &CanonicalRequest) -> Option<Arc<str>> {
    match &caller.operations {
        Some(list) => {
            let found = list.iter().find(|(operation, _)| operation.covers(canonical));
            found.map(|(_, text)| Arc::clone(text))
        }
        None => grpc_name(canonical).filter(|_| caller.is_grpc).map(Arc::from),
    }
}

/// Answers a CORS preflight from the route it asks about; `None` when it is none or the origin is not listed.
fn preflight(
    gateway: &GatewayRules,
    canonical: &CanonicalRequest,
    fields: &HeaderMap,
    equals: &impl Fn(&str, &str) -> bool,
) -> Option<Response<()>> {
    if canonical.method() != Method::OPTIONS.as_str() {
        return None;
    }
    let method = fields.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let origin = fields.get(header::ORIGIN)?;
    let asked = method.to_str().ok()?;
    let routed = gateway.router.find(canonical.host(), asked, canonical.key(), equals).ok()?;
    if !allows_origin(routed.route, origin) {
        return None;
    }
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    cors(answer, origin);
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method.clone());
    if let Some(wanted) = fields.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    Some(response)
}

/// Whether a route lists the origin; compared byte for byte.
pub(crate) fn allows_origin(route: &Route, origin: &HeaderValue) -> bool {
    route.cors_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
}

/// Says in a response that an origin may read it.
pub(crate) fn cors(fields: &mut HeaderMap, origin: &HeaderValue) {
    fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    fields.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    fields.append(header::VARY, HeaderValue::from_name(HeaderName::from_static("origin")));
}

fn to_https(canonical: &CanonicalRequest, port: u16) -> Result<Response<()>, Refusal> {
    let (host, target) = (canonical.host(), canonical.target());
    let to = if port == 443 {
        format!("https://{host}{target}")
    } else {
        format!("https://{host}:{port}{target}")
    };
    redirect(&to, 308)
}

fn redirect(to: &str, status: u16) -> Result<Response<()>, Refusal> {
    let unusable = || Refusal::new(Ring::Protocol, 500, "redirect_target", "unusable redirect");
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_status| unusable())?;
    let location = HeaderValue::try_from(to).map_err(|_value| unusable())?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

fn no_longer_served() -> Refusal {
    let detail = "the listener belongs to a revision that is no longer in force";
    Refusal::new(Ring::Policy, 404, "not_served", detail).closing()
}

fn no_caller(id: Option<&SpiffeId>) -> Refusal {
    let id = id.map_or("nobody", SpiffeId::as_str);
    Refusal::new(Ring::Policy, 403, "no_edge", format!("`{id}` may not call here")).closing()
}

fn unknown_callee(host: &str) -> Refusal {
    let detail = format!("`{host}` is no service this workload may call");
    Refusal::new(Ring::Policy, 403, "no_edge", detail)
}
