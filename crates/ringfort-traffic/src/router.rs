//! From a canonical request to the one route it takes.
//!
//! The most specific rule wins: first by path (exact before `{x}` before `/*`, segment by segment, as
//! [`ringfort_model::PathPattern`] orders them), then by the number of header conditions, then a rule with methods before one
//! without. `ringfort check` refuses fleets in which two rules are equal in all of these.
//!
//! A host is found by hashing and a path by walking a tree of segments, so that a thousand routes cost what ten do.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use ringfort_model::{
    Refusal, Ring,
    canonical::segments,
    path::Segment,
    snapshot::{Route, RouteMatch},
};

/// The routes of one gateway, ready to be searched.
#[derive(Debug)]
pub struct Router {
    hosts: HashMap<Box<str>, Node>,
}

/// The route a request takes.
#[derive(Debug, Clone, Copy)]
pub struct Routed<'a> {
    /// The route.
    pub route: &'a Arc<Route>,
    /// The one of its conditions that matched.
    pub rule: &'a RouteMatch,
}

/// Why no route takes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteMiss {
    /// No route names the host.
    Host,
    /// No route of the host names the path (with the request's headers).
    Path,
    /// Routes name the path, but not the method.
    Method {
        /// The methods they name, sorted: the value of `Allow`.
        allow: Vec<String>,
    },
}

/// A place in a host's tree of path segments.
#[derive(Debug, Default)]
struct Node {
    exact: HashMap<Box<str>, Self>,
    parameter: Option<Box<Self>>,
    /// Rules whose pattern ends here; the more specific first.
    here: Vec<Rule>,
    /// Rules whose pattern ends here with `/*`; the more specific first.
    below: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    route: Arc<Route>,
    /// Place among the route's conditions.
    index: usize,
}

/// A request as a search sees it.
struct Wanted<'a, H> {
    method: &'a str,
    has_header: H,
    /// Methods of rules that matched in all but the method.
    allow: Vec<&'a str>,
}

impl Router {
    /// Builds the search trees; the order of `routes` decides nothing.
    #[must_use]
    pub fn new(routes: &[Arc<Route>]) -> Self {
        let mut hosts: HashMap<Box<str>, Node> = HashMap::new();
        for route in routes {
            for (index, rule) in route.matches.iter().enumerate() {
                let host = hosts.entry(rule.host.as_str().into()).or_default();
                let end = host.insert(rule.path.segments());
                let rules = if rule.path.is_subtree() { &mut end.below } else { &mut end.here };
                rules.push(Rule { route: Arc::clone(route), index });
                rules.sort_by_key(Rule::rank);
            }
        }
        Self { hosts }
    }

    /// Whether any route names the host.
    #[must_use]
    pub fn knows_host(&self, host: &str) -> bool {
        self.hosts.contains_key(host)
    }

    /// Finds the route for a canonical host, method and key.
    ///
    /// `has_header(name, value)` says whether the field with this lower-case name came exactly once and equals the
    /// value; a field that came twice equals nothing.
    ///
    /// # Errors
    /// A [`RouteMiss`]; the request is refused.
    pub fn find<'a>(
        &'a self,
        host: &str,
        method: &'a str,
        key: &str,
        has_header: impl Fn(&str, &str) -> bool,
    ) -> Result<Routed<'a>, RouteMiss> {
        let tree = self.hosts.get(host).ok_or(RouteMiss::Host)?;
        let mut wanted = Wanted { method, has_header, allow: Vec::new() };
        if let Some(routed) = tree.find(segments(key), &mut wanted) {
            return Ok(routed);
        }
        if wanted.allow.is_empty() {
            return Err(RouteMiss::Path);
        }
        wanted.allow.sort_unstable();
        wanted.allow.dedup();
        Err(RouteMiss::Method { allow: wanted.allow.into_iter().map(str::to_owned).collect() })
    }
}

impl Node {
    /// The node at which a pattern with these segments ends.
    fn insert(&mut self, segments: &[Segment]) -> &mut Self {
        match segments.split_first() {
            None => self,
            Some((Segment::Exact(text), rest)) => {
                self.exact.entry(text.as_str().into()).or_default().insert(rest)
            }
            Some((Segment::Parameter(_), rest)) => {
                self.parameter.get_or_insert_default().insert(rest)
            }
        }
    }

    /// The first rule that matches, searching the more specific first. The depth is that of the deepest pattern.
    fn find<'a, 'k, H: Fn(&str, &str) -> bool>(
        &'a self,
        mut key: impl Iterator<Item = &'k str> + Clone,
        wanted: &mut Wanted<'a, H>,
    ) -> Option<Routed<'a>> {
        let deeper = match key.next() {
            None => pick(&self.here, wanted),
            Some(segment) => {
                let exact = self.exact.get(segment);
                let parameter = self.parameter.as_deref().filter(|_| !segment.is_empty());
                exact
                    .and_then(|node| node.find(key.clone(), wanted))
                    .or_else(|| parameter.and_then(|node| node.find(key, wanted)))
            }
        };
        deeper.or_else(|| pick(&self.below, wanted))
    }
}

impl Rule {
    fn matched(&self) -> Option<Routed<'_>> {
        self.route.matches.get(self.index).map(|rule| Routed { route: &self.route, rule })
    }

    /// Smaller is more specific; the name makes it total.
    fn rank(&self) -> (Reverse<usize>, bool, ringfort_model::Name, usize) {
        let conditions = self
            .matched()
            .map_or((0, true), |it| (it.rule.headers.len(), it.rule.methods.is_empty()));
        (Reverse(conditions.0), conditions.1, self.route.name.clone(), self.index)
    }
}

fn pick<'a, H: Fn(&str, &str) -> bool>(
    rules: &'a [Rule],
    wanted: &mut Wanted<'a, H>,
) -> Option<Routed<'a>> {
    for routed in rules.iter().filter_map(Rule::matched) {
        if !routed.rule.headers.iter().all(|(name, value)| (wanted.has_header)(name, value)) {
            continue;
        }
        let methods = &routed.rule.methods;
        if methods.is_empty() || methods.iter().any(|method| method == wanted.method) {
            return Some(routed);
        }
        wanted.allow.extend(methods.iter().map(String::as_str));
    }
    None
}

impl RouteMiss {
    /// The value of `Allow` for a 405.
    #[must_use]
    pub fn allow(&self) -> Option<String> {
        match self {
            Self::Method { allow } => Some(allow.join(", ")),
            Self::Host | Self::Path => None,
        }
    }
}

/// No route means deny.
impl From<&RouteMiss> for Refusal {
    fn from(miss: &RouteMiss) -> Self {
        match miss {
            RouteMiss::Host => {
                Self::new(Ring::Protocol, 421, "host_unknown", "no route names the host").closing()
            }
            RouteMiss::Path => {
                Self::new(Ring::Policy, 404, "route_path", "no route of the host names the path")
            }
            RouteMiss::Method { .. } => {
                Self::new(Ring::Policy, 405, "route_method", "no route names the method")
            }
        }
    }
}

#[cfg(test)]
mod tests;
