//! A fixed set of requests and processes, and which of them a fleet lets through.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ringfort_model::{
    Digest, Name, Operation, Revision, Snapshot,
    selectors::IssueRules,
    snapshot::{Gateway, Listener, Protocol, Role, Route, RouteAction, RouteMatch},
};
use ringfort_policy::{Authorizer, HttpFacts, Question};

use crate::Fleet;

const WORKLOADS: [&str; 8] =
    ["catalog", "checkout", "billing", "stock", "archive", "courier", "accounts", "front"];

const OPERATIONS: [(&str, &str); 7] = [
    ("GET", "/levels/1"),
    ("GET", "/levels"),
    ("DELETE", "/levels/1"),
    ("POST", "/reservations"),
    ("POST", "/books.Billing/Charge"),
    ("POST", "/books.Billing/Refund"),
    ("GET", "/"),
];

const HOSTS: [&str; 6] = [
    "books.example",
    "accounts.books.example",
    "partners.books.example",
    "inside.books.example",
    "proof.books.example",
    "other.example",
];

const PATHS: [&str; 9] = [
    "/",
    "/titles",
    "/titles/1",
    "/titles/1/cover",
    "/levels/1",
    "/orders",
    "/orders/1/pay",
    "/index.html",
    "/callback",
];

const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const CLIENTS: [&str; 2] = ["10.1.2.7", "192.0.2.7"];
const DESKS: [Option<&str>; 2] = [None, Some("staff")];

/// Unix user, Unix group, whether it is the known executable, host.
const PROCESSES: [(&str, &str, bool, &str); 9] = [
    ("billing", "money", true, "vault1"),
    ("billing", "money", false, "vault1"),
    ("billing", "users", true, "vault1"),
    ("billing", "money", true, "edge1"),
    ("postgres", "postgres", false, "vault1"),
    ("stock", "users", false, "vault1"),
    ("front", "users", false, "edge1"),
    ("courier", "users", false, "edge1"),
    ("mallory", "money", true, "vault1"),
];

/// The one executable the fixture knows: SHA-256 of `test` with its last byte replaced.
const KNOWN_EXE: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// Everything of the matrix that passes.
pub(super) fn allowed(fleet: &Fleet) -> BTreeSet<String> {
    let compiled = fleet.compile(Revision::new(1));
    let mut all = BTreeSet::new();
    let classes: BTreeMap<Name, Class<'_>> =
        compiled.snapshots.values().map(|s| (s.workload.clone(), Class::new(s))).collect();
    for caller in WORKLOADS {
        for callee in WORKLOADS {
            for (method, path) in OPERATIONS {
                if calls(&classes, caller, callee, (method, "x", path)) {
                    all.insert(format!("call {caller} -> {callee} {method} {path}"));
                }
            }
        }
    }
    for class in classes.values() {
        if let Role::Gateway(gateway) = &class.snapshot.role {
            visits(&classes, class, gateway, &mut all);
        }
    }
    identities(&compiled.issue_rules, &mut all);
    all
}

struct Class<'s> {
    snapshot: &'s Snapshot,
    authorizer: Authorizer,
}

impl<'s> Class<'s> {
    fn new(snapshot: &'s Snapshot) -> Self {
        Self { snapshot, authorizer: Authorizer::new(&snapshot.policies).unwrap() }
    }
}

type Request<'r> = (&'r str, &'r str, &'r str);

/// Whether a call passes: the caller knows the callee, the callee admits the caller, its policies permit it.
fn calls(
    classes: &BTreeMap<Name, Class<'_>>,
    caller: &str,
    callee: &str,
    request: Request<'_>,
) -> bool {
    let (method, host, path) = request;
    let (Some((caller, own)), Some((callee, class))) =
        (classes.get_key_value(caller), classes.get_key_value(callee))
    else {
        return false;
    };
    let Role::Sidecar(sidecar) = &class.snapshot.role else { return false };
    let Some(local) = &sidecar.local else { return false };
    let (Some(known), true) =
        (sidecar.callers.get(caller), own.snapshot.peers.contains_key(callee))
    else {
        return false;
    };
    assert_eq!(known.id, own.snapshot.class);
    let listed =
        known.operations.iter().flatten().find(|operation| matches(operation, method, path));
    let operation = match local.protocol {
        Protocol::Grpc => Some(path.trim_start_matches('/').to_owned()),
        Protocol::Http1 | Protocol::Http2 | Protocol::Tcp => listed.map(ToString::to_string),
    };
    let http = local.protocol.is_http().then_some(HttpFacts { method, host, path });
    let question =
        Question::Call { caller, service: callee, operation: operation.as_deref(), http };
    class.authorizer.decide(&question).is_permit()
}

