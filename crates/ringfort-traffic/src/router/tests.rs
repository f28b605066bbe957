//! Which route takes a request; the search tree against a plain scan of all rules.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use ringfort_model::{
    Limits, PathPattern, Refusal, Ring,
    path::Segment,
    snapshot::{HeaderEdits, Place, Route, RouteAction, RouteMatch},
};

use super::{RouteMiss, Router};

/// A rule as a test writes it: `METHOD,METHOD host/path name=value ...`; `*` for all methods.
fn rule(text: &str) -> RouteMatch {
    let mut words = text.split(' ');
    let methods = words.next().unwrap();
    let (host, path) = words.next().unwrap().split_once('/').unwrap();
    RouteMatch {
        host: host.to_owned(),
        path: format!("/{path}").parse().unwrap(),
        methods: methods.split(',').filter(|it| *it != "*").map(str::to_owned).collect(),
        headers: words
            .map(|word| word.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    }
}

fn route(name: &str, rules: Vec<RouteMatch>) -> Arc<Route> {
    Arc::new(Route {
        name: name.parse().unwrap(),
        matches: rules,
        action: RouteAction::Redirect { to: "/".to_owned(), status: 308 },
        limits: Limits::STANDARD,
        timeout: None,
        upgrade: false,
        headers: HeaderEdits::default(),
        cors_origins: Vec::new(),
        place: Place { file: "fleet.yaml".to_owned(), line: 1 },
    })
}

fn shop() -> Router {
    Router::new(&[
        route("stock", vec![rule("GET shop/api/stock/*")]),
        route("orders-read", vec![rule("GET shop/api/orders/*")]),
        route("orders-write", vec![rule("POST shop/api/orders")]),
        route("pay", vec![rule("POST shop/api/orders/{id}/pay")]),
        route("canary", vec![rule("* shop/api/orders/* x-track=canary")]),
        route("mine", vec![rule("GET,PUT shop/api/orders/mine")]),
        route("front", vec![rule("GET shop/"), rule("* other/*")]),
        route("front-post", vec![rule("* shop/")]),
    ])
}

/// What a request (`METHOD host/path name=value`) finds: a route, or `421`, `404`, `405 ALLOW`.
#[track_caller]
fn check(request: &str, expected: &str) {
    let mut words = request.split(' ');
    let method = words.next().unwrap();
    let (host, path) = words.next().unwrap().split_once('/').unwrap();
    let headers: BTreeMap<_, _> = words.map(|word| word.split_once('=').unwrap()).collect();
    let router = shop();
    let found = router
        .find(host, method, &format!("/{path}"), |name, value| headers.get(name) == Some(&value));
    let seen = match &found {
        Ok(routed) => routed.route.name.to_string(),
        Err(miss) => match miss.allow() {
            Some(allow) => format!("{} {allow}", Refusal::from(miss).status),
            None => Refusal::from(miss).status.to_string(),
        },
    };
    assert_eq!(seen, expected, "{request}");
}

#[test]
fn the_most_specific_route_wins() {
    check("GET shop/", "front");
    check("POST shop/", "front-post");
    check("GET shop/api/orders", "orders-read");
    check("POST shop/api/orders", "orders-write");
    check("GET shop/api/orders/7", "orders-read");
    check("GET shop/api/orders/7/pay", "orders-read");
    check("POST shop/api/orders/7/pay", "pay");
    check("GET shop/api/orders/mine", "mine");
    check("GET shop/api/stock/a/b", "stock");
    check("DELETE other/any/thing", "front");
}

#[test]
fn a_header_condition_is_more_specific_on_the_same_path() {
    check("GET shop/api/orders/7 x-track=canary", "canary");
    check("GET shop/api/orders/7 x-track=stable", "orders-read");
    check("GET shop/api/orders/mine x-track=canary", "mine");
    check("POST shop/api/orders/7/pay x-track=canary", "pay");
    check("DELETE shop/api/orders/mine x-track=canary", "canary");
}

#[test]
fn policy_route_miss_is_refused() {
    check("GET nowhere/", "421");
    check("GET SHOP/", "421");
    check("GET shop/secret", "404");
    check("GET shop/api", "404");
    check("GET shop/api/ordersx", "404");
    check("GET shop/API/orders", "404");
    check("GET shop/api%2Forders", "404");
    check("PATCH shop/api/stock", "405 GET");
    check("PATCH shop/api/orders", "405 GET, POST");
    check("DELETE shop/api/orders/mine", "405 GET, PUT");
    check("HEAD shop/api/stock/1", "405 GET");
    check("get shop/api/stock/1", "405 GET");
}

#[test]
fn a_miss_names_its_ring() {
    let method = RouteMiss::Method { allow: vec!["GET".to_owned()] };
    for (miss, ring, status) in [
        (RouteMiss::Host, Ring::Protocol, 421),
        (RouteMiss::Path, Ring::Policy, 404),
        (method, Ring::Policy, 405),
    ] {
        let refusal = Refusal::from(&miss);
        assert_eq!((refusal.ring, refusal.status), (ring, status));
    }
    assert!(shop().knows_host("other") && !shop().knows_host("Other"));
}

/// Which of two rules that match the same request is decided first; written from the rule in prose.
fn specificity(a: &RouteMatch, b: &RouteMatch) -> Ordering {
    let ranks = |pattern: &PathPattern| -> Vec<u8> {
        let segment = |segment: &Segment| match segment {
            Segment::Exact(_) => 3,
            Segment::Parameter(_) => 2,
        };
        let end = if pattern.is_subtree() { 1 } else { 4 };
        pattern.segments().iter().map(segment).chain([end]).collect()
    };
    (ranks(&a.path), a.headers.len(), !a.methods.is_empty()).cmp(&(
        ranks(&b.path),
        b.headers.len(),
        !b.methods.is_empty(),
    ))
}

/// Finds the route by looking at every rule; among equals the first name, then the first condition.
fn scan(
    routes: &[Arc<Route>],
    host: &str,
    method: &str,
    key: &str,
    headers: &BTreeMap<String, String>,
) -> Result<(String, usize), RouteMiss> {
    let all = || {
        let mut sorted: Vec<_> = routes.iter().collect();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        sorted
            .into_iter()
            .flat_map(|route| route.matches.iter().enumerate().map(move |(i, m)| (route, i, m)))
            .filter(|(_, _, rule)| rule.host == host)
    };
    if all().next().is_none() {
        return Err(RouteMiss::Host);
    }
    let reachable = || {
        all().filter(|(_, _, rule)| {
            rule.path.matches(key)
                && rule.headers.iter().all(|(name, value)| headers.get(name) == Some(value))
        })
    };
    let takes =
        |rule: &RouteMatch| rule.methods.is_empty() || rule.methods.contains(&method.to_owned());
    let best = reachable()
        .filter(|(_, _, rule)| takes(rule))
        .reduce(|best, next| if specificity(next.2, best.2).is_gt() { next } else { best });
    if let Some((route, index, _)) = best {
        return Ok((route.name.to_string(), index));
    }
    let mut allow: Vec<String> =
        reachable().flat_map(|(_, _, rule)| rule.methods.clone()).collect();
    allow.sort_unstable();
    allow.dedup();
    Err(if allow.is_empty() { RouteMiss::Path } else { RouteMiss::Method { allow } })
}

fn segment(parameter: bool) -> impl Strategy<Value = String> {
    let words = if parameter { vec!["a", "b", "c", "{x}"] } else { vec!["a", "b", "c", "d"] };
    prop::sample::select(words).prop_map(str::to_owned)
}

fn pattern() -> impl Strategy<Value = PathPattern> {
    (prop::collection::vec(segment(true), 0..5), any::<bool>()).prop_map(|(segments, subtree)| {
        let front: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        let text = match (subtree, front.is_empty()) {
            (true, _) => format!("{front}/*"),
            (false, true) => "/".to_owned(),
            (false, false) => front,
        };
        text.parse().unwrap()
    })
}

fn headers() -> impl Strategy<Value = BTreeMap<String, String>> {
    let pair = (prop::sample::select(vec!["h", "i"]), prop::sample::select(vec!["1", "2"]));
    prop::collection::btree_map(
        pair.0.prop_map(str::to_owned),
        pair.1.prop_map(str::to_owned),
        0..3,
    )
}

fn host() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["shop", "other"]).prop_map(str::to_owned)
}

