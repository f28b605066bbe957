//! What a caller sees of a refusal: a status and the decision's id, nothing inner.
//!
//! # Source
//! RFC 9457 (problem details); gRPC over HTTP/2, `Trailers-Only` responses.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use ringfort_model::{DecisionId, Refusal, Ring};

/// The header that carries the id of a decision.
pub(crate) const DECISION_HEADER: HeaderName = HeaderName::from_static("ringfort-decision");

/// The answer to a refusal.
pub(crate) fn refused(refusal: &Refusal, id: DecisionId, grpc: bool) -> Response<Bytes> {
    let mut response = if grpc { grpc_status(refusal) } else { problem(refusal.status, id) };
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert(DECISION_HEADER, id);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if matches!(refusal.status, 429 | 503) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// A problem document as raw HTTP/1.1, for a connection on which no request was ever complete.
pub(crate) fn raw_problem(status: u16, id: DecisionId) -> Vec<u8> {
    let response = problem(status, id);
    let body = response.body();
    let mut raw = format!(
        "HTTP/1.1 {status} {title}\r\nconnection: close\r\ncontent-type: application/problem+json\r\n\
         cache-control: no-store\r\n{DECISION_HEADER}: {id}\r\ncontent-length: {length}\r\n\r\n",
        title = title(status),
        length = body.len(),
    )
    .into_bytes();
    raw.extend_from_slice(body);
    raw
}

fn problem(status: u16, id: DecisionId) -> Response<Bytes> {
    let body = format!(
        r#"{{"type":"about:blank","title":"{}","status":{status},"decision":"{id}"}}"#,
        title(status)
    );
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = code(status);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

fn grpc_status(refusal: &Refusal) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static(grpc_code(refusal)));
    headers.insert("grpc-message", HeaderValue::from_static(title(refusal.status)));
    response
}

/// The gRPC code of a refusal.
///
/// # Source
/// gRPC, "HTTP to gRPC Status Code Mapping", with the codes of overload and deadline named by the threat catalogue.
fn grpc_code(refusal: &Refusal) -> &'static str {
    match (refusal.ring, refusal.status) {
        (_, 401) => "16",
        (_, 403) => "7",
        (_, 404 | 405) => "12",
        (_, 413 | 429 | 431) => "8",
        (_, 408 | 504) => "4",
        (Ring::Load, 503) if refusal.reason == "concurrency" => "8",
        (_, 502 | 503) => "14",
        _ => "13",
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn title(status: u16) -> &'static str {
    code(status).canonical_reason().unwrap_or("Refused")
}

#[cfg(test)]
mod tests;
