//! Whom the edge takes for the client.

use std::net::IpAddr;

use proptest::prelude::*;

use super::client_address;
use crate::snapshot::Cidr;

fn network(text: &str) -> Cidr {
    let (address, prefix) = text.split_once('/').unwrap();
    Cidr { address: address.parse().unwrap(), prefix: prefix.parse().unwrap() }
}

fn decide(peer: &str, trusted: &[&str], forwarded: &[&str], custom: &[&str]) -> IpAddr {
    read(peer, trusted, forwarded, custom).unwrap()
}

fn read(peer: &str, trusted: &[&str], forwarded: &[&str], custom: &[&str]) -> Option<IpAddr> {
    let trusted: Vec<Cidr> = trusted.iter().map(|text| network(text)).collect();
    let bytes = |values: &[&str]| values.iter().map(|v| v.as_bytes().to_vec()).collect::<Vec<_>>();
    let (forwarded, custom) = (bytes(forwarded), bytes(custom));
    client_address(
        peer.parse().unwrap(),
        &trusted,
        forwarded.iter().map(Vec::as_slice),
        custom.iter().map(Vec::as_slice),
    )
}

/// What `X-Forwarded-For` yields; `Forwarded` with the same hops must yield the same.
#[track_caller]
fn check(peer: &str, trusted: &[&str], hops: &[&str], expected: &str) {
    let quoted = |line: &&str| {
        let element = |hop: &str| format!("proto=https;FOR=\"{}\"", hop.trim());
        line.split(',').map(element).collect::<Vec<_>>().join(" , ")
    };
    let standard: Vec<String> = hops.iter().map(quoted).collect();
    let standard: Vec<&str> = standard.iter().map(String::as_str).collect();
    let expected: IpAddr = expected.parse().unwrap();
    assert_eq!(decide(peer, trusted, &[], hops), expected, "X-Forwarded-For {hops:?}");
    assert_eq!(decide(peer, trusted, &standard, &[]), expected, "Forwarded {standard:?}");
    assert_eq!(decide(peer, trusted, &standard, hops), expected, "both {standard:?}");
}

#[test]
fn protocol_forwarded_is_not_believed_from_strangers() {
    check("203.0.113.7", &[], &["10.0.0.1"], "203.0.113.7");
    check("203.0.113.7", &["10.0.0.0/8"], &["10.0.0.1, 10.0.0.2"], "203.0.113.7");
    check("::ffff:203.0.113.7", &[], &["1.2.3.4"], "203.0.113.7");
}

#[test]
fn the_client_is_the_rightmost_hop_that_is_no_listed_proxy() {
    let trusted = &["10.0.0.0/8", "2001:db8::/32"];
    check("10.0.0.1", trusted, &["198.51.100.4"], "198.51.100.4");
    check("10.0.0.1", trusted, &["6.6.6.6, 198.51.100.4, 10.0.0.2"], "198.51.100.4");
    check("10.0.0.1", trusted, &["6.6.6.6", "198.51.100.4", "10.0.0.2"], "198.51.100.4");
    check("10.0.0.1", trusted, &["6.6.6.6,198.51.100.4:5566"], "198.51.100.4");
    check("10.0.0.1", trusted, &["6.6.6.6,[2001:db9::1]:443"], "2001:db9::1");
    check("2001:db8::9", trusted, &["[2001:db9::1]"], "2001:db9::1");
    check("10.0.0.1", trusted, &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    check("10.0.0.1", trusted, &[], "10.0.0.1");
}

#[test]
fn a_mapped_address_is_its_ipv4_address() {
    check("::ffff:10.0.0.1", &["10.0.0.0/8"], &["::ffff:198.51.100.4"], "198.51.100.4");
    check("10.0.0.1", &["::ffff:10.0.0.0/104"], &["198.51.100.4"], "198.51.100.4");
    check("10.0.0.1", &["10.0.0.0/8"], &["6.6.6.6, ::ffff:10.9.9.9"], "6.6.6.6");
}

#[test]
fn an_unreadable_hop_ends_the_walk() {
    for bad in
        ["unknown", "_hidden", "", "1.2.3", "a.example", "1.2.3.4.5", "[::1", "1.2.3.4:99999"]
    {
        let hops = format!("6.6.6.6, {bad}");
        check("10.0.0.1", &["10.0.0.0/8"], &[&hops], "10.0.0.1");
        let hops = format!("6.6.6.6, {bad}, 10.0.0.7");
        check("10.0.0.1", &["10.0.0.0/8"], &[&hops], "10.0.0.7");
    }
    let long = vec!["10.0.0.9"; 40].join(",");
    check("10.0.0.1", &["10.0.0.0/8"], &[&format!("6.6.6.6,{long}")], "10.0.0.9");
}

#[test]
fn a_field_that_a_proxy_passes_through_cannot_forge() {
    for passed in ["for=6.6.6.6", "for=unknown", "for=10.0.0.9"] {
        let seen = read("10.0.0.1", &["10.0.0.0/8"], &[passed], &["198.51.100.4"]);
        assert_eq!(seen, None, "{passed}");
    }
    let twice = decide("10.0.0.1", &["10.0.0.0/8"], &["for=6.6.6.6;for=7.7.7.7"], &[]);
    assert_eq!(twice, "10.0.0.1".parse::<IpAddr>().unwrap());
    let open_quote =
        decide("10.0.0.1", &["10.0.0.0/8"], &["for=\"6.6.6.6", "for=198.51.100.4"], &[]);
    assert_eq!(open_quote, "198.51.100.4".parse::<IpAddr>().unwrap());
}

#[test]
fn a_network_contains_its_addresses() {
    let check = |text: &str, address: &str, expected: bool| {
        assert_eq!(network(text).contains(address.parse().unwrap()), expected, "{text} {address}");
    };
    check("10.0.0.0/8", "10.255.0.1", true);
    check("10.0.0.0/8", "11.0.0.0", false);
    check("10.0.0.1/32", "10.0.0.1", true);
    check("10.0.0.1/32", "10.0.0.2", false);
    check("0.0.0.0/0", "255.1.2.3", true);
    check("0.0.0.0/0", "::1", false);
    check("::/0", "::1", true);
    check("::/0", "1.2.3.4", false);
    check("2001:db8::/33", "2001:db8:7fff::1", true);
    check("2001:db8::/33", "2001:db8:8000::1", false);
    check("10.1.2.3/16", "10.1.9.9", true);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_client_writes_in_front_changes_nothing(front in "[ -~]{0,60}", many in 0_usize..3) {
        let mut lines = vec![front.as_str(); many];
        lines.push("198.51.100.4, 10.0.0.2");
        let seen = decide("10.0.0.1", &["10.0.0.0/8"], &[], &lines);
        prop_assert_eq!(seen, "198.51.100.4".parse::<IpAddr>().unwrap());
        let glued = format!("{front},198.51.100.4");
        let seen = decide("10.0.0.1", &["10.0.0.0/8"], &[], &[&glued]);
        prop_assert_eq!(seen, "198.51.100.4".parse::<IpAddr>().unwrap());
    }
}
