//! Explanations name the line, and their suggestions change one answer: theirs.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use proptest::{prelude::*, test_runner::TestRng};
use ringfort_model::{
    Operation,
    snapshot::{PolicyRoute, PolicyService},
};

use super::*;
use crate::{
    HttpFacts, NamedEdge, NamedRoute, NamedService, PolicyFile, SchemaNames, check, generated,
};

const METHODS: [&str; 2] = ["GET", "DELETE"];
const PATHS: [&str; 4] = ["/a", "/a/b", "/a/b/c", "/x"];
const PATTERNS: [&str; 4] = ["/a/*", "/a/{id}", "/a/b", "/x"];
const SERVICES: usize = 5;
const ROUTES: usize = 2;

/// A generated fleet: `calls:` edges with their `only` lists, and policies written beside it.
#[derive(Debug, Clone)]
struct Fleet {
    slice: PolicySlice,
    /// The `only` list of each edge, in the fleet file's own words.
    only: BTreeMap<(Name, Name), Option<Vec<Operation>>>,
}

/// One row of the request matrix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    /// Calls have a caller; visits have none.
    caller: Option<Name>,
    target: Name,
    method: &'static str,
    path: &'static str,
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn service(number: usize) -> Name {
    name(&format!("s-{number}"))
}

fn source(number: usize, text: String, generated: bool) -> PolicySource {
    let file = if generated { "shop.yaml" } else { "shop.cedar" };
    let place = Place { file: file.to_owned(), line: u32::try_from(number).unwrap() + 1 };
    PolicySource { id: place.to_string(), text, place, generated }
}

impl Fleet {
    fn random(rng: &mut TestRng) -> Self {
        let mut fleet = Self { slice: PolicySlice::default(), only: BTreeMap::new() };
        for number in 0..SERVICES {
            let tcp = number == SERVICES - 1;
            let grpc = number == SERVICES - 2;
            let protocol = match (tcp, grpc) {
                (true, _) => Protocol::Tcp,
                (_, true) => Protocol::Grpc,
                _ => Protocol::Http1,
            };
            let labels = if number % 3 == 0 { vec![name("pci")] } else { vec![] };
            fleet.slice.workload_labels.insert(service(number), labels.clone());
            fleet.slice.services.insert(service(number), PolicyService { protocol, labels });
        }
        for number in 0..ROUTES {
            let route = PolicyRoute { service: Some(service(number)), gateway: name("public") };
            fleet.slice.routes.insert(name(&format!("r-{number}")), route);
        }
        for from in 0..SERVICES {
            for to in 0..SERVICES {
                fleet.edge(rng, from, to);
            }
        }
        fleet.guard(rng);
        fleet
    }

    /// Perhaps an edge: whole, limited, or left to written policies.
    fn edge(&mut self, rng: &mut TestRng, from: usize, to: usize) {
        let edge = (service(from), service(to));
        let line = self.slice.policies.len();
        let is_tcp = to == SERVICES - 1;
        let only = match rng.random_range(0..10) {
            0..2 => {
                self.only.insert(edge, None);
                return;
            }
            2..4 => None,
            _ if is_tcp => None,
            _ => Some(some_operations(rng)),
        };
        let text = generated::call_permit(&edge.0, &edge.1, only.as_deref());
        self.slice.policies.push(source(line, text, true));
        self.only.insert(edge, only);
    }

    /// Forbids and permits as people write them.
    fn guard(&mut self, rng: &mut TestRng) {
        let texts = [
            r#"forbid (principal, action == Action::"call", resource in Label::"pci") unless { principal in Label::"pci" };"#,
            r#"forbid (principal, action, resource) when { context has http && context.http.method == "DELETE" };"#,
            r#"forbid (principal == Workload::"s-1", action == Action::"call", resource);"#,
            r#"permit (principal, action == Action::"visit", resource == Route::"r-0") when { context.http.path like "/a/*" };"#,
            r#"permit (principal, action == Action::"visit", resource == Route::"r-1");"#,
            r#"forbid (principal, action == Action::"visit", resource) when { context.http.path == "/x" };"#,
        ];
        for text in texts {
            if rng.random_bool(0.5) {
                let line = self.slice.policies.len();
                self.slice.policies.push(source(line, text.to_owned(), false));
            }
        }
    }

