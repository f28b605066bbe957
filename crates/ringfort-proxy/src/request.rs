//! The request path: every request passes the rings in one order, and each step is one call.
//!
//! accept -> identify peer -> canonicalise -> route -> authorize -> admit -> forward -> record. The first two happened
//! when the connection began ([`crate::connection`]); the last happens when the response has passed
//! ([`crate::exchange`]). Identifying users and contracts are not built yet; a fleet that demands them does not start.

use std::{cell::Cell, net::IpAddr, rc::Rc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version, header,
    request::Parts,
};
use hyper::body::Incoming;
use ringfort_model::{
    DecisionId, Refusal, Ring,
    headers::{client::client_address, trace::TraceParent},
    snapshot::{HeaderEdit, Role},
};
use tokio::time::Instant;

use crate::{
    answer, authorize,
    body::{BodyBounds, BodyFault, BodyFaultCell, RequestBody, ResponseBody},
    connection::Connection,
    exchange::Exchange,
    head::{self, Asked, Sender},
    route::{self, Asks, Destination, Found},
    upgrade,
    upstream::Transport,
};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const CALLER: HeaderName = HeaderName::from_static("ringfort-caller");

/// Serves one request; a refusal is an answer, never an error.
pub(crate) async fn serve(
    connection: &Rc<Connection>,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    let mut exchange = Exchange::begin(connection, request.method(), request.version());
    let grpc = head::is_grpc(request.headers());
    let http1 = request.version() != Version::HTTP_2;
    let (parts, body) = request.into_parts();
    let expects = parts.headers.contains_key(header::EXPECT);
    let mut body = Some(body);
    let mut response = match pass_rings(&mut exchange, parts, &mut body).await {
        Ok(Passed::Forwarded(response)) => {
            response.map(|incoming| ResponseBody::streaming(incoming, grpc, exchange))
        }
        Ok(Passed::Made(response)) => response.map(|()| exchange.into_body(Bytes::new())),
        Ok(Passed::Upgraded(response, ends)) => return upgrade::start(ends, exchange, response),
        Err(refusal) => exchange.refuse(&refusal, grpc),
    };
    // Taking the body of a caller that waits for a word to send it would be that word.
    if let Some(rest) = body.filter(|_| !expects) {
        connection.thread.discard(rest);
    }
    if http1 && connection.retire.is_cancelled() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A request that passed every ring.
enum Passed {
    Forwarded(Response<Incoming>),
    Made(Response<()>),
    Upgraded(Response<()>, upgrade::Ends),
}

async fn pass_rings(
    exchange: &mut Exchange,
    mut parts: Parts,
    body: &mut Option<Incoming>,
) -> Result<Passed, Refusal> {
    let bounds = exchange.here.live.limits_of(&exchange.connection.key);
    let asked = head::read(&parts, &bounds)?;
    exchange.client = client_ip(exchange, &parts.headers)?;
    let found = route::find(exchange, &asked, &parts);
    exchange.canonical = Some(asked.canonical.clone());
    let destination = match found? {
        Found::Answer(response) => return Ok(made(exchange, response)),
        Found::Redirect { route, canonical, response } => {
            authorize::authorize(exchange, &Asks::Visit(route), &canonical)?;
            return Ok(made(exchange, response));
        }
        Found::Forward(destination) => destination,
    };
    exchange.canonical = Some(destination.canonical.clone());
    head::check_size(&parts.headers, &destination.limits)?;
    head::check_length(&parts.headers, destination.limits.body)?;
    authorize::authorize(exchange, &destination.question, &destination.canonical)?;
    exchange.permit = Some(destination.door.callee.room.admit().into_permit()?);
    prepare(exchange, &asked, &destination, &mut parts)?;
    forward(exchange, &asked, *destination, parts, body).await
}

/// The visitor's address, as far as listed proxies are believed.
fn client_ip(exchange: &Exchange, fields: &HeaderMap) -> Result<IpAddr, Refusal> {
    let trusted = match &exchange.here.live.rules.snapshot.role {
        Role::Gateway(gateway) => gateway.trusted_proxies.as_slice(),
        Role::Sidecar(_) => &[],
    };
    let forwarded = head::values(fields, &header::FORWARDED);
    let custom = head::values(fields, &FORWARDED_FOR);
    client_address(exchange.connection.remote.ip(), trusted, forwarded, custom).ok_or_else(|| {
        let detail = "`Forwarded` and `X-Forwarded-For` name different clients";
        Refusal::new(Ring::Protocol, 400, "client_address", detail)
    })
}

/// Makes the head that goes upstream: theirs without what may not pass, then ours, once each.
fn prepare(
    exchange: &mut Exchange,
    asked: &Asked,
    destination: &Destination,
    parts: &mut Parts,
) -> Result<(), Refusal> {
    let old_host = parts.headers.get(header::HOST).cloned();
    head::strip_request(&mut parts.headers, destination.sender);
    let http2 = destination.door.speaks_http2();
    // The port of a loopback socket says nothing to the callee.
    let port = asked.port.filter(|_| destination.host == asked.canonical.host());
    let upstream = head::upstream(&destination.canonical, &destination.host, port, http2)?;
    parts.uri = upstream.uri;
    parts.version = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
    let fields = &mut parts.headers;
    if let Some(host) = &upstream.host {
        fields.insert(header::HOST, host.clone());
    }
    if asked.trailers && (asked.grpc || http2) {
        fields.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if destination.sender == Sender::Stranger {
        let proto = if exchange.connection.security == "none" { "http" } else { "https" };
        fields.insert(FORWARDED_PROTO, HeaderValue::from_static(proto));
        fields.insert(FORWARDED_FOR, text(&exchange.client.to_string())?);
        let host = upstream.host.or(old_host);
        fields.insert(FORWARDED_HOST, host.map_or_else(|| text(&destination.host), Ok)?);
    }
    if let (Asks::Call { .. }, Some(id)) = (&destination.question, &exchange.connection.caller) {
        fields.insert(CALLER, text(id.as_str())?);
    }
    trace(exchange, fields)?;
    if let Some(route) = &destination.route {
        edit(fields, &route.headers.request);
    }
    let protocol = asked.protocol.as_ref().filter(|_| destination.upgrade && !http2);
    if let Some(protocol) = protocol {
        fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        fields.insert(header::UPGRADE, protocol.clone());
    }
    Ok(())
}

/// Continues a trace, or begins one at the edge.
fn trace(exchange: &mut Exchange, fields: &mut HeaderMap) -> Result<(), Refusal> {
    let read = TraceParent::parse(head::values(fields, &TRACEPARENT)).ok();
    if read.is_none() {
        fields.remove(TRACESTATE);
    }
    let thread = Rc::clone(&exchange.connection.thread);
    let next = thread.with_random(|random| match read {
        Some(parent) => parent.next(random),
        None => TraceParent::begin(random, false),
    });
    fields.insert(TRACEPARENT, text(&next.to_string())?);
    exchange.trace = Some(next);
    Ok(())
}

/// Applies the edits of a route; names and values were checked when the fleet was compiled, what is none is left out.
fn edit(fields: &mut HeaderMap, edit: &HeaderEdit) {
    for name in &edit.remove {
        fields.remove(name.as_str());
    }
    for (name, value) in &edit.set {
        let name = HeaderName::try_from(name.as_str());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value.as_str())) {
            fields.insert(name, value);
        }
    }
}

