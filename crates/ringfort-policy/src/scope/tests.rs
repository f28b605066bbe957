//! Heads against parties; the same rows as Cedar decides them are in `index/tests.rs`.

use ringfort_model::snapshot::Place;

use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Which of call web -> orders (pci), visit stock, invoke stock, operating the fleet, and anybody -> orders are covered.
#[track_caller]
fn check(head: &str, expected: &str) {
    let source = PolicySource {
        id: "p".to_owned(),
        text: format!("permit ({head});"),
        place: Place { file: "shop.cedar".to_owned(), line: 1 },
        generated: false,
    };
    let scope = Scope::of(&source).unwrap();
    let (web, orders, stock) = (name("web"), name("orders"), name("stock"));
    let pci = [name("pci")];
    let covered = [
        ("call", scope.covers_call((&web, &[name("front")]), (&orders, &pci))),
        ("visit", scope.covers_visit(&stock)),
        ("invoke", scope.covers_invoke(&stock)),
        ("fleet", scope.covers_fleet()),
        ("callee", scope.covers_callee(&orders, &pci)),
    ];
    let covered: Vec<&str> =
        covered.iter().filter(|(_, covered)| *covered).map(|(word, _)| *word).collect();
    assert_eq!(covered.join(" "), expected, "{head}");
}

#[test]
fn heads_cover_what_they_name() {
    check("principal, action, resource", "call visit invoke fleet callee");
    check(r#"principal, action == Action::"call", resource"#, "call callee");
    check(r#"principal, action in Action::"visit", resource"#, "visit");
    check(r#"principal, action in [Action::"visit", Action::"tap"], resource"#, "visit fleet");
    check(r#"principal == Workload::"web", action, resource"#, "call callee");
    check(r#"principal == Workload::"batch", action, resource"#, "callee");
    check(r#"principal in Label::"front", action, resource in Label::"pci""#, "call callee");
    check(r#"principal == Label::"front", action, resource"#, "");
    check(r#"principal, action, resource == Label::"pci""#, "");
    check(r#"principal is Workload, action, resource is Service in Label::"pci""#, "call callee");
    check(r#"principal is User, action, resource"#, "invoke fleet");
    check(r#"principal in Group::"g", action, resource"#, "invoke fleet");
    check(r#"principal is Client, action, resource"#, "invoke");
    check(r#"principal == Visitor::"anonymous", action, resource in Route::"stock""#, "visit");
    check(r#"principal, action, resource == Route::"other""#, "");
    check(r#"principal, action, resource == Fleet::"fleet""#, "fleet");
}