    /// The operation as the callee's proxy reads it: the most specific pattern of the edge's own list.
    fn operation(&self, row: &Row) -> Option<String> {
        let caller = row.caller.as_ref()?;
        let only = self.only.get(&(caller.clone(), row.target.clone()))?.as_ref()?;
        let matching = only.iter().filter(|operation| match operation {
            Operation::Http { method, pattern } => {
                method == row.method && pattern.matches(row.path)
            }
            Operation::Grpc { service, method } => format!("/{service}/{method}") == row.path,
        });
        matching.max().map(ToString::to_string)
    }

    fn with_question<T>(&self, row: &Row, ask: impl FnOnce(&Question<'_>) -> T) -> T {
        let http = HttpFacts { method: row.method, host: "shop.example", path: row.path };
        let operation = self.operation(row);
        let operation = operation.as_deref();
        match &row.caller {
            Some(caller) => {
                let protocol = self.slice.services[&row.target].protocol;
                let http = protocol.is_http().then_some(http);
                ask(&Question::Call { caller, service: &row.target, operation, http })
            }
            None => {
                let client_ip = IpAddr::from([10, 0, 0, 1]);
                ask(&Question::Visit { route: &row.target, operation, http, client_ip })
            }
        }
    }

    /// The fleet after a change: list and policy change together, as they do when the file is edited.
    fn changed(&self, row: &Row, change: &Change) -> Self {
        let mut fleet = Self { slice: change.applied_to(&self.slice), ..self.clone() };
        for edit in &change.edits {
            let Edit::AddOperation { operation, .. } = edit else { continue };
            let edge = (row.caller.clone().unwrap(), row.target.clone());
            let added = match operation.split_once(' ') {
                Some((method, pattern)) => {
                    Operation::Http { method: method.to_owned(), pattern: pattern.parse().unwrap() }
                }
                None => {
                    let (service, method) = operation.split_once('/').unwrap();
                    Operation::Grpc { service: service.to_owned(), method: method.to_owned() }
                }
            };
            fleet.only.get_mut(&edge).unwrap().as_mut().unwrap().push(added);
        }
        fleet
    }

    /// Every row that is permitted.
    fn permitted(&self, authorizer: &Authorizer, rows: &[Row]) -> BTreeSet<Row> {
        let is_permitted = |row: &&Row| {
            self.with_question(row, |question| authorizer.decide(question).is_permit())
        };
        rows.iter().filter(is_permitted).cloned().collect()
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (target, known) in &self.slice.services {
            for caller in self.slice.workload_labels.keys() {
                let caller = Some(caller.clone());
                let row = |method, path| Row {
                    caller: caller.clone(),
                    target: target.clone(),
                    method,
                    path,
                };
                match known.protocol {
                    Protocol::Tcp => rows.push(row("", "")),
                    Protocol::Grpc => {
                        rows.extend(
                            ["/shop.Pay/Charge", "/shop.Pay/Refund"].map(|path| row("POST", path)),
                        );
                    }
                    Protocol::Http1 | Protocol::Http2 => {
                        for method in METHODS {
                            rows.extend(PATHS.map(|path| row(method, path)));
                        }
                    }
                }
            }
        }
        for target in self.slice.routes.keys() {
            for method in METHODS {
                let row = |path| Row { caller: None, target: target.clone(), method, path };
                rows.extend(PATHS.map(row));
            }
        }
        rows
    }

    fn names(&self) -> SchemaNames {
        let service = |(name, service): (&Name, &PolicyService)| {
            let named =
                NamedService { protocol: Some(service.protocol), labels: service.labels.clone() };
            (name.clone(), named)
        };
        let route = |(name, route): (&Name, &PolicyRoute)| {
            let named = NamedRoute {
                service: route.service.clone(),
                gateway: route.gateway.clone(),
                has_user: false,
                required: None,
            };
            (name.clone(), named)
        };
        SchemaNames {
            labels: [name("pci")].into(),
            gateways: [(name("public"), Vec::new())].into(),
            services: self.slice.services.iter().map(service).collect(),
            routes: self.slice.routes.iter().map(route).collect(),
            edges: self.only.keys().map(|edge| (edge.clone(), NamedEdge::default())).collect(),
            ..SchemaNames::default()
        }
    }
}

fn some_operations(rng: &mut TestRng) -> Vec<Operation> {
    let count = rng.random_range(1..4);
    let mut pick = |words: &[&str]| words[rng.random_range(0..words.len())].to_owned();
    let mut operation =
        |_| Operation::Http { method: pick(&METHODS), pattern: pick(&PATTERNS).parse().unwrap() };
    (0..count).map(&mut operation).collect()
}

/// Over generated fleets: each suggestion permits its own request and changes no other answer.
fn check_suggestions(fleets: usize, each: usize) -> BTreeMap<&'static str, usize> {
    let algorithm = proptest::test_runner::RngAlgorithm::ChaCha;
    let mut rng = TestRng::deterministic_rng(algorithm);
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..fleets {
        let fleet = Fleet::random(&mut rng);
        let authorizer = Authorizer::new(&fleet.slice).unwrap();
        let rows = fleet.rows();
        let before = fleet.permitted(&authorizer, &rows);
        let denied: Vec<&Row> = rows.iter().filter(|row| !before.contains(*row)).collect();
        let step = denied.len() / each;
        assert!(step >= 1, "{} denials", denied.len());
        for row in denied.into_iter().step_by(step).take(each) {
            let explanation = fleet.with_question(row, |question| authorizer.explain(question));
            let change = explanation.nearest.unwrap_or_else(|| panic!("no change for {row:?}"));
            let after = fleet.changed(row, &change);
            let changed = Authorizer::new(&after.slice).unwrap();
            let mut flipped = after.permitted(&changed, &rows);
            assert!(flipped.is_superset(&before), "{row:?} {change}");
            flipped.retain(|row| !before.contains(row));
            assert_eq!(flipped, BTreeSet::from([row.clone()]), "{change}");
            for edit in &change.edits {
                *kinds.entry(kind(edit)).or_default() += 1;
            }
        }
        for row in rows.iter().filter(|row| !before.contains(*row)).step_by(step * 10) {
            let explanation = fleet.with_question(row, |question| authorizer.explain(question));
            let change = explanation.nearest.unwrap();
            let after = fleet.changed(row, &change);
            change.edits.iter().for_each(|edit| is_valid(&fleet, &after, edit));
        }
    }
    kinds
}

