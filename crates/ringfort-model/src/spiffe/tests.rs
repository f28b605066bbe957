//! Which texts are SPIFFE IDs.

use super::{ParseSpiffeError, SpiffeId, WorkloadKind};

#[track_caller]
fn check(text: &str, expected: Result<(&str, &str), ParseSpiffeError>) {
    let parsed = text.parse::<SpiffeId>();
    let parts = parsed.as_ref().map(|id| (id.trust_domain(), id.path())).map_err(Clone::clone);
    assert_eq!(parts, expected, "{text:?}");
}

#[test]
fn splits_into_trust_domain_and_path() {
    check("spiffe://shop.example/svc/orders", Ok(("shop.example", "/svc/orders")));
    check("spiffe://a_b-c.d/X.y_z-1", Ok(("a_b-c.d", "/X.y_z-1")));
}

#[test]
fn refuses_everything_outside_the_grammar() {
    for bad in ["SPIFFE://a/b", "spiffe:/a/b", "https://a/b", "", "spiffe:///", " spiffe://a/b"] {
        let expected = if bad == "spiffe:///" {
            ParseSpiffeError::TrustDomain
        } else {
            ParseSpiffeError::Scheme
        };
        check(bad, Err(expected));
    }
    for bad in
        ["spiffe://A/b", "spiffe://a:80/b", "spiffe://u@a/b", "spiffe://a%41/b", "spiffe:///b"]
    {
        check(bad, Err(ParseSpiffeError::TrustDomain));
    }
    check("spiffe://a", Err(ParseSpiffeError::NoPath));
    check("spiffe://a/", Err(ParseSpiffeError::NoPath));
    for bad in [
        "spiffe://a//b",
        "spiffe://a/b/",
        "spiffe://a/./b",
        "spiffe://a/../b",
        "spiffe://a/b%2f",
        "spiffe://a/b?c",
        "spiffe://a/b#c",
        "spiffe://a/b\0",
        "spiffe://a/ä",
    ] {
        check(bad, Err(ParseSpiffeError::Segment));
    }
    check(&format!("spiffe://a/{}", "b".repeat(2048)), Err(ParseSpiffeError::TooLong));
}

#[test]
fn knows_the_naming_scheme_of_the_fleet() {
    let id: SpiffeId = "spiffe://shop.example/gateway/public".parse().unwrap();
    assert_eq!(id.workload(), Some((WorkloadKind::Gateway, "public".parse().unwrap())));
    let foreign: SpiffeId = "spiffe://shop.example/ns/default/sa/web".parse().unwrap();
    assert_eq!(foreign.workload(), None);
}