fn text(value: &str) -> Result<HeaderValue, Refusal> {
    let unusable = |_error| Refusal::new(Ring::Protocol, 400, "field_value", "not a field value");
    HeaderValue::try_from(value).map_err(unusable)
}

/// Sends the request and waits for the response head.
async fn forward(
    exchange: &mut Exchange,
    asked: &Asked,
    destination: Destination,
    mut parts: Parts,
    body: &mut Option<Incoming>,
) -> Result<Passed, Refusal> {
    let thread = Rc::clone(&exchange.connection.thread);
    let fault: BodyFaultCell = Rc::new(Cell::new(None));
    let bounds = BodyBounds {
        bytes_max: destination.limits.body.as_u64(),
        idle_max: destination.limits.body_idle,
        grpc: asked.grpc,
    };
    let origin = parts.headers.get(header::ORIGIN).cloned();
    let caller_side = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
    let body = body
        .take()
        .map_or(RequestBody::Empty, |body| RequestBody::new(&thread, body, bounds, &fault));
    let sending = destination.door.send(&thread, Request::from_parts(parts, body));
    let deadline = exchange.begun.checked_add(destination.timeout).unwrap_or(exchange.begun);
    let sent = Box::pin(tokio::time::timeout_at(deadline, sending)).await;
    exchange.upstream = Some(Instant::now().duration_since(exchange.begun));
    let (response, lease) = match (sent, fault.get()) {
        (Ok(Ok(sent)), _) => sent,
        (_, Some(fault)) => return Err(refuse_body(fault)),
        (Ok(Err(fault)), None) => return Err(fault.into()),
        (Err(_elapsed), None) => {
            let detail = format!("no response within {:?}", destination.timeout);
            return Err(Refusal::new(Ring::Load, 504, "timeout", detail));
        }
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return switch(exchange, &destination, caller_side, response);
    }
    exchange.lease = Some(lease);
    Ok(Passed::Forwarded(returned(exchange, &destination, origin.as_ref(), response)))
}

