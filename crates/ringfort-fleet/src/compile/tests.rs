//! What each class is told: its own part and nothing else of the fleet.

use expect_test::expect;
use ringfort_model::{Name, Revision, Snapshot, snapshot::Role};

use crate::{
    Compiled, load,
    tests::fixture::{FIVE_LINES, load_text, shop},
};

fn snapshot<'c>(compiled: &'c Compiled, name: &str) -> &'c Snapshot {
    compiled.snapshots.values().find(|snapshot| snapshot.workload.as_str() == name).unwrap()
}

fn words<'n>(names: impl IntoIterator<Item = &'n Name>) -> String {
    names.into_iter().map(Name::as_str).collect::<Vec<_>>().join(" ")
}

/// What a class knows of the others, in four lines.
fn view(compiled: &Compiled, name: &str) -> String {
    let snapshot = snapshot(compiled, name);
    let callers = match &snapshot.role {
        Role::Sidecar(sidecar) => words(sidecar.callers.keys()),
        Role::Gateway(gateway) => format!("{} listeners", gateway.listeners.len()),
    };
    let policies: Vec<&str> =
        snapshot.policies.policies.iter().map(|policy| policy.id.as_str()).collect();
    format!(
        "{}: callers [{callers}] peers [{}] policies {policies:?}\n",
        snapshot.class.as_str(),
        words(snapshot.peers.keys()),
    )
}

#[test]
fn five_lines_are_closed() {
    let compiled = load_text(FIVE_LINES).fleet.unwrap().compile(Revision::new(7));
    let all: String = ["web", "orders", "ledger"].map(|name| view(&compiled, name)).concat();
    expect![[r#"
        spiffe://ringfort.internal/svc/web: callers [] peers [orders] policies []
        spiffe://ringfort.internal/svc/orders: callers [web] peers [ledger] policies ["fleet.yaml:3"]
        spiffe://ringfort.internal/svc/ledger: callers [orders] peers [] policies ["fleet.yaml:4"]
    "#]].assert_eq(&all);
    let web = snapshot(&compiled, "web");
    let text = format!("{web:?}");
    assert!(!text.contains("ledger"), "web knows of ledger: {text}");
    assert_eq!(compiled.issue_rules.workloads.len(), 3);
    let rule = &compiled.issue_rules.workloads["web"];
    assert_eq!(rule.selectors.unix_user.as_deref(), Some("web"));
}

#[test]
fn the_shop_tells_each_class_its_own_part() {
    let compiled = load(&shop()).fleet.unwrap().compile(Revision::new(7));
    let names = ["catalog", "checkout", "billing", "stock", "archive", "courier", "front"];
    let all: String = names.map(|name| view(&compiled, name)).concat();
    expect![[r#"
        spiffe://books.example/svc/catalog: callers [front] peers [archive stock] policies ["edge.yaml:35", "no-known-exploited-caller"]
        spiffe://books.example/svc/checkout: callers [front] peers [billing stock] policies ["edge.yaml:59", "no-known-exploited-caller"]
        spiffe://books.example/svc/billing: callers [checkout] peers [] policies ["checkout-charges", "money-is-closed", "no-known-exploited-caller"]
        spiffe://books.example/svc/stock: callers [catalog checkout courier front] peers [] policies ["shop.yaml:49", "shop.yaml:86", "shop.yaml:121", "edge.yaml:48", "no-known-exploited-caller"]
        spiffe://books.example/svc/archive: callers [catalog] peers [] policies ["shop.yaml:50", "money-is-closed", "no-known-exploited-caller", "entrance-stays-outside"]
        spiffe://books.example/svc/courier: callers [] peers [stock] policies []
        spiffe://books.example/gateway/front: callers [3 listeners] peers [catalog checkout stock] policies ["edge.yaml:52", "edge.yaml:25", "edge.yaml:31", "desk-reads-levels"]
    "#]].assert_eq(&all);
    assert!(compiled.snapshots.keys().all(|class| !class.as_str().ends_with("/accounts")));
}

#[test]
fn what_this_build_cannot_guard_is_compiled_shut() {
    let compiled = load(&shop()).fleet.unwrap().compile(Revision::new(7));
    let front = snapshot(&compiled, "front");
    let Role::Gateway(gateway) = &front.role else { panic!("front is a gateway") };
    let binds: Vec<String> = gateway.listeners.iter().map(|l| l.bind.to_string()).collect();
    assert_eq!(binds, ["0.0.0.0:80", "127.0.0.1:8444", "127.0.0.1:8445"]);
    assert!(gateway.routes.iter().any(|route| route.name.as_str() == "pay"));
    assert!(!front.policies.routes.contains_key("pay"));
}

#[test]
fn the_plan_says_what_a_host_runs() {
    let plan = load(&shop()).fleet.unwrap().compile(Revision::new(7)).host_plan;
    let of_host = |host: &str| {
        let part = plan.of_host(&host.parse().unwrap());
        format!("{} + {}", words(part.services.keys()), words(part.gateways.keys()))
    };
    assert_eq!(of_host("vault1"), "archive billing catalog checkout courier stock + ");
    assert_eq!(of_host("edge1"), "archive catalog checkout courier stock + front");
    let catalog = &plan.services["catalog"];
    assert_eq!(catalog.run.as_ref().unwrap().command, ["/usr/local/bin/catalog", "--verbose"]);
    assert!(catalog.needs_sidecar && catalog.unix_user.is_none());
    assert_eq!(plan.services["archive"].unix_user.as_deref(), Some("postgres"));
}

#[test]
fn equal_files_compile_to_equal_snapshots() {
    let compile = || load(&shop()).fleet.unwrap().compile(Revision::new(7));
    assert_eq!(compile(), compile());
}
