//! Routes: which of two wins, which can never match, and which slip past a stricter neighbour.

use std::collections::{BTreeMap, BTreeSet};

use ringfort_model::{
    Name, headers,
    path::Segment,
    snapshot::{Protocol, RouteMatch},
};

use super::Checker;
use crate::{
    document::{Condition, Factor, Route, Target, User},
    source::Span,
};

/// One condition of one route.
#[derive(Clone, Copy)]
struct Rule<'d> {
    name: &'d Name,
    route: &'d Route,
    condition: &'d RouteMatch,
    span: Span,
}

impl Checker<'_, '_> {
    pub(super) fn routes(&mut self) {
        let document = self.document;
        let mut buckets: BTreeMap<(&Name, &str), Vec<Rule<'_>>> = BTreeMap::new();
        for (name, route) in &document.routes {
            self.target(name, route);
            self.headers(name, route);
            let Some((gateway, _)) = document.gateway_of(route) else {
                self.no_gateway(name, route);
                continue;
            };
            for condition in &route.matches {
                let rule =
                    Rule { name, route, condition: &condition.rule, span: condition.path_span };
                buckets.entry((gateway, &condition.rule.host)).or_default().push(rule);
                self.host_is_answered(gateway, condition);
            }
        }
        for rules in buckets.values() {
            for (a, b) in neighbours(rules) {
                self.pair(a, b);
            }
        }
    }

    fn no_gateway(&mut self, name: &Name, route: &Route) {
        if !self.is_complete {
            return;
        }
        let message = format!("route `{name}` belongs to no gateway");
        let help = if self.document.gateways.is_empty() {
            "add one under `gateways`"
        } else {
            "there are several: add `gateway:`"
        };
        self.problems.error("RF0303", route.span, message).help(help).done();
    }

    fn target(&mut self, name: &Name, route: &Route) {
        let Target::Service { name: to, span, .. } = &route.target else {
            let own = self.section(&["routes", name.as_str()]);
            for field in ["rewrite", "timeout", "upgrade"] {
                if let Some(entry) = own.and_then(|own| own.entry(field)) {
                    let message =
                        format!("`{field}` has no meaning on route `{name}`, which redirects");
                    self.problems.error("RF0017", entry.key_span, message).help("remove it").done();
                }
            }
            return;
        };
        let Some(service) = self.document.services.get(to) else { return };
        if service.is_builtin {
            return;
        }
        match service.protocol() {
            Some(Protocol::Http1 | Protocol::Http2 | Protocol::Grpc) => {}
            Some(Protocol::Tcp) => {
                let message = format!("route `{name}` leads to `{to}`, which speaks tcp, not HTTP");
                let problem = self.problems.error("RF0304", *span, message);
                problem.help("routes lead to http1, http2 and grpc services").done();
            }
            None => {
                let message = format!("`{to}` has no `listen`: no route can lead to it");
                let problem = self.problems.error("RF0304", *span, message);
                problem.second(service.span, "defined here").help("add `listen:` to it").done();
            }
        }
    }

    fn headers(&mut self, name: &Name, route: &Route) {
        let edits = [&route.headers.request, &route.headers.response];
        let names = edits.iter().flat_map(|edit| edit.set.keys().chain(&edit.remove));
        let Some(span) = route.headers_span else { return };
        let forbidden =
            |header: &&String| headers::is_edge_owned(header) || headers::is_hop_by_hop(header);
        let owned: BTreeSet<&String> = names.filter(forbidden).collect();
        for header in owned {
            let message = format!("route `{name}` edits `{header}`, which the edge owns");
            self.problems.error("RF0308", span, message).help("remove it").done();
        }
    }

    fn host_is_answered(&mut self, gateway: &Name, condition: &Condition) {
        let Some(owner) = self.document.gateways.get(gateway) else { return };
        let host = &condition.rule.host;
        let answers = owner
            .listeners
            .iter()
            .filter(|listener| !listener.redirect_to_https)
            .any(|listener| listener.hosts.iter().any(|(known, _)| known == host));
        if !answers {
            let message =
                format!("no listener of `{gateway}` answers `{host}`: the route can never match");
            let help = format!("add `{host}` to the `hosts` of a listener");
            self.problems.error("RF0302", condition.host_span, message).help(help).done();
        }
    }

    fn pair(&mut self, a: Rule<'_>, b: Rule<'_>) {
        if !meet(a.condition, b.condition) {
            return;
        }
        let (a_wide, b_wide) = (covers(a.condition, b.condition), covers(b.condition, a.condition));
        match (a_wide, b_wide) {
            (true, false) => self.inside(a, b),
            (false, true) => self.inside(b, a),
            (true, true) | (false, false) => {
                let (first, second) = if a.span <= b.span { (a, b) } else { (b, a) };
                let message = if first.name == second.name {
                    format!("two conditions of route `{}` match the same requests", first.name)
                } else {
                    format!(
                        "routes `{}` and `{}` match the same requests, neither is more specific",
                        first.name, second.name
                    )
                };
                let help = "make one path, its methods or its headers a part of the other's";
                let problem = self.problems.error("RF0301", second.span, message);
                problem.second(first.span, "first here").help(help).done();
            }
        }
    }