fn matches(operation: &Operation, method: &str, path: &str) -> bool {
    match operation {
        Operation::Http { method: known, pattern } => known == method && pattern.matches(path),
        Operation::Grpc { service, method } => format!("/{service}/{method}") == path,
    }
}

fn visits(
    classes: &BTreeMap<Name, Class<'_>>,
    class: &Class<'_>,
    gateway: &Gateway,
    all: &mut BTreeSet<String>,
) {
    for listener in &gateway.listeners {
        for host in
            HOSTS.into_iter().filter(|host| listener.hosts.iter().any(|known| known == host))
        {
            for path in PATHS {
                for method in METHODS {
                    for desk in DESKS {
                        for client in CLIENTS {
                            let request = Visit { request: (method, host, path), desk, client };
                            if visit(classes, class, gateway, listener, &request) {
                                let lock = if listener.tls.is_some() { "tls" } else { "plain" };
                                let bind = listener.bind;
                                let desk = desk.unwrap_or("-");
                                all.insert(format!(
                                    "visit {bind} {lock} {method} {host}{path} {desk} {client}"
                                ));
                            }
                        }
                    }
                }
            }
        }
    }
}

struct Visit<'r> {
    request: Request<'r>,
    desk: Option<&'r str>,
    client: &'r str,
}

fn visit(
    classes: &BTreeMap<Name, Class<'_>>,
    class: &Class<'_>,
    gateway: &Gateway,
    listener: &Listener,
    visit: &Visit<'_>,
) -> bool {
    let (method, host, path) = visit.request;
    if listener.redirect_to_https {
        return false;
    }
    let Some(route) = route(gateway, visit) else { return false };
    let client_ip: IpAddr = visit.client.parse().unwrap();
    let http = HttpFacts { method, host, path };
    let question = Question::Visit { route: &route.name, operation: None, http, client_ip };
    if !class.authorizer.decide(&question).is_permit() {
        return false;
    }
    match &route.action {
        RouteAction::Redirect { .. } => true,
        RouteAction::To { peer, .. } => {
            calls(classes, class.snapshot.workload.as_str(), peer.as_str(), visit.request)
        }
    }
}

/// The route of the most specific matching condition.
fn route<'g>(gateway: &'g Gateway, visit: &Visit<'_>) -> Option<&'g Route> {
    let (method, host, path) = visit.request;
    let fits = |condition: &RouteMatch| {
        condition.host == host
            && condition.path.matches(path)
            && (condition.methods.is_empty()
                || condition.methods.iter().any(|known| known == method))
            && condition
                .headers
                .iter()
                .all(|(name, value)| name == "x-desk" && Some(value.as_str()) == visit.desk)
    };
    let conditions =
        gateway.routes.iter().flat_map(|route| route.matches.iter().map(move |c| (route, c)));
    let best = conditions
        .filter(|(_, condition)| fits(condition))
        .max_by(|(_, a), (_, b)| a.path.cmp(&b.path).then(a.headers.len().cmp(&b.headers.len())));
    best.map(|(route, _)| route.as_ref())
}

fn identities(rules: &IssueRules, all: &mut BTreeSet<String>) {
    for (user, group, is_known, host) in PROCESSES {
        let known: Digest = KNOWN_EXE.parse().unwrap();
        let exe = if is_known { known } else { Digest::new([0; 32]) };
        for (name, rule) in &rules.workloads {
            let selectors = &rule.selectors;
            let is_match = selectors.systemd_unit.is_none()
                && selectors.kubernetes.is_none()
                && selectors.unix_user.as_ref().is_none_or(|known| known == user)
                && selectors.unix_group.as_ref().is_none_or(|known| known == group)
                && selectors.exe_sha256.is_none_or(|known| known == exe)
                && rule.runs_on.as_ref().is_none_or(|hosts| hosts.contains(host));
            if is_match {
                let exe = if is_known { "known" } else { "other" };
                all.insert(format!("identity {name} for {user}:{group} {exe} on {host}"));
            }
        }
    }
}