#[test]
fn a_suggestion_flips_exactly_its_own_answer() {
    let kinds = check_suggestions(2, 40);
    assert!(kinds.values().sum::<usize>() >= 80, "{kinds:?}");
}

#[test]
fn slow_a_thousand_suggestions_flip_exactly_their_own_answers() {
    let kinds = check_suggestions(25, 40);
    assert!(kinds.values().sum::<usize>() >= 1_000, "{kinds:?}");
    for kind in ["operation", "permit", "exception"] {
        assert!(kinds.get(kind).is_some_and(|count| *count > 100), "{kinds:?}");
    }
}

fn kind(edit: &Edit) -> &'static str {
    match edit {
        Edit::AddOperation { .. } => "operation",
        Edit::AddCall { .. } => "call",
        Edit::AddPermit { .. } => "permit",
        Edit::AddException { .. } => "exception",
    }
}

/// What is suggested for a `.cedar` file passes the checks of such files.
fn is_valid(fleet: &Fleet, after: &Fleet, edit: &Edit) {
    let text = match edit {
        Edit::AddPermit { text } => text.clone(),
        Edit::AddException { policy, .. } => {
            let changed = after.slice.policies.iter().find(|source| source.id == policy.id);
            changed.unwrap().text.clone()
        }
        Edit::AddOperation { .. } | Edit::AddCall { .. } => return,
    };
    let file = PolicyFile { path: "suggestion.cedar".to_owned(), text: text.clone() };
    assert_eq!(check(&fleet.names(), &[file]), [], "{text}");
}

