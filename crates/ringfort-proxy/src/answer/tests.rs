//! What callers see, status by status.

use super::*;

fn check(ring: Ring, status: u16, reason: &'static str, grpc: &str) {
    let refusal = Refusal::new(ring, status, reason, "inner detail");
    let id = DecisionId::new(1, 2);
    let http = refused(&refusal, id, false);
    assert_eq!(http.status().as_u16(), status);
    assert_eq!(http.headers()[DECISION_HEADER], id.to_string());
    assert_eq!(http.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(http.headers().contains_key(header::RETRY_AFTER), matches!(status, 429 | 503));
    let body = std::str::from_utf8(http.body()).unwrap();
    assert!(body.contains(&id.to_string()) && !body.contains("inner") && !body.contains(reason));
    let trailers_only = refused(&refusal, id, true);
    assert_eq!(trailers_only.status(), StatusCode::OK);
    assert_eq!(trailers_only.headers()["grpc-status"], grpc);
    assert_eq!(trailers_only.headers()[DECISION_HEADER], id.to_string());
    assert!(trailers_only.body().is_empty());
}

#[test]
fn every_refusal_has_one_meaning() {
    check(Ring::Policy, 403, "no_permit", "7");
    check(Ring::Policy, 404, "route_path", "12");
    check(Ring::Protocol, 400, "path_dots", "13");
    check(Ring::Protocol, 408, "body_slow", "4");
    check(Ring::Protocol, 413, "body_size", "8");
    check(Ring::Protocol, 431, "head_size", "8");
    check(Ring::Load, 503, "concurrency", "8");
    check(Ring::Load, 503, "connect", "14");
    check(Ring::Load, 504, "timeout", "4");
    check(Ring::Transport, 502, "wrong_callee", "14");
}

#[test]
fn the_raw_answer_is_one_http_response() {
    let raw = String::from_utf8(raw_problem(408, DecisionId::new(3, 4))).unwrap();
    let (head, body) = raw.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n"), "{head}");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    assert!(head.contains(&format!("ringfort-decision: {}", DecisionId::new(3, 4))), "{head}");
}
