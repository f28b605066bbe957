//! The grammar of single values, spelling by spelling.

use std::time::Duration;

use super::{check, date, duration, duration_text, network};
use crate::language::{Space, Text};

#[track_caller]
fn reads(kind: Text, good: &[&str], bad: &[&str]) {
    for text in good {
        assert_eq!(check(kind, text, true), Ok(()), "{text}");
    }
    for text in bad {
        assert!(check(kind, text, true).is_err(), "{kind:?} took `{text}`");
    }
}

#[test]
fn quantities_have_units() {
    let span = Text::Duration { min: Duration::ZERO, max: Duration::from_secs(u64::MAX / 2000) };
    reads(
        span,
        &["250ms", "2s", "5m", "12h", "14d", "0s"],
        &["2", "s", "-2s", "2 s", "02s", "1.5s", "2S", "1e3s", "99999999999999999999d"],
    );
    let size = Text::Bytes { min: 0, max: 1 << 40 };
    reads(
        size,
        &["0B", "64KiB", "1MiB", "2GiB"],
        &["64KB", "64kib", "64", "KiB", "1TiB", "99999999999GiB"],
    );
    reads(Text::Percent { min: 1, max: 100 }, &["1%", "100%"], &["0%", "101%", "5", "%", "256%"]);
    reads(
        Text::Rate,
        &["60/min", "10/15min", "1/s", "5/2h"],
        &["60", "0/min", "60/m", "60/0min", "/min", "60/", "x/min"],
    );
    reads(
        Text::Count { min: 1, max: 9 },
        &["1", "9"],
        &["0", "10", "01", "+1", "1_0", "0x1", "1.0", ""],
    );
}

#[test]
fn addresses_and_names_have_one_spelling() {
    reads(
        Text::Host,
        &["a", "shop.example", "a-b.c_d", "10.0.0.1", "[::1]"],
        &["Shop.example", "a.", ".a", "a:80", "-a", "a..b", "10.0.0", "1", "::1", "a/b", "*.a", ""],
    );
    reads(
        Text::Socket,
        &["127.0.0.1:80", "[::1]:80"],
        &["localhost:80", "80", ":80", "127.0.0.1:0", "127.0.0.1", "::1:80x"],
    );
    reads(
        Text::Network,
        &["10.0.0.0/8", "0.0.0.0/0", "::/0", "fd00::/8", "10.0.0.1/32"],
        &["10.0.0.1/8", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "fd00::1/8", "x/8"],
    );
    reads(Text::TrustDomain, &["a.example"], &["A", "", "a/b"]);
    reads(Text::Header, &["x-a", "etag"], &["X-A", "a b", "a:", ""]);
    reads(Text::Method, &["GET", "PURGE", "PROPFIND"], &["get", "GTE", "POTS", "G T", ""]);
    reads(
        Text::Url(&["https"]),
        &["https://a.example", "https://a.example:8443/x?y"],
        &[
            "http://a.example",
            "https://",
            "https://u@a.example",
            "https://A",
            "https://a:x",
            "https://a b",
        ],
    );
    reads(Text::Target, &["/x", "https://a/x"], &["x", "//a", "/\\a", "javascript:x", "/a b"]);
    reads(Text::File, &["a", "a/b.c"], &["/a", "../a", "a/../b", "a//b", "./a", "a\\b", ""]);
    reads(Text::HostPath, &["/a/b"], &["a", "/a/../b"]);
    reads(Text::Prefix, &["/", "/a/b"], &["/a/", "/{x}", "/a/*", "a"]);
    reads(
        Text::Operation,
        &["GET /x/{id}", "a.B/C", "listOrders"],
        &["get /x", "GET x", "/x", "a/b/c", "a b c", "GET  /x"],
    );
    reads(Text::HeaderValue, &["a b", "x/1; q=1"], &[" a", "ü", "a\tb"]);
    reads(Text::Origin, &["https://a.example", "http://a:80"], &["https://a/", "https://a/x", "a"]);
    reads(Text::Variable, &["A", "_a1"], &["1a", "a=b", "a b", ""]);
    reads(Text::Flag, &["true", "false"], &["yes", "on", "no", "TRUE", "1", ""]);
    reads(Text::Reference(Space::Service), &["anything"], &["a\nb", "a\u{7}"]);
}

#[test]
fn a_quoted_number_is_text() {
    assert!(check(Text::Count { min: 1, max: 9 }, "5", false).is_err());
    assert!(check(Text::Flag, "true", false).is_err());
}

#[test]
fn days_are_counted_from_the_epoch() {
    let check = |text: &str, expected: Option<u64>| assert_eq!(date(text).ok(), expected, "{text}");
    check("1970-01-01", Some(0));
    check("2000-03-01", Some(11_017));
    check("2024-02-29", Some(19_782));
    check("2026-12-15", Some(20_802));
    check("2026-02-29", None);
    check("2026-13-01", None);
    check("2026-00-01", None);
    check("2026-1-1", None);
    check("1969-12-31", None);
    check("15.12.2026", None);
}

#[test]
fn durations_print_as_they_are_written() {
    for text in ["250ms", "2s", "90s", "5m", "12h", "14d", "0s"] {
        assert_eq!(duration_text(duration(text).unwrap()), text);
    }
}

#[test]
fn a_network_is_named_by_its_first_address() {
    let mended = network("10.1.2.3/16").unwrap_err().help;
    assert_eq!(mended.as_deref(), Some("`10.1.0.0/16`"));
    let mended = network("10.1.2.3").unwrap_err().help;
    assert_eq!(mended.as_deref(), Some("`10.1.2.3/32`"));
}