#[track_caller]
fn check_text(policies: &[(&str, bool)], row: (&str, &str, &str, &str), expected: &str) {
    let (caller, target, method, path) = row;
    let mut slice = PolicySlice {
        workload_labels: [(name("web"), vec![]), (name("orders"), vec![])].into(),
        services: [
            (name("orders"), PolicyService { protocol: Protocol::Http1, labels: vec![] }),
            (name("payments"), PolicyService { protocol: Protocol::Grpc, labels: vec![] }),
        ]
        .into(),
        ..PolicySlice::default()
    };
    for (number, (text, generated)) in policies.iter().enumerate() {
        slice.policies.push(source(number + 36, (*text).to_owned(), *generated));
    }
    let authorizer = Authorizer::new(&slice).unwrap();
    let explanation = authorizer.explain(&Question::Call {
        caller: &name(caller),
        service: &name(target),
        operation: None,
        http: Some(HttpFacts { method, host: "orders", path }),
    });
    let list = |policies: &[PolicyRef]| {
        policies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let change = explanation.nearest.map_or("-".to_owned(), |change| change.to_string());
    let text = format!(
        "{} [{}] [{}] {change}",
        explanation.verdict.reason(),
        list(&explanation.determining),
        list(&explanation.unmet)
    );
    assert_eq!(text, expected);
}

const ONLY: (&str, bool) = (
    "permit (principal == Workload::\"web\", action == Action::\"call\", resource == Service::\"orders\")\nwhen { context has operation && [\"GET /api/stock/{sku}\"].contains(context.operation) };",
    true,
);

#[test]
fn explanations_name_the_line_and_the_edit() {
    check_text(
        &[ONLY],
        ("web", "orders", "POST", "/reservations"),
        "no_permit [] [`shop.yaml:37` (shop.yaml:37)] add `POST /reservations` to `only` at shop.yaml:37",
    );
    check_text(
        &[ONLY],
        ("web", "orders", "POST", "/odd%path"),
        "no_permit [] [`shop.yaml:37` (shop.yaml:37)] add the policy `permit (principal == Workload::\"web\", action == Action::\"call\", resource == Service::\"orders\")\nwhen { context has http && context.http.method == \"POST\" && context.http.path == \"/odd%path\" };`",
    );
    check_text(
        &[],
        ("web", "payments", "POST", "/shop.Payments/Charge"),
        "no_permit [] [] add the policy `permit (principal == Workload::\"web\", action == Action::\"call\", resource == Service::\"payments\")\nwhen { context has http && context.http.method == \"POST\" && context.http.path == \"/shop.Payments/Charge\" };`",
    );
    check_text(
        &[ONLY],
        ("stranger", "orders", "GET", "/"),
        "no_permit [] [] add `orders` to `calls` of `stranger`",
    );
    check_text(
        &[ONLY],
        ("web", "ledger", "GET", "/"),
        "no_permit [] [] add `ledger` to `calls` of `web`",
    );
    check_text(
        &[("permit (principal, action, resource);", false)],
        ("web", "orders", "GET", "/"),
        "permit [`shop.cedar:37` (shop.cedar:37)] [] -",
    );
    check_text(
        &[("permit (principal, action, resource) when { context.acting.auth.bound };", false)],
        ("web", "orders", "GET", "/"),
        "policy_failed [`shop.cedar:37` (shop.cedar:37)] [] -",
    );
    check_text(
        &[ONLY, ("forbid (principal, action, resource);", false)],
        ("web", "orders", "GET", "/x"),
        "forbid [`shop.cedar:38` (shop.cedar:38)] [`shop.yaml:37` (shop.yaml:37)] add `unless { action == Action::\"call\" && principal == Workload::\"web\" && resource == Service::\"orders\" && context has http && context.http.method == \"GET\" && context.http.path == \"/x\" }` to the forbid at shop.cedar:38; and add `GET /x` to `only` at shop.yaml:37",
    );
}
