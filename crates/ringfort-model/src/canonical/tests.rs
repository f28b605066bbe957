//! The one reading of a request: which spellings are read, how, and which are refused by the protocol ring.

use proptest::prelude::*;

use super::{
    CanonicalRequest, CanonicaliseError as Fault, HostField, HttpVersion, Normalization, RawRequest,
};
use crate::{ByteCount, Refusal, Ring, snapshot::Rewrite};
use Normalization::{EncodedSlash, MatrixParams, MergeSlashes, Strict};

const TARGET_MAX: ByteCount = ByteCount::kib(8);

fn raw(path: &[u8]) -> RawRequest<'_> {
    RawRequest {
        method: b"GET",
        path,
        query: None,
        authority: None,
        host: HostField::One(b"shop.example"),
        version: HttpVersion::Http11,
    }
}

fn read(path: &[u8], profile: Normalization) -> Result<CanonicalRequest, Fault> {
    CanonicalRequest::parse_for(&raw(path), profile, TARGET_MAX)
}

/// What a profile makes of a path: `wire` and `key`, or the fault.
#[track_caller]
fn check(profile: Normalization, path: &str, expected: Result<(&str, &str), Fault>) {
    let seen = read(path.as_bytes(), profile);
    let seen = seen.as_ref().map(|request| (request.wire(), request.key())).map_err(|fault| *fault);
    assert_eq!(seen, expected, "{} {path}", profile.as_str());
}

/// All profiles agree.
#[track_caller]
fn check_all(path: &str, expected: Result<(&str, &str), Fault>) {
    for profile in Normalization::ALL {
        check(profile, path, expected);
    }
}

/// One profile reads the path; the others refuse it.
#[track_caller]
fn check_only(reader: Normalization, path: &str, reading: (&str, &str), fault: Fault) {
    for profile in Normalization::ALL {
        check(profile, path, if profile == reader { Ok(reading) } else { Err(fault) });
    }
}

#[test]
fn plain_paths_are_read_by_every_upstream() {
    for path in
        ["/", "/a", "/a/b.c", "/api/orders/7/pay", "/a-b_c~d", "/a:b@c!$&'()*+,=", "/..a/.b"]
    {
        check_all(path, Ok((path, path)));
    }
    check_all("/a/", Ok(("/a/", "/a")));
    check_all("/a/b/", Ok(("/a/b/", "/a/b")));
}

#[test]
fn escapes_have_one_spelling() {
    check_all("/%61%2D%7e", Ok(("/a-~", "/a-~")));
    check_all("/a%20b", Ok(("/a%20b", "/a b")));
    check_all("/%c3%a4", Ok(("/%C3%A4", "/ä")));
    check_all("/a%3ab", Ok(("/a%3Ab", "/a:b")));
    check_all("/50%25", Ok(("/50%25", "/50%25")));
    check_all("/50%25/off", Ok(("/50%25/off", "/50%25/off")));
    check_all(
        "/a|b^c[d]{e}\"<f>`",
        Ok(("/a%7Cb%5Ec%5Bd%5D%7Be%7D%22%3Cf%3E%60", "/a|b^c[d]{e}\"<f>`")),
    );
}

#[test]
fn protocol_slash_is_read_only_by_merge_slashes() {
    check_only(MergeSlashes, "/a//b", ("/a/b", "/a/b"), Fault::DoubleSlash);
    check_only(MergeSlashes, "//", ("/", "/"), Fault::DoubleSlash);
    check_only(MergeSlashes, "//a", ("/a", "/a"), Fault::DoubleSlash);
    check_only(MergeSlashes, "/a///", ("/a/", "/a"), Fault::DoubleSlash);
    check_only(MergeSlashes, "/a//%62", ("/a/b", "/a/b"), Fault::DoubleSlash);
}

#[test]
fn protocol_dots_are_resolved_only_by_merge_slashes() {
    for (path, wire, key) in [
        ("/a/./b", "/a/b", "/a/b"),
        ("/a/../b", "/b", "/b"),
        ("/a/%2e%2E/b", "/b", "/b"),
        ("/a/.%2e/b", "/b", "/b"),
        ("/a/b/..", "/a/", "/a"),
        ("/a/.", "/a/", "/a"),
        ("/..", "/", "/"),
        ("/../../a", "/a", "/a"),
        ("/.", "/", "/"),
        ("/a/../../../admin", "/admin", "/admin"),
    ] {
        check_only(MergeSlashes, path, (wire, key), Fault::Dots);
    }
    check(MergeSlashes, "/a//../b", Ok(("/b", "/b")));
}

