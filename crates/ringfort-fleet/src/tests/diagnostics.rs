//! One fleet per diagnostic: what people see, character by character.

use std::collections::BTreeSet;

use expect_test::expect_file;
use ringfort_model::WallTime;

use crate::{
    FleetFile, Problem, codes, load, render,
    tests::fixture::{file, shop},
};

/// A document with one fault, and the code that names it.
struct Case {
    code: &'static str,
    files: Vec<FleetFile>,
}

fn case(code: &'static str, text: &str) -> Case {
    let text = if text.starts_with("ringfort:") || text.starts_with('#') {
        text.to_owned()
    } else {
        format!("ringfort: v1\n{text}")
    };
    Case { code, files: vec![file("fleet.yaml", &text)] }
}

fn with(mut case: Case, path: &str, text: &str) -> Case {
    case.files.push(file(path, text));
    case
}

/// A fleet with a gateway for `x.example` and two services, followed by routes.
fn routed(code: &'static str, routes: &str) -> Case {
    case(code, &format!("{ROUTED}{routes}"))
}

const ROUTED: &str = "services:
  web: { listen: 8080 }
  bytes: { listen: { port: 8081, protocol: tcp } }
gateways:
  front:
    listeners: [ { bind: \"127.0.0.1:8000\", hosts: [x.example] } ]
routes:
";

const WEB: &str = "services:\n  web: { listen: 8080, calls: [db] }\n  db: { listen: 8081 }\n";

fn syntax() -> Vec<Case> {
    vec![
        case("RF0001", "routes:\n  a:\n    match: [ { host: x.example, path: /orders/{id} } ]\n"),
        case("RF0002", "services:\n  web: { listen: 8080, resilience: { timeuot: 2s } }\n"),
        case("RF0002", "servises:\n  web: { listen: 8080 }\n"),
        case("RF0002", "services:\n  web: { listen: 8080, colour: red }\n"),
        case("RF0003", "services:\n  web: { listen: 8080 }\n  web: { listen: 8081 }\n"),
        with(
            case("RF0003", "services:\n  web: { listen: 8080 }\n"),
            "more.yaml",
            "ringfort: v1\nservices:\n  web: { listen: 8081 }\n",
        ),
        with(
            case("RF0003", "fleet: { trust_domain: a.example }\n"),
            "more.yaml",
            "ringfort: v1\nfleet: { trust_domain: b.example }\n",
        ),
        case("RF0003", "services:\n  web: { listen: 8080, labels: [pci, pci] }\n"),
        routed(
            "RF0003",
            "  a: { match: [ { host: x.example, path: / } ], to: web, user: none }\nidentity: { issuer: \"https://x.example\", clients: { web: { auth: none } } }\n",
        ),
        case(
            "RF0004",
            "services:\n  web: { listen: 8080, calls: [paymets] }\n  payments: { listen: 8081 }\n",
        ),
        routed(
            "RF0004",
            "  a: { match: [ { host: x.example, path: / } ], to: front, user: none }\n",
        ),
        case("RF0005", "services:\n  web: { listen: 8080, resilience: { timeout: 2 } }\n"),
        case("RF0005", "services:\n  web: { listen: 8080, resilience: { timeout: 2sec } }\n"),
        case("RF0005", "services:\n  web: { listen: 8080, limits: { body: 64kib } }\n"),
        case(
            "RF0005",
            "services:\n  web: { listen: 8080, limits: { requests: [ { by: user, rate: 60/m } ] } }\n",
        ),
        case("RF0006", "services:\n  web: { listen: 8080\n"),
        case("RF0007", "services:\n  web: &a { listen: 8080 }\n  shop: *a\n"),
        case("RF0007", "services:\n  web: { <<: x, listen: 8080 }\n"),
        case("RF0007", "services:\n  web: !!map { listen: 8080 }\n"),
        case(
            "RF0007",
            "services:\n  web: { listen: 8080 }\n---\nservices:\n  db: { listen: 8081 }\n",
        ),
        case("RF0008", &format!("services: {}", "[".repeat(40))),
        Case {
            code: "RF0008",
            files: vec![FleetFile { path: "fleet.yaml".to_owned(), bytes: vec![0xff, 0xfe] }],
        },
    ]
}

fn shapes() -> Vec<Case> {
    vec![
        case("RF0009", "services:\n  web: { run: { env: { A: b } } }\n"),
        case("RF0009", "services:\n  web: { listen: 8080, contract: { mode: observe } }\n"),
        case("RF0010", "services:\n  web: { listen: 8080, calls: db }\n  db: { listen: 8081 }\n"),
        case("RF0010", "services:\n  web: { listen: \"8080\" }\n"),
        case("RF0011", "services:\n  web:\n    listen:\n"),
        case("RF0011", "services:\n  web: { listen: 8080, calls: [] }\n"),
        case(
            "RF0011",
            "services:\n  web: { listen: 8080, calls: [{ to: db, only: [\"\"] }] }\n  db: { listen: 8081 }\n",
        ),
        case("RF0012", "services:\n  web: { listen: { port: 8080, protocol: http } }\n"),
        case("RF0012", "services:\n  web: { listen: 8080, normalization: strickt }\n"),
        case(
            "RF0012",
            "gateways:\n  front: { listeners: [ { bind: 8443, hosts: [Shop.Example] } ] }\n",
        ),
        case(
            "RF0012",
            "gateways:\n  front: { listeners: [ { bind: \"127.0.0.1:1\", hosts: [x] } ], trusted_proxies: [10.0.0.7/24] }\n",
        ),
        case(
            "RF0012",
            "services:\n  web: { listen: 8080, calls: [ { to: db, only: [get /x] } ] }\n  db: { listen: 8081 }\n",
        ),
        case("RF0013", "services:\n  Web_Shop: { listen: 8080 }\n"),
        case("RF0013", "services:\n  ringfort: { listen: 8080 }\n"),
        case("RF0014", "services:\n  web: { listen: 80800 }\n"),
        case("RF0014", "fleet: { certificates: { ttl: 2d } }\n"),
    ]
}

fn folders() -> Vec<Case> {
    vec![
        case("RF0015", "policies: [shop.cedar]\n"),
        case("RF0015", "policies: [../shop.cedar]\n"),
        case("RF0012", "ringfort: v2\n"),
        case("RF0016", "# ringfort:\nservices:\n  web: { listen: 8080 }\n"),
        Case { code: "RF0016", files: Vec::new() },
        Case { code: "RF0016", files: vec![file("fleet.yaml", "")] },
        routed(
            "RF0017",
            "  a: { match: [ { host: x.example, path: / } ], to: web, redirect: { to: / }, user: none }\n",
        ),
        routed(
            "RF0017",
            "  a: { match: [ { host: x.example, path: / } ], redirect: { to: /b }, user: none, upgrade: true }\n",
        ),
        with(case("RF0018", WEB), "shop.cedar", "permit (principal, action, resource);"),
        with(case("RF0018", WEB), "more.yml", "ringfort: v1\n"),
        with(case("RF0018", WEB), "services/db.yaml", "ringfort: v1\n"),
    ]
}

fn hosts() -> Vec<Case> {
    vec![
        case("RF0101", "firewall: { scope: host }\n"),
        case(
            "RF0201",
            "services:\n  orders: { listen: 8080, workload: { unix_user: app } }\n  billing: { listen: 8081, workload: { unix_user: app } }\n",
        ),
        case(
            "RF0201",
            "services:\n  app: { listen: 8080 }\n  billing: { listen: 8081, workload: { unix_user: app, unix_group: money } }\n",
        ),
        case("RF0202", "services:\n  web: { listen: 8080, supply: { mode: enforce } }\n"),
        case(
            "RF0208",
            "services:\n  web: { listen: { port: 8080, address: 0.0.0.0 }, instances: { static: [\"0.0.0.0:9\"] } }\n",
        ),
        case(
            "RF0206",
            "services:\n  web: { listen: 8080, instances: { static: [\"10.0.0.1:9\", \"10.0.0.2:9\"] } }\n",
        ),
    ]
}

fn routes() -> Vec<Case> {
    vec![
        routed(
            "RF0301",
            "  a: { match: [ { host: x.example, path: \"/{x}/b\" } ], to: web, user: none }\n  b: { match: [ { host: x.example, path: \"/a/{y}\" } ], to: web, user: none }\n",
        ),
        routed(
            "RF0301",
            "  a: { match: [ { host: x.example, path: /a, methods: [GET] } ], to: web, user: none }\n  b: { match: [ { host: x.example, path: /a } ], to: web, user: none }\n",
        ),
        routed(
            "RF0301",
            "  a: { match: [ { host: x.example, path: /a/*, headers: { x-a: b } } ], to: web, user: none }\n  b: { match: [ { host: x.example, path: /a/b } ], to: web, user: none }\n",
        ),
        routed("RF0302", "  a: { match: [ { host: y.example, path: / } ], to: web, user: none }\n"),
        case(
            "RF0303",
            "services:\n  web: { listen: 8080 }\nroutes:\n  a: { match: [ { host: x.example, path: / } ], to: web, user: none }\n",
        ),
        routed(
            "RF0304",
            "  a: { match: [ { host: x.example, path: / } ], to: bytes, user: none }\n",
        ),
        routed(
            "RF0305",
            "  all: { match: [ { host: x.example, path: /api/* } ], to: web, user: none }\n  pay:\n    match: [ { host: x.example, path: \"/api/orders/{id}/pay\", methods: [POST] } ]\n    to: web\n    user: { login: shop, mfa: { max_age: 5m } }\nidentity:\n  issuer: https://x.example\n  clients: { shop: { redirect_uris: [\"https://x.example/\"], scopes: [openid] } }\n",
        ),
    ]
}

fn listeners() -> Vec<Case> {
    vec![
        case(
            "RF0306",
            "gateways:\n  front: { listeners: [ { bind: \"0.0.0.0:80\", hosts: [x.example] } ] }\n",
        ),
        case(
            "RF0307",
            "services:\n  web: { listen: 8080, calls: [ { to: db, port: 8081 } ] }\n  db: { listen: 8081 }\n",
        ),
        routed(
            "RF0308",
            "  a: { match: [ { host: x.example, path: / } ], to: web, user: none, headers: { request: { set: { x-forwarded-for: me } } } }\n",
        ),
        case(
            "RF0309",
            "gateways:\n  front: { listeners: [ { bind: \"0.0.0.0:80\", hosts: [x.example], redirect_to_https: true } ] }\n",
        ),
        case(
            "RF0310",
            "services:\n  db: { listen: { port: 5432, protocol: tcp }, normalization: strict, limits: { body: 1KiB } }\n",
        ),
        case(
            "RF0311",
            "gateways:\n  front: { listeners: [ { bind: \"0.0.0.0:443\", hosts: [x.example], tls: internal, redirect_to_https: true } ] }\n",
        ),
        with(
            case(
                "RF0312",
                "gateways:\n  front:\n    listeners:\n      - { bind: \"0.0.0.0:443\", hosts: [x.example], tls: { files: { chain: chain.pem, key: /etc/key.pem } } }\n",
            ),
            "chain.pem",
            "-----BEGIN PRIVATE KEY-----",
        ),
        case(
            "RF0313",
            "gateways:\n  front: { listeners: [ { bind: \"127.0.0.1:80\", hosts: [x.example] } ] }\n",
        ),
        case(
            "RF0314",
            "gateways:\n  front: { listeners: [ { bind: \"127.0.0.1:80\", hosts: [x.example] } ] }\n  back: { listeners: [ { bind: \"127.0.0.1:81\", hosts: [x.example] } ] }\n",
        ),
        routed("RF0401", "  stock: { match: [ { host: x.example, path: / } ], to: web }\n"),
        login(
            "RF0402",
            "{ login: shop, scopes: [orders.admin] }",
            "{ redirect_uris: [\"https://x.example/\"], scopes: [openid] }",
        ),
        login("RF0403", "{ bearer: shop, sender_constrained: mtls }", "{ scopes: [openid] }"),
        login("RF0405", "{ login: shop }", "{ scopes: [openid] }"),
        login("RF0405", "{ bearer: shop }", "{ auth: private_key_jwt, scopes: [openid] }"),
        case("RF0404", "identity: { issuer: \"https://id.x.example\" }\n"),
    ]
}

fn login(code: &'static str, user: &str, client: &str) -> Case {
    routed(
        code,
        &format!(
            "  a: {{ match: [ {{ host: x.example, path: / }} ], to: web, user: {user} }}\nidentity:\n  issuer: https://x.example\n  clients:\n    shop: {client}\n"
        ),
    )
}

fn policy(code: &'static str, cedar: &str) -> Case {
    let text = "policies: [a.cedar]\nservices:\n  web: { listen: 8080, calls: [ { to: db, policy: required } ] }\n  db: { listen: { port: 8081, protocol: tcp }, labels: [pci] }\n  api: { listen: 8082 }\n";
    with(case(code, text), "a.cedar", cedar)
}

fn policies() -> Vec<Case> {
    let allow = "permit (principal == Workload::\"web\", action == Action::\"call\", resource == Service::\"db\");\n";
    vec![
        policy(
            "RF0004",
            "permit (principal == Workload::\"web\", action == Action::\"call\", resource == Service::\"bd\");",
        ),
        policy(
            "RF0601",
            &format!(
                "{allow}forbid (principal, action == Action::\"call\", resource)\nwhen {{ context.operation == \"x\" }};\n"
            ),
        ),
        policy(
            "RF0602",
            "permit (principal == Workload::\"web\", action == Action::\"call\", resource == Service::\"db\")\nwhen { context has http && context.http.method == \"GET\" };",
        ),
        policy(
            "RF0603",
            &format!(
                "{allow}permit (principal == Workload::\"web\", action == Action::\"call\", resource == Service::\"api\");"
            ),
        ),
        policy(
            "RF0604",
            &format!(
                "{allow}forbid (principal, action == Action::\"call\", resource)\nwhen {{ context has htp }};\n"
            ),
        ),
        policy(
            "RF0605",
            "forbid (principal, action == Action::\"call\", resource == Service::\"api\");",
        ),
        policy(
            "RF0606",
            &format!(
                "{allow}forbid (principal, action == Action::\"call\", resource == Service::\"api\")\nwhen {{ context has http && context.http.path like \"/res*\" }};"
            ),
        ),
        policy("RF0607", "permit (principal"),
        policy(
            "RF0608",
            &format!(
                "{allow}forbid (principal, action == Action::\"call\", resource)\nwhen {{ context.source.posture == 7 }};"
            ),
        ),
        policy(
            "RF0609",
            &format!(
                "@id(\"a\")\n{allow}@id(\"a\")\nforbid (principal, action == Action::\"call\", resource == Service::\"api\");"
            ),
        ),
    ]
}

fn graph() -> Vec<Case> {
    vec![
        case(
            "RF0610",
            "services:\n  web: { listen: 8080, calls: [batch] }\n  batch: { calls: [web] }\n",
        ),
        case("RF0611", "services:\n  web: { listen: 8080, calls: [web] }\n"),
        case(
            "RF0612",
            "services:\n  web: { listen: 8080, calls: [ { to: db } ] }\n  db: { listen: 8081 }\n",
        ),
        case(
            "RF0613",
            "services:\n  web: { listen: 8080, calls: [ { to: db, only: [GET /x] } ] }\n  db: { listen: { port: 8081, protocol: tcp } }\n",
        ),
        case(
            "RF0613",
            "services:\n  web: { listen: 8080, calls: [ { to: db, only: [POST /a.B/C] } ] }\n  db: { listen: { port: 8081, protocol: grpc } }\n",
        ),
        case(
            "RF0614",
            "services:\n  web: { listen: 8080, calls: [ db, { to: db, only: [GET /x] } ] }\n  db: { listen: 8081 }\n",
        ),
        with(
            case(
                "RF0615",
                "policies: [a.cedar]\nservices:\n  web: { listen: 8080, calls: [db] }\n  db: { listen: 8081 }\n",
            ),
            "a.cedar",
            "@id(\"guarded\")\npermit (principal == Workload::\"web\", action == Action::\"call\", resource == Service::\"db\")\nwhen { context has http && context.http.method == \"GET\" };\n",
        ),
    ]
}

fn loads() -> Vec<Case> {
    vec![
        case(
            "RF0701",
            "services:\n  web: { listen: 8080, resilience: { retry: { when: [\"503\"], methods: [GET, POST] } } }\n",
        ),
        case(
            "RF0702",
            "services:\n  a: { listen: 8080, calls: [b], resilience: { retry: { attempts: 2 } } }\n  b: { listen: 8081, resilience: { retry: { attempts: 2 } } }\ngateways:\n  front: { listeners: [ { bind: \"127.0.0.1:80\", hosts: [x] } ] }\nroutes:\n  r: { match: [ { host: x, path: / } ], to: a, user: none }\n",
        ),
        case(
            "RF0703",
            "services:\n  a: { listen: 8080, calls: [b], resilience: { timeout: 2s } }\n  b: { listen: 8081, resilience: { timeout: 5s } }\n",
        ),
        case(
            "RF0704",
            "services:\n  a: { listen: 8080, limits: { requests: [ { by: workload, rate: 5/s, scope: global } ] } }\n",
        ),
        case(
            "RF0705",
            "services:\n  a: { listen: 8080, subsets: { x: { labels: { t: x }, weight: 60% }, y: { labels: { t: y }, weight: 50% } } }\n",
        ),
        routed(
            "RF0706",
            "  a: { match: [ { host: x.example, path: / } ], to: web, user: none, limits: { body: 2MiB } }\n",
        ),
        case("RF0801", "supply: { require: [provenance] }\n"),
    ]
}

/// Codes that `load` cannot report: they need the time, a build, or a head to compare with.
const ELSEWHERE: [&str; 5] = ["RF0203", "RF0802", "RF0901", "RF1001", "RF1004"];

fn show(title: &str, problems: &[Problem]) -> String {
    format!("=== {title}\n{}\n", render::text(problems, false))
}

/// A text that ends with one newline.
fn ended(text: &str) -> String {
    format!("{}\n", text.trim_end())
}

#[test]
fn every_diagnostic_reads_as_recorded() {
    let all = [
        syntax(),
        shapes(),
        folders(),
        hosts(),
        routes(),
        listeners(),
        policies(),
        graph(),
        loads(),
    ];
    let mut report = String::new();
    let mut covered = BTreeSet::new();
    for case in all.into_iter().flatten() {
        let loaded = load(&case.files);
        let found: Vec<&str> = loaded.problems.iter().map(|problem| problem.code).collect();
        assert!(found.contains(&case.code), "{}: {}", case.code, show("found", &loaded.problems));
        covered.insert(case.code);
        report.push_str(&show(case.code, &loaded.problems));
    }
    let missing: Vec<&str> = codes()
        .iter()
        .map(|text| text.code)
        .filter(|code| !covered.contains(code) && !ELSEWHERE.contains(code))
        .collect();
    assert!(missing.is_empty(), "no case shows {missing:?}");
    expect_file!["../../fixtures/diagnostics.txt"].assert_eq(&ended(&report));
}

#[test]
fn the_shop_names_what_this_build_lacks_and_what_has_expired() {
    let fleet = load(&shop()).fleet.unwrap();
    let day = |days: u64| WallTime::from_unix(std::time::Duration::from_secs(days * 86_400));
    let mut report = show("demands", fleet.unbuilt_demands());
    for (title, today) in
        [("2026-12-01", day(20_788)), ("2026-09-01", day(20_697)), ("2027-02-01", day(20_850))]
    {
        report.push_str(&show(title, &fleet.check_dates(today)));
    }
    expect_file!["../../fixtures/shop.txt"].assert_eq(&ended(&report));
}