/// The callee changes the protocol: legitimate only if it was asked to.
fn switch(
    exchange: &mut Exchange,
    destination: &Destination,
    caller_side: Option<hyper::upgrade::OnUpgrade>,
    mut response: Response<Incoming>,
) -> Result<Passed, Refusal> {
    let Some(caller) = caller_side.filter(|_| destination.upgrade) else {
        let detail = "the callee changed the protocol without being asked";
        return Err(Refusal::new(Ring::Protocol, 502, "unasked_upgrade", detail));
    };
    let callee = hyper::upgrade::on(&mut response);
    let (mut parts, _body) = response.into_parts();
    let protocol = parts.headers.get(header::UPGRADE).cloned();
    head::strip_response(&mut parts.headers);
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        parts.headers.insert(header::UPGRADE, protocol);
    }
    exchange.answered(StatusCode::SWITCHING_PROTOCOLS.as_u16());
    let mut head = Response::new(());
    *head.status_mut() = parts.status;
    *head.headers_mut() = parts.headers;
    Ok(Passed::Upgraded(head, upgrade::Ends { caller, callee }))
}

/// Makes the head that goes back.
fn returned(
    exchange: &mut Exchange,
    destination: &Destination,
    origin: Option<&HeaderValue>,
    mut response: Response<Incoming>,
) -> Response<Incoming> {
    exchange.answered(response.status().as_u16());
    *response.version_mut() = Version::HTTP_11;
    let fields = response.headers_mut();
    let inner = inner_decision(destination, fields);
    head::strip_response(fields);
    if let Some(inner) = inner {
        fields.insert(answer::DECISION_HEADER, inner);
    }
    if let Some(route) = &destination.route {
        edit(fields, &route.headers.response);
        if let Some(origin) = origin.filter(|origin| route::allows_origin(route, origin)) {
            route::cors(fields, origin);
        }
    }
    response
}

/// The id of a decision that a wall further inside made: it goes back to whoever asked. A program cannot forge one,
/// for what it says reaches its own sidecar in plaintext.
fn inner_decision(destination: &Destination, fields: &HeaderMap) -> Option<HeaderValue> {
    if !matches!(destination.door.callee.transport, Transport::Mtls { .. }) {
        return None;
    }
    let mut ids = fields.get_all(answer::DECISION_HEADER).iter();
    let (Some(id), None) = (ids.next(), ids.next()) else { return None };
    id.to_str().ok()?.parse::<DecisionId>().ok().map(|_valid| id.clone())
}

fn made(exchange: &mut Exchange, response: Response<()>) -> Passed {
    exchange.answered(response.status().as_u16());
    Passed::Made(response)
}

fn refuse_body(fault: BodyFault) -> Refusal {
    match fault {
        BodyFault::TooLarge => head::body_too_large(fault.to_string()),
        BodyFault::TooSlow => {
            Refusal::new(Ring::Protocol, 408, "body_slow", fault.to_string()).closing()
        }
        BodyFault::Broken => {
            Refusal::new(Ring::Protocol, 400, "body_broken", fault.to_string()).closing()
        }
    }
}