#[test]
fn protocol_slash_encoded_is_data_only_for_encoded_slash() {
    check_only(EncodedSlash, "/a%2fb", ("/a%2Fb", "/a%2Fb"), Fault::EncodedSlash);
    check_only(EncodedSlash, "/%2F", ("/%2F", "/%2F"), Fault::EncodedSlash);
    for (path, both) in [("/a%3fb", "/a%3Fb"), ("/a%23b", "/a%23b"), ("/a%3Bb", "/a%3Bb")] {
        check_only(EncodedSlash, path, (both, both), Fault::EncodedDelimiter);
    }
}

#[test]
fn protocol_double_escapes_are_data_only_for_encoded_slash() {
    for (path, both) in [
        ("/%252e%252e/a", "/%252e%252e/a"),
        ("/a%252Fb", "/a%252Fb"),
        ("/a%25%32f", "/a%252f"),
        ("/a%25%2541", "/a%25%2541"),
    ] {
        check_only(EncodedSlash, path, (both, both), Fault::EncodedDelimiter);
    }
}

#[test]
fn parameters_are_sent_but_no_key_only_for_matrix_params() {
    check_only(MatrixParams, "/a;k=v/b", ("/a;k=v/b", "/a/b"), Fault::Parameters);
    check_only(MatrixParams, "/a;k=%c3%a4;l/", ("/a;k=%C3%A4;l/", "/a"), Fault::Parameters);
    check_only(MatrixParams, "/;jsessionid=1", ("/;jsessionid=1", "/"), Fault::Parameters);
    check_only(MatrixParams, "/a/;x", ("/a/;x", "/a"), Fault::Parameters);
    check_only(MatrixParams, "/a;b;c", ("/a;b;c", "/a"), Fault::Parameters);
}

#[test]
fn hostile_spellings_are_refused_for_every_upstream() {
    for (path, fault) in [
        // protocol-no-slash
        ("", Fault::NoSlash),
        ("a", Fault::NoSlash),
        ("*", Fault::NoSlash),
        ("%2Fa", Fault::NoSlash),
        ("\\a", Fault::NoSlash),
        // protocol-slash
        ("/a\\b", Fault::Backslash),
        ("/a%5cb", Fault::Backslash),
        ("/..\\admin", Fault::Backslash),
        ("/..%5Cadmin", Fault::Backslash),
        // protocol-fragment, protocol-query
        ("/a#b", Fault::PathByte),
        ("/a?b", Fault::PathByte),
        // protocol-double
        ("/%00", Fault::Control),
        ("/a%0d%0aX: y", Fault::Control),
        ("/%1F", Fault::Control),
        ("/%7f", Fault::Control),
        ("/%zz", Fault::BadEscape),
        ("/%", Fault::BadEscape),
        ("/%2", Fault::BadEscape),
        ("/%2/a", Fault::BadEscape),
        ("/%+2", Fault::BadEscape),
        ("/%u002e", Fault::BadEscape),
        ("/%c0%ae%c0%ae/", Fault::NotUtf8),
        ("/%c0%af", Fault::NotUtf8),
        ("/%ff", Fault::NotUtf8),
        ("/%ed%a0%80", Fault::NotUtf8),
        ("/ä", Fault::PathByte),
        ("/a b", Fault::PathByte),
        ("/a\tb", Fault::PathByte),
        ("/a\0b", Fault::PathByte),
        ("/a\u{7f}", Fault::PathByte),
        // protocol-dots behind something
        ("/a/..;/b", Fault::HiddenDots),
        ("/a/%2e%2e;x=y/b", Fault::HiddenDots),
        ("/a/.;/b", Fault::HiddenDots),
        ("/a;../b", Fault::HiddenDots),
        ("/a/..%2fb", Fault::HiddenDots),
        ("/a/%2e%2e%2Fb", Fault::HiddenDots),
        ("/a%2f..", Fault::HiddenDots),
        ("/a%2F..%2Fb", Fault::HiddenDots),
        ("/a/..%3bx/b", Fault::HiddenDots),
        ("/a/..%3fx", Fault::HiddenDots),
        ("/a/..%23x", Fault::HiddenDots),
        // Two peculiarities that no one upstream reads.
        ("/a;x%2Fb", Fault::EncodedSlash),
        ("/a//b%2Fc", Fault::EncodedSlash),
        ("/a%2Fb//c", Fault::DoubleSlash),
        ("/a/../b;c", Fault::Parameters),
        ("/a/;x/b", Fault::DoubleSlash),
        ("/a%3B/;b", Fault::Parameters),
    ] {
        check_all(path, Err(fault));
    }
    for byte in 0x80..=0xFF_u8 {
        assert_eq!(read(&[b'/', byte], EncodedSlash), Err(Fault::PathByte), "{byte:#x}");
    }
}