fn methods() -> impl Strategy<Value = Vec<String>> {
    let method = prop::sample::select(vec!["GET", "PUT", "POST"]).prop_map(str::to_owned);
    prop::collection::vec(method, 0..3)
}

fn any_rule() -> impl Strategy<Value = RouteMatch> {
    (host(), pattern(), methods(), headers())
        .prop_map(|(host, path, methods, headers)| RouteMatch { host, path, methods, headers })
}

fn any_routes() -> impl Strategy<Value = Vec<Arc<Route>>> {
    let rules = prop::collection::vec(prop::collection::vec(any_rule(), 1..3), 0..12);
    rules.prop_map(|rules| {
        let named = rules.into_iter().enumerate();
        named.map(|(index, rules)| route(&format!("r{index}"), rules)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn the_tree_finds_what_a_scan_finds(
        routes in any_routes(),
        host in host(),
        method in prop::sample::select(vec!["GET", "PUT", "HEAD"]),
        key in prop::collection::vec(segment(false), 0..5),
        headers in headers(),
    ) {
        let key = if key.is_empty() { "/".to_owned() } else { format!("/{}", key.join("/")) };
        let router = Router::new(&routes);
        let seen = router
            .find(&host, method, &key, |name, value| headers.get(name).is_some_and(|it| it == value))
            .map(|routed| {
                let index = routed.route.matches.iter().position(|it| std::ptr::eq(it, routed.rule));
                (routed.route.name.to_string(), index.unwrap())
            });
        prop_assert_eq!(seen, scan(&routes, &host, method, &key, &headers));
    }

    #[test]
    fn the_order_of_routes_decides_nothing(routes in any_routes(), key in "(/[abc]){1,4}") {
        let mut reversed = routes.clone();
        reversed.reverse();
        let find = |routes: &[Arc<Route>]| {
            Router::new(routes).find("shop", "GET", &key, |_, _| false).map(|it| it.route.name.clone())
        };
        prop_assert_eq!(find(&routes), find(&reversed));
    }
}
