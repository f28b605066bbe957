//! Which fields pass the edge, under which spelling.

use super::{
    Connection, FieldClass, ReadFieldsError, Upgrade, asks_for_trailers, check_singletons,
    classify, classify_response, read_connection, read_upgrade, request_trailer_passes,
    response_trailer_passes,
};
use crate::{Refusal, Ring};

/// Each spelling that some program reads as the same name.
fn spellings(name: &str) -> Vec<String> {
    let mixed = |(at, c): (usize, char)| {
        if at.is_multiple_of(2) { c.to_ascii_uppercase() } else { c }
    };
    vec![
        name.to_owned(),
        name.to_ascii_uppercase(),
        name.char_indices().map(mixed).collect(),
        name.replace('-', "_"),
        name.replacen('-', "_", 1),
        name.to_ascii_uppercase().replace('-', "_"),
    ]
}

#[track_caller]
fn check(names: &[&str], expected: FieldClass) {
    for spelling in names.iter().flat_map(|name| spellings(name)) {
        assert_eq!(classify(&spelling), expected, "{spelling}");
    }
}

#[test]
fn protocol_forwarded_names_belong_to_the_gateway() {
    check(
        &[
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-host",
            "x-forwarded-uri",
            "x-forwarded-prefix",
            "x-forwarded",
        ],
        FieldClass::Forwarding,
    );
}

#[test]
fn protocol_underscore_does_not_hide_an_owned_name() {
    check(
        &[
            "x-real-ip",
            "x-client-ip",
            "true-client-ip",
            "x-original-url",
            "x-original-method",
            "x-rewrite-url",
            "x-envoy-original-path",
            "x-envoy-internal",
            "x-http-method",
            "x-http-method-override",
            "x-method-override",
            "x-client-cert",
            "x-client-cert-dn",
            "x-ssl-client-verify",
            "ssl-client-verify",
            "x-user",
            "x-user-id",
            "x-auth-request-email",
            "x-id-token",
            "x-access-token",
            "txn-token",
            "ringfort-caller",
            "ringfort-decision",
            "x-ringfort-user",
        ],
        FieldClass::EdgeOwned,
    );
}

#[test]
fn hop_by_hop_names_end_at_the_connection() {
    check(
        &[
            "connection",
            "keep-alive",
            "proxy-connection",
            "proxy-authenticate",
            "proxy-authorization",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "http2-settings",
        ],
        FieldClass::HopByHop,
    );
    check(&["baggage"], FieldClass::Baggage);
}

#[test]
fn other_names_pass_unless_they_have_an_underscore() {
    for name in [
        "accept",
        "authorization",
        "content-type",
        "cookie",
        "dpop",
        "forwarded-by",
        "host",
        "ringfort",
        "te-x",
        "traceparent",
        "tracestate",
        "x-request-id",
        "x-real-ip-2",
        "X-My-Header",
        "",
    ] {
        assert_eq!(classify(name), FieldClass::EndToEnd, "{name}");
    }
    for name in ["x_request_id", "Content_Type", "_", "a_b-c"] {
        assert_eq!(classify(name), FieldClass::Underscored, "{name}");
    }
}

#[test]
fn a_service_cannot_answer_as_the_proxy() {
    for name in ["ringfort-decision", "Ringfort_Decision", "x-ringfort-a", "alt-svc", "Alt-Svc"] {
        assert_eq!(classify_response(name), FieldClass::EdgeOwned, "{name}");
    }
    for name in ["connection", "Keep-Alive", "transfer-encoding", "upgrade"] {
        assert_eq!(classify_response(name), FieldClass::HopByHop, "{name}");
    }
    for name in ["set-cookie", "x-user-count", "content-length", "server", "x_y"] {
        assert_eq!(classify_response(name), FieldClass::EndToEnd, "{name}");
    }
}