#[test]
fn what_applications_need_keeps_working_with_encoded_slash() {
    for (path, key) in [
        // GitLab
        (
            "/api/v4/projects/group%2Fproj/repository/files/src%2Fa.rs/raw",
            "/api/v4/projects/group%2Fproj/repository/files/src%2Fa.rs/raw",
        ),
        // Argo CD
        (
            "/api/v1/repositories/git%40github.com%3Aorg%2Fdashboard.git/apps",
            "/api/v1/repositories/git@github.com:org%2Fdashboard.git/apps",
        ),
        // Matrix
        (
            "/_matrix/client/v3/directory/room/%23sd%3Amatrix.example.com",
            "/_matrix/client/v3/directory/room/%23sd:matrix.example.com",
        ),
        (
            "/_matrix/client/v3/room_keys/keys/!GtVr/JOfw%2FuvvE%2BJ5",
            "/_matrix/client/v3/room_keys/keys/!GtVr/JOfw%2FuvvE+J5",
        ),
        // Nextcloud Office
        (
            "/cool/https%3A%2F%2Fcloud.example%3A443%2Findex.php%2Fwopi%2Ffiles%2F7%3Faccess_token%3Dx/ws",
            "/cool/https:%2F%2Fcloud.example:443%2Findex.php%2Fwopi%2Ffiles%2F7%3Faccess_token=x/ws",
        ),
        // Argus
        (
            "/api/v1/service/summary/paperless-ngx%2Fpaperless-ngx",
            "/api/v1/service/summary/paperless-ngx%2Fpaperless-ngx",
        ),
        // Nextcloud
        ("/remote.php/dav/files/u/100%25ab", "/remote.php/dav/files/u/100%25ab"),
    ] {
        check(EncodedSlash, path, Ok((path, key)));
    }
}

#[test]
fn the_query_is_sent_as_received_and_never_part_of_the_key() {
    let check = |query: Option<&[u8]>, expected: Result<(&str, Option<&str>), Fault>| {
        let raw = RawRequest { query, ..raw(b"/a/") };
        let request = CanonicalRequest::parse(&raw, TARGET_MAX);
        let seen = request.as_ref().map(|r| (r.target(), r.query())).map_err(|fault| *fault);
        assert_eq!(seen, expected);
        if let Ok(request) = &request {
            assert_eq!((request.key(), request.wire()), ("/a", "/a/"));
        }
    };
    check(None, Ok(("/a/", None)));
    check(Some(b""), Ok(("/a/?", Some(""))));
    check(
        Some(b"x=%2e%2e/..//&y=?;\\"),
        Ok(("/a/?x=%2e%2e/..//&y=?;\\", Some("x=%2e%2e/..//&y=?;\\"))),
    );
    check(Some(b"a#b"), Err(Fault::Query));
    check(Some(b"a b"), Err(Fault::Query));
    check(Some(b"a\r\nb"), Err(Fault::Query));
    check(Some("ä".as_bytes()), Err(Fault::Query));
}

#[test]
fn the_method_is_a_short_upper_case_token() {
    let check = |method: &str, expected: Result<&str, Fault>| {
        let raw = RawRequest { method: method.as_bytes(), ..raw(b"/") };
        let request = CanonicalRequest::parse(&raw, TARGET_MAX);
        assert_eq!(request.as_ref().map(CanonicalRequest::method).map_err(|f| *f), expected);
    };
    check("GET", Ok("GET"));
    check("BASELINE-CONTROL", Ok("BASELINE-CONTROL"));
    check("CONNECT", Err(Fault::Connect));
    for bad in ["", "get", "Get", "GET ", "GE/T", "G\0", &"A".repeat(33)] {
        check(bad, Err(Fault::Method));
    }
}

