//! Which fields pass in each direction, and what is sent upstream.

use super::*;

fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let mut map = HeaderMap::new();
    for (name, value) in list.iter().map(pair) {
        map.append(name, value);
    }
    map
}

fn names(map: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = map.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

#[track_caller]
fn check_strip(sender: Sender, kept: &[&str]) {
    let mut map = fields(&[
        ("connection", "keep-alive"),
        ("host", "shop.example"),
        ("expect", "100-continue"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-for", "7.7.7.7"),
        ("baggage", "k=v"),
        ("x_y", "1"),
        ("ringfort-caller", "spiffe://x/svc/y"),
        ("accept", "*/*"),
    ]);
    strip_request(&mut map, sender);
    assert_eq!(names(&map), kept);
}

#[test]
fn a_sender_is_believed_as_far_as_it_is_known() {
    check_strip(Sender::Stranger, &["accept"]);
    check_strip(Sender::Workload, &["accept", "baggage"]);
    check_strip(Sender::Gateway, &["accept", "baggage", "x-forwarded-for"]);
}

#[test]
fn a_service_does_not_speak_as_the_proxy() {
    let mut map = fields(&[
        ("ringfort-decision", "0"),
        ("alt-svc", "h3"),
        ("keep-alive", "timeout=5"),
        ("content-type", "text/plain"),
    ]);
    strip_response(&mut map);
    assert_eq!(names(&map), ["content-type"]);
}

#[test]
fn trailers_pass_for_grpc_alone() {
    let map = fields(&[("grpc-status", "0"), ("ringfort-caller", "x"), ("x-detail", "1")]);
    assert_eq!(names(&request_trailers(map.clone(), true)), ["grpc-status"]);
    assert!(request_trailers(map.clone(), false).is_empty());
    assert_eq!(names(&response_trailers(map.clone(), true)), ["grpc-status", "x-detail"]);
    assert!(response_trailers(map, false).is_empty());
}

fn read_target(target: &str, host: &str) -> Result<Asked, Refusal> {
    let request = http::Request::get(target).header("host", host).body(()).unwrap();
    read(&request.into_parts().0, &Limits::STANDARD)
}

#[test]
fn upstream_bytes_are_the_canonical_ones() {
    let asked = read_target("/a%7eb?q=%2F", "Shop.Example.:8443").unwrap();
    let canonical = &asked.canonical;
    let http1 = upstream(canonical, canonical.host(), asked.port, false).unwrap();
    assert_eq!(http1.uri.to_string(), "/a~b?q=%2F");
    assert_eq!(http1.host.unwrap(), "shop.example:8443");
    let http2 = upstream(canonical, canonical.host(), None, true).unwrap();
    assert_eq!(http2.uri.to_string(), "http://shop.example/a~b?q=%2F");
    assert!(http2.host.is_none());
}

#[test]
fn heads_are_bounded() {
    let limits = Limits { header_count: 2, header_bytes: ByteCount::bytes(64), ..Limits::STANDARD };
    assert!(check_size(&fields(&[("a", "1"), ("b", "2")]), &limits).is_ok());
    let refusal = check_size(&fields(&[("a", "1"), ("b", "2"), ("c", "3")]), &limits).unwrap_err();
    assert_eq!((refusal.status, refusal.closes), (431, true));
    let long = "0123456789012345678901234567890123456789012345678901234567890123";
    assert_eq!(check_size(&fields(&[("a", long)]), &limits).unwrap_err().status, 431);
    assert_eq!(read_target(&format!("/{}", "a".repeat(9000)), "x").unwrap_err().status, 414);
}