#[test]
fn protocol_trailer_lets_only_grpc_through() {
    let check = |name: &str, request: bool, response: bool| {
        assert_eq!(request_trailer_passes(name, true), request, "{name}");
        assert_eq!(response_trailer_passes(name, true), response, "{name}");
        assert!(!request_trailer_passes(name, false) && !response_trailer_passes(name, false));
    };
    check("grpc-status", true, true);
    check("grpc-status-details-bin", true, true);
    check("grpc_status", false, true);
    check("x-user", false, true);
    check("x-custom-bin", false, true);
    check("ringfort-decision", false, false);
    check("transfer-encoding", false, false);
}

#[track_caller]
fn check_connection(values: &[&str], expected: Result<(bool, bool, bool), ReadFieldsError>) {
    let read = read_connection(values.iter().map(|value| value.as_bytes()));
    let seen = read.map(|read| (read.close, read.keep_alive, read.upgrade));
    assert_eq!(seen, expected, "{values:?}");
}

#[test]
fn protocol_hop_strip_lists_only_hop_by_hop_names() {
    check_connection(&[], Ok((false, false, false)));
    check_connection(&["close"], Ok((true, false, false)));
    check_connection(&["Keep-Alive, Upgrade"], Ok((false, true, true)));
    check_connection(&["keep-alive", " TE ,, close "], Ok((true, true, false)));
    check_connection(&["Upgrade, HTTP2-Settings"], Ok((false, false, true)));
    for bad in [
        "x-real-ip",
        "close, authorization",
        "X-Forwarded-For",
        "cookie",
        "host",
        "a b",
        "keep_alive",
        "\u{e4}",
    ] {
        check_connection(&[bad], Err(ReadFieldsError::ConnectionToken));
        check_connection(&["close", bad], Err(ReadFieldsError::ConnectionToken));
    }
}

#[test]
fn protocol_h2c_is_no_websocket() {
    let check = |upgrade: bool, values: &[&str], expected: Upgrade| {
        let connection = Connection { close: false, keep_alive: false, upgrade };
        let seen = read_upgrade(connection, values.iter().map(|value| value.as_bytes()));
        assert_eq!(seen, expected, "{values:?}");
    };
    check(true, &["WebSocket"], Upgrade::WebSocket);
    check(true, &["h2c"], Upgrade::Other);
    check(true, &["websocket, h2c"], Upgrade::Other);
    check(true, &["websocket", "h2c"], Upgrade::Other);
    check(true, &["websocket/13"], Upgrade::Other);
    check(true, &[], Upgrade::No);
    check(false, &["websocket"], Upgrade::No);
    check(false, &["h2c"], Upgrade::No);
}

#[test]
fn te_asks_for_trailers() {
    let check = |value: &str| asks_for_trailers([value.as_bytes()]);
    assert!(check("trailers") && check("gzip;q=0.5, Trailers"));
    assert!(!check("") && !check("trailers;q=1") && !check("gzip"));
}

#[test]
fn protocol_multi_refuses_a_singleton_twice() {
    let check = |names: &[&str], expected: Result<(), ReadFieldsError>| {
        assert_eq!(check_singletons(names.iter().copied()), expected, "{names:?}");
    };
    check(
        &["host", "authorization", "content-type", "cookie", "cookie", "accept", "accept"],
        Ok(()),
    );
    check(
        &["authorization", "accept", "Authorization"],
        Err(ReadFieldsError::Twice("authorization")),
    );
    check(&["content-length", "content_length"], Err(ReadFieldsError::Twice("content-length")));
    check(
        &["transfer-encoding", "transfer-encoding"],
        Err(ReadFieldsError::Twice("transfer-encoding")),
    );
    check(&["user-agent", "host", "host"], Err(ReadFieldsError::Twice("host")));
}

#[test]
fn a_fault_of_the_fields_ends_the_connection() {
    for fault in [ReadFieldsError::ConnectionToken, ReadFieldsError::Twice("host")] {
        let refusal = Refusal::from(fault);
        assert_eq!((refusal.ring, refusal.status, refusal.closes), (Ring::Protocol, 400, true));
    }
}