#[track_caller]
fn check_host(
    authority: Option<&str>,
    hosts: &[&str],
    version: HttpVersion,
    expected: Result<&str, Fault>,
) {
    let raw = RawRequest {
        authority: authority.map(str::as_bytes),
        host: HostField::of(hosts.iter().map(|host| host.as_bytes())),
        version,
        ..raw(b"/")
    };
    let request = CanonicalRequest::parse(&raw, TARGET_MAX);
    let seen = request.as_ref().map(CanonicalRequest::host).map_err(|fault| *fault);
    assert_eq!(seen, expected, "{authority:?} {hosts:?} {version:?}");
}

#[test]
fn protocol_host_has_one_spelling() {
    for (host, expected) in [
        ("shop.example", Ok("shop.example")),
        ("SHOP.Example:8443", Ok("shop.example")),
        ("shop.example.", Ok("shop.example")),
        ("shop.example.:443", Ok("shop.example")),
        ("127.0.0.1:80", Ok("127.0.0.1")),
        ("[::1]", Ok("[::1]")),
        ("[0:0:0:0:0:0:0:1]:8443", Ok("[::1]")),
        ("[2001:DB8::A]", Ok("[2001:db8::a]")),
        ("my_service", Ok("my_service")),
        ("", Err(Fault::Host)),
        (".", Err(Fault::Host)),
        ("a..b", Err(Fault::Host)),
        (".a", Err(Fault::Host)),
        ("a..", Err(Fault::Host)),
        ("a:", Err(Fault::Host)),
        ("a:x", Err(Fault::Host)),
        ("a:+1", Err(Fault::Host)),
        ("a:65536", Err(Fault::Host)),
        ("a:80:80", Err(Fault::Host)),
        ("::1", Err(Fault::Host)),
        ("[::1", Err(Fault::Host)),
        ("[::1]x", Err(Fault::Host)),
        ("[::1%25eth0]", Err(Fault::Host)),
        ("[a]", Err(Fault::Host)),
        ("a%2eb", Err(Fault::Host)),
        ("a b", Err(Fault::Host)),
        ("a,b", Err(Fault::Host)),
        ("a/b", Err(Fault::Host)),
        ("a\0", Err(Fault::Host)),
        ("shöp.example", Err(Fault::Host)),
        ("user@shop.example", Err(Fault::UserInfo)),
        ("evil@", Err(Fault::UserInfo)),
    ] {
        check_host(None, &[host], HttpVersion::Http11, expected);
        check_host(Some(host), &[], HttpVersion::Http2, expected);
    }
    check_host(None, &[&"a".repeat(64)], HttpVersion::Http11, Err(Fault::Host));
    check_host(
        None,
        &[&"a.".repeat(127)],
        HttpVersion::Http11,
        Ok("a.".repeat(127).trim_end_matches('.')),
    );
    check_host(None, &[&"a.".repeat(128)], HttpVersion::Http11, Err(Fault::Host));
}

#[test]
fn protocol_host_names_one_authority() {
    use HttpVersion::{Http2, Http10, Http11};
    check_host(Some("a"), &["A."], Http11, Ok("a"));
    check_host(Some("a:80"), &["a"], Http11, Ok("a"));
    check_host(Some("[::1]"), &["[0::1]:80"], Http2, Ok("[::1]"));
    check_host(Some("a"), &["b"], Http11, Err(Fault::HostConflict));
    check_host(Some("a:80"), &["a:81"], Http11, Err(Fault::HostConflict));
    check_host(Some("a"), &["[::1]"], Http2, Err(Fault::HostConflict));
    check_host(Some("a"), &[""], Http2, Err(Fault::Host));
    check_host(None, &["a", "a"], Http11, Err(Fault::ManyHosts));
    check_host(Some("a"), &["a", "b"], Http2, Err(Fault::ManyHosts));
    check_host(Some("a"), &[], Http11, Err(Fault::NoHost));
    check_host(Some("a"), &[], Http10, Ok("a"));
    check_host(None, &["a"], Http10, Ok("a"));
    check_host(None, &[], Http10, Err(Fault::NoHost));
    check_host(None, &[], Http2, Err(Fault::NoHost));
}