    /// A stricter route inside a laxer one to the same service: what it does not match passes without its demands.
    fn inside(&mut self, outer: Rule<'_>, inner: Rule<'_>) {
        let (Target::Service { name: to, .. }, Target::Service { name: inner_to, .. }) =
            (&outer.route.target, &inner.route.target)
        else {
            return;
        };
        let service = self.document.services.get(to);
        let has_contract = outer.route.has_contract || service.is_some_and(|s| s.has_contract);
        let (lax, strict) = (strictness(outer.route), strictness(inner.route));
        if to != inner_to || has_contract || !is_stricter(&strict, &lax) {
            return;
        }
        let path = capitalised(inner.condition.path.as_str());
        let message = format!(
            "route `{}` ({}) lies inside `{}` ({}, no contract): `{path}` would pass without",
            inner.name,
            strict.text(),
            outer.name,
            lax.text(),
        );
        let help = format!("give `{}` the same demands, a contract, or narrower paths", outer.name);
        let problem = self.problems.error("RF0305", inner.span, message);
        problem.second(outer.span, "matches the rest").help(help).done();
    }
}

/// What a route demands of who uses it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Strictness {
    user: u8,
    policy: bool,
}

impl Strictness {
    fn text(&self) -> String {
        let user = match self.user {
            0 => "public",
            1 => "no mfa",
            2 => "mfa",
            _ => "passkey",
        };
        if self.policy { format!("{user}, policy") } else { user.to_owned() }
    }
}

fn strictness(route: &Route) -> Strictness {
    let user = match &route.user {
        User::None => 0,
        User::Known(user) => match user.mfa {
            None => 1,
            Some(Factor::Mfa) => 2,
            Some(Factor::Passkey) => 3,
        },
    };
    Strictness { user, policy: route.policy_required }
}

fn is_stricter(a: &Strictness, b: &Strictness) -> bool {
    a.user > b.user || (a.policy && !b.policy)
}

/// The path with its last fixed segment capitalised: a spelling the exact pattern does not match.
fn capitalised(path: &str) -> String {
    let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
    let last =
        parts.iter_mut().rev().find(|part| part.starts_with(|c: char| c.is_ascii_lowercase()));
    if let Some(part) = last {
        let mut letters = part.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase());
        *part = first.into_iter().chain(letters).collect();
    }
    let filled = parts.iter().map(|part| if part.starts_with('{') { "7" } else { part });
    filled.collect::<Vec<_>>().join("/")
}

/// The pairs of conditions on one host that could meet: only those whose first segments can be equal.
fn neighbours<'d>(rules: &[Rule<'d>]) -> Vec<(Rule<'d>, Rule<'d>)> {
    let mut by_first: BTreeMap<&str, Vec<Rule<'d>>> = BTreeMap::new();
    let mut wide = Vec::new();
    for rule in rules {
        match rule.condition.path.segments().first() {
            Some(Segment::Exact(text)) => by_first.entry(text).or_default().push(*rule),
            Some(Segment::Parameter(_)) | None => wide.push(*rule),
        }
    }
    let mut pairs = Vec::new();
    for bucket in by_first.values() {
        pairs.extend(all_pairs(bucket));
        pairs.extend(wide.iter().flat_map(|w| bucket.iter().map(|rule| (*w, *rule))));
    }
    pairs.extend(all_pairs(&wide));
    pairs
}

fn all_pairs<'r, 'd>(rules: &'r [Rule<'d>]) -> impl Iterator<Item = (Rule<'d>, Rule<'d>)> + 'r {
    let later = |number: usize| rules.iter().skip(number.saturating_add(1));
    rules.iter().enumerate().flat_map(move |(number, a)| later(number).map(|b| (*a, *b)))
}

/// Whether some request matches both.
fn meet(a: &RouteMatch, b: &RouteMatch) -> bool {
    let methods = a.methods.is_empty()
        || b.methods.is_empty()
        || a.methods.iter().any(|method| b.methods.contains(method));
    let headers =
        a.headers.iter().all(|(name, value)| b.headers.get(name).is_none_or(|v| v == value));
    methods && headers && a.path.overlaps(&b.path)
}

/// Whether `a` matches everything `b` matches, as far as path and headers decide who wins.
fn covers(a: &RouteMatch, b: &RouteMatch) -> bool {
    let headers = a.headers.iter().all(|(name, value)| b.headers.get(name) == Some(value));
    headers && a.path.covers(&b.path)
}