#[test]
fn the_target_has_a_longest_length() {
    let check = |path_bytes: usize, query: Option<&[u8]>, expected: Result<(), Fault>| {
        let path = format!("/{}", "a".repeat(path_bytes.saturating_sub(1)));
        let request = CanonicalRequest::parse(
            &RawRequest { query, ..raw(path.as_bytes()) },
            ByteCount::bytes(16),
        );
        assert_eq!(request.map(drop), expected);
    };
    check(16, None, Ok(()));
    check(17, None, Err(Fault::TooLong));
    check(15, Some(b""), Ok(()));
    check(15, Some(b"q"), Err(Fault::TooLong));
    let request = CanonicalRequest::parse(&raw(b"/1234567"), TARGET_MAX).unwrap();
    assert_eq!(request.fits(ByteCount::bytes(8)), Ok(()));
    assert_eq!(request.fits(ByteCount::bytes(7)), Err(Fault::TooLong));
}

#[track_caller]
fn check_rewrite(
    path: &str,
    strip: Option<&str>,
    add: Option<&str>,
    expected: Result<(&str, &str), Fault>,
) {
    let raw = RawRequest { query: Some(b"q=1"), ..raw(path.as_bytes()) };
    let request = CanonicalRequest::parse(&raw, TARGET_MAX).unwrap();
    let rewrite = Rewrite {
        strip_prefix: strip.map(ToOwned::to_owned),
        add_prefix: add.map(ToOwned::to_owned),
    };
    let rewritten = request.rewritten(&rewrite);
    let seen = rewritten.as_ref().map(|r| (r.target(), r.key())).map_err(|fault| *fault);
    assert_eq!(seen, expected, "{path} -{strip:?} +{add:?}");
    if let Ok(rewritten) = rewritten {
        assert_eq!((rewritten.method(), rewritten.host()), ("GET", "shop.example"));
    }
}

#[test]
fn protocol_rewrite_stays_at_segment_borders() {
    check_rewrite("/api/a", Some("/api"), None, Ok(("/a?q=1", "/a")));
    check_rewrite("/api/a", Some("/api/"), Some("/v2/"), Ok(("/v2/a?q=1", "/v2/a")));
    check_rewrite("/api", Some("/api"), None, Ok(("/?q=1", "/")));
    check_rewrite("/api/", Some("/api"), Some("/v2"), Ok(("/v2/?q=1", "/v2")));
    check_rewrite("/%61pi/a", Some("/api"), None, Ok(("/a?q=1", "/a")));
    check_rewrite("/a%20b/c", Some("/a b"), None, Ok(("/c?q=1", "/c")));
    check_rewrite("/a", None, Some("/v2"), Ok(("/v2/a?q=1", "/v2/a")));
    check_rewrite("/a/b/c", Some("/a/b"), Some("/x"), Ok(("/x/c?q=1", "/x/c")));
    check_rewrite("/a", Some("/"), None, Ok(("/a?q=1", "/a")));
    check_rewrite("/a;k=v/b%41;l", Some("/a"), None, Ok(("/bA;l?q=1", "/bA")));
    check_rewrite("/apis/a", Some("/api"), None, Err(Fault::NoPrefix));
    check_rewrite("/", Some("/api"), None, Err(Fault::NoPrefix));
    check_rewrite("/api%2Fa", Some("/api"), None, Err(Fault::NoPrefix));
    check_rewrite("/a", None, Some("v2"), Err(Fault::Rewritten));
    check_rewrite("/a", None, Some("/v2//"), Err(Fault::Rewritten));
    check_rewrite("/a", None, Some("/v2/.."), Err(Fault::Rewritten));
    check_rewrite("/a", None, Some("/%2e"), Err(Fault::Rewritten));
    check_rewrite("/a;k", None, Some("/b%2Fc"), Err(Fault::Rewritten));
    check_rewrite("/a", None, Some("/b%2Fc"), Err(Fault::Rewritten));
    check_rewrite("/a", None, Some("/b;k"), Err(Fault::Rewritten));
    check_rewrite("/a%2Fb", None, Some("/c%2Fd"), Ok(("/c%2Fd/a%2Fb?q=1", "/c%2Fd/a%2Fb")));
}

#[test]
fn a_rewritten_path_still_needs_its_upstream() {
    let strip = Rewrite { strip_prefix: Some("/a%2Fb".to_owned()), add_prefix: None };
    let request = read(b"/a%2Fb/c", EncodedSlash).unwrap().rewritten(&strip).unwrap();
    assert_eq!(request.wire(), "/c");
    assert_eq!(request.require(Strict), Err(Fault::EncodedSlash));
    assert_eq!(request.require(EncodedSlash), Ok(()));
}

#[test]
fn every_fault_has_its_own_word_sentence_and_status() {
    let words: std::collections::BTreeSet<_> = Fault::ALL.map(Fault::reason).into();
    let sentences: std::collections::BTreeSet<_> = Fault::ALL.map(|f| f.to_string()).into();
    assert_eq!((words.len(), sentences.len()), (Fault::ALL.len(), Fault::ALL.len()));
    for fault in Fault::ALL {
        let refusal = Refusal::from(fault);
        assert_eq!(refusal.ring, Ring::Protocol);
        assert_eq!(refusal.closes, fault != Fault::NoPrefix, "{fault}");
        assert!((400..500).contains(&refusal.status), "{fault}");
    }
}

/// Paths made of the pieces that attacks are made of.
fn hostile_path() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", "/", "//", ".", "..", "%2e", "%2E", "%2f", "%2F", "%5c", "\\", ";", "%3b", "?",
        "%3f", "#", "%23", "%", "%25", "%00", "%zz", "%32", "%66", "2e", "a", "B", "~", "%61",
        "%c3%a4", "%C3", " ", "%20", "=", "@", "%40", "|", "admin", "\u{e4}", "%0a", "%7f",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn profile() -> impl Strategy<Value = Normalization> {
    prop::sample::select(Normalization::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn the_wire_reads_as_the_raw_path_did(path in hostile_path(), profile in profile()) {
        if let Ok(first) = read(path.as_bytes(), profile) {
            let second = read(first.wire().as_bytes(), profile).unwrap();
            prop_assert_eq!(second.wire(), first.wire());
            prop_assert_eq!(second.key(), first.key());
        }
    }

    #[test]
    fn no_key_says_two_things(path in hostile_path(), profile in profile()) {
        if let Ok(request) = read(path.as_bytes(), profile) {
            let key = request.key();
            prop_assert!(key.starts_with('/'));
            prop_assert!(!key.contains("//") && !key.contains(['\\', ';', '?', '#']));
            prop_assert!(key == "/" || !key.ends_with('/'));
            prop_assert!(!key.bytes().any(|b| b.is_ascii_control()));
            prop_assert!(!key.split('/').any(|segment| segment == "." || segment == ".."));
            let escapes = key.match_indices('%').map(|(at, _)| key.get(at..at + 3).unwrap_or(""));
            for escape in escapes {
                prop_assert!(["%2F", "%3B", "%3F", "%23", "%25"].contains(&escape), "{}", key);
            }
            let wire = request.wire();
            prop_assert!(wire.bytes().all(|b| b.is_ascii_graphic()) && !wire.contains("//"));
        }
    }

    #[test]
    fn each_profile_reads_as_its_column_says(path in hostile_path(), profile in profile()) {
        let seen = read(path.as_bytes(), profile).ok();
        let seen = seen.map(|request| (request.wire().to_owned(), request.key().to_owned()));
        prop_assert_eq!(seen, oracle::read(&path, profile), "{} {}", profile.as_str(), path);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        method: Vec<u8>, path: Vec<u8>, query: Option<Vec<u8>>, authority: Option<Vec<u8>>, host: Vec<u8>,
    ) {
        for version in [HttpVersion::Http10, HttpVersion::Http11, HttpVersion::Http2] {
            let raw = RawRequest {
                method: &method,
                path: &path,
                query: query.as_deref(),
                authority: authority.as_deref(),
                host: HostField::One(&host),
                version,
            };
            let read = CanonicalRequest::parse(&raw, TARGET_MAX);
            prop_assert!(read.is_err() || path.first() == Some(&b'/'));
        }
    }

    #[test]
    fn a_rewritten_path_is_canonical(
        path in hostile_path(), profile in profile(), strip in hostile_path(), add in hostile_path(),
    ) {
        if let Ok(request) = read(path.as_bytes(), profile) {
            for rewrite in [
                Rewrite { strip_prefix: Some(strip), add_prefix: None },
                Rewrite { strip_prefix: None, add_prefix: Some(add) },
            ] {
                if let Ok(new) = request.rewritten(&rewrite) {
                    prop_assert_eq!(new.require(profile), Ok(()));
                    let again = read(new.wire().as_bytes(), profile).unwrap();
                    prop_assert_eq!((again.wire(), again.key()), (new.wire(), new.key()));
                }
            }
        }
    }
}

mod oracle;
