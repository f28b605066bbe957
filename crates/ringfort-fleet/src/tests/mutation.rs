//! Every field of every object of the bookshop is deleted, blanked, misspelt, doubled and made to dangle: either the
//! fleet is refused, or whatever was denied stays denied.
//!
//! What is allowed is the set of all requests of a fixed matrix that pass routing and policy as compiled, and of all
//! processes that get an identity. Only leaving out a field that the language's table marks as narrowing may enlarge it.

mod matrix;

use std::{collections::BTreeSet, sync::Arc};

use expect_test::{Expect, expect};
use ringfort_model::{
    Revision,
    snapshot::{Place, Role, Route},
};

use self::matrix::allowed;
use super::fixture::{SHOP, emit, file, shop, tree};
use crate::{
    Compiled, Fleet, FleetFile, Loaded, Severity,
    language::{Kind, ROOT},
    load,
    yaml::{Entry, Node, Value},
};

/// A node of a tree, how to reach it, and what the table says about the field it belongs to.
struct Site {
    /// Positions of entries or items, from the root down.
    steps: Vec<usize>,
    path: String,
    narrows: bool,
}

/// What is done to a node.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// The entry or item is removed.
    Delete,
    /// Nothing stands behind its colon.
    Blank,
    /// It becomes an empty list or map.
    Empty,
    /// Its key loses its last letter.
    Misspell,
    /// It stands there twice.
    Double,
    /// Each single value in it gets a letter more.
    Dangle,
}

static TOP: Kind = Kind::Object(&ROOT);

const DOCUMENTS: [&str; 2] = ["shop.yaml", "edge.yaml"];

/// All nodes below `node`; `kind` is what the table expects there.
fn sites(node: &Node, kind: Option<&'static Kind>, site: &Site, found: &mut Vec<Site>) {
    let kind = kind.and_then(|kind| shaped(kind, node));
    for (number, (step, child, key)) in children(node).into_iter().enumerate() {
        let mut steps = site.steps.clone();
        steps.push(number);
        let mut child_site =
            Site { steps, path: format!("{}{step}", site.path), narrows: site.narrows };
        let inner = match kind {
            Some(Kind::Object(object)) => object.field(key).map(|field| {
                child_site.narrows = field.narrows;
                &field.kind
            }),
            Some(Kind::Map { value, .. }) => Some(*value),
            Some(Kind::List(item)) => Some(*item),
            Some(Kind::Text(_) | Kind::Forms(_)) | None => None,
        };
        sites(child, inner, &child_site, found);
        found.push(child_site);
    }
}

fn shaped(kind: &'static Kind, node: &Node) -> Option<&'static Kind> {
    match (kind, &node.value) {
        (Kind::Forms(forms), _) => forms.iter().find_map(|form| shaped(form, node)),
        (Kind::Object(_) | Kind::Map { .. }, Value::Map(_))
        | (Kind::List(_), Value::List(_))
        | (Kind::Text(_), Value::Scalar { .. }) => Some(kind),
        (Kind::Object(_) | Kind::Map { .. } | Kind::List(_) | Kind::Text(_), _) => None,
    }
}

fn children(node: &Node) -> Vec<(String, &Node, &str)> {
    let entry = |entry: &'_ Entry| format!(".{}", entry.key);
    match &node.value {
        Value::Map(entries) => {
            entries.iter().map(|e| (entry(e), &e.value, e.key.as_str())).collect()
        }
        Value::List(items) => {
            items.iter().enumerate().map(|(n, item)| (format!("[{n}]"), item, "")).collect()
        }
        Value::Scalar { .. } => Vec::new(),
    }
}

/// The tree with one change, or `None` where the change has no meaning.
fn changed(root: &Node, site: &Site, change: Change) -> Option<Node> {
    let mut root = root.clone();
    let (last, way) = site.steps.split_last()?;
    let mut parent = &mut root;
    for step in way {
        parent = match &mut parent.value {
            Value::Map(entries) => &mut entries[*step].value,
            Value::List(items) => &mut items[*step],
            Value::Scalar { .. } => return None,
        };
    }
    match &mut parent.value {
        Value::Map(entries) => match change {
            Change::Delete => drop(entries.remove(*last)),
            Change::Misspell => drop(entries[*last].key.pop()?),
            Change::Double => entries.push(entries[*last].clone()),
            Change::Blank | Change::Empty | Change::Dangle => {
                alter(&mut entries[*last].value, change)?;
            }
        },
        Value::List(items) => match change {
            Change::Delete => drop(items.remove(*last)),
            Change::Double => items.push(items[*last].clone()),
            Change::Misspell => return None,
            Change::Blank | Change::Empty | Change::Dangle => alter(&mut items[*last], change)?,
        },
        Value::Scalar { .. } => return None,
    }
    Some(root)
}

fn alter(node: &mut Node, change: Change) -> Option<()> {
    match (&mut node.value, change) {
        (Value::Scalar { text, .. }, Change::Dangle) => text.push('x'),
        (value @ Value::List(_), Change::Empty) => *value = Value::List(Vec::new()),
        (value @ Value::Map(_), Change::Empty) => *value = Value::Map(Vec::new()),
        (value, Change::Blank) => *value = Value::Scalar { text: String::new(), plain: true },
        _ => return None,
    }
    Some(())
}

/// A document of the shop, unchanged.
fn original(document: &str) -> &'static str {
    SHOP.iter().find(|(path, _)| *path == document).map(|(_, text)| *text).unwrap()
}

/// The shop with one document replaced.
fn fleet_with(document: &str, root: &Node) -> Vec<FleetFile> {
    let mut files: Vec<FleetFile> = shop();
    files.retain(|file| file.path != document);
    files.push(file(document, &emit(root)));
    files
}

/// The shop without written policies, which take most of the time of a check.
fn bare_fleet_with(document: &str, root: &Node) -> Loaded {
    let mut files = fleet_with(document, root);
    files.retain(|file| !file.path.ends_with(".cedar"));
    for file in files.iter_mut().filter(|file| DOCUMENTS.contains(&file.path.as_str())) {
        let is_changed = file.path == document;
        let mut root = if is_changed { root.clone() } else { tree(original(&file.path)) };
        if let Value::Map(entries) = &mut root.value {
            entries.retain(|entry| entry.key != "policies");
        }
        generate(&mut root);
        file.bytes = emit(&root).into_bytes();
    }
    load(&files)
}

/// Turns every `policy: required` into `generated`.
fn generate(node: &mut Node) {
    match &mut node.value {
        Value::Map(entries) => {
            for entry in entries {
                match &mut entry.value.value {
                    Value::Scalar { text, .. } if entry.key == "policy" && text == "required" => {
                        "generated".clone_into(text);
                    }
                    Value::Scalar { .. } | Value::List(_) | Value::Map(_) => {
                        generate(&mut entry.value);
                    }
                }
            }
        }
        Value::List(items) => items.iter_mut().for_each(generate),
        Value::Scalar { .. } => {}
    }
}

/// What a fleet means, without the places where it is written.
fn meaning(fleet: &Fleet) -> Compiled {
    let mut compiled = fleet.compile(Revision::NONE);
    let nowhere = Place { file: String::new(), line: 0 };
    for snapshot in compiled.snapshots.values_mut() {
        for policy in &mut snapshot.policies.policies {
            policy.id = String::new();
            policy.place = nowhere.clone();
        }
        if let Role::Gateway(gateway) = &mut snapshot.role {
            for route in &mut gateway.routes {
                *route = Arc::new(Route { place: nowhere.clone(), ..(**route).clone() });
            }
        }
    }
    compiled
}

/// Whether a change cannot allow anything, seen without the written policies: the fleet is refused for a reason that
/// policies cannot cure, or it means what it meant before.
fn is_harmless(document: &str, root: &Node, site: &Site, before: &Compiled) -> bool {
    if site.path.contains(".polic") {
        return false;
    }
    let loaded = bare_fleet_with(document, root);
    match loaded.fleet {
        Some(fleet) => meaning(&fleet) == *before,
        None => loaded.problems.iter().any(|problem| {
            problem.severity == Severity::Error && !problem.code.starts_with("RF06")
        }),
    }
}

/// Makes one change everywhere; lists the fields whose change allows something new, with one example each.
#[track_caller]
fn check(change: Change, expected: &Expect) {
    let before = allowed(&load(&shop()).fleet.unwrap());
    let shop_yaml = tree(SHOP[0].1);
    let bare = meaning(&bare_fleet_with(SHOP[0].0, &shop_yaml).fleet.unwrap());
    let (mut report, mut tried) = (BTreeSet::new(), 0);
    for document in DOCUMENTS {
        let root = tree(original(document));
        let mut found = Vec::new();
        let top = Site { steps: Vec::new(), path: String::new(), narrows: false };
        sites(&root, Some(&TOP), &top, &mut found);
        for site in &found {
            let Some(mutant) = changed(&root, site, change) else { continue };
            tried += 1;
            if is_harmless(document, &mutant, site, &bare) {
                continue;
            }
            let Some(fleet) = load(&fleet_with(document, &mutant)).fleet else { continue };
            let after = allowed(&fleet);
            if let Some(new) = after.difference(&before).next() {
                let marked = if site.narrows { "narrows" } else { "HOLE" };
                report.insert(format!("{marked} {}: {new}", site.path));
            }
        }
    }
    assert!(tried > 80, "{tried} changes are too few to mean anything");
    let report: Vec<String> = report.into_iter().collect();
    expected.assert_eq(&report.join("\n"));
}

#[test]
fn slow_deleting_a_field_allows_nothing_unless_it_narrows() {
    check(
        Change::Delete,
        &expect![[r#"
        narrows .gateways.front.listeners[3].tls: visit 127.0.0.1:8444 plain GET inside.books.example/levels/1 - 10.1.2.7
        narrows .gateways.front.workload: identity front for front:users other on edge1
        narrows .routes.levels.match[0].methods: visit 127.0.0.1:8444 tls DELETE inside.books.example/levels/1 - 10.1.2.7
        narrows .routes.titles.match[1].headers: visit 127.0.0.1:8444 tls GET inside.books.example/titles/1 - 10.1.2.7
        narrows .routes.titles.match[1].methods: visit 127.0.0.1:8444 tls DELETE inside.books.example/titles/1 staff 10.1.2.7
        narrows .services.billing.runs_on: identity billing for billing:money known on edge1
        narrows .services.billing.workload.exe_sha256: identity billing for billing:money other on vault1
        narrows .services.billing.workload.unix_group: identity billing for billing:users known on vault1
        narrows .services.billing.workload.unix_user: identity billing for mallory:money known on vault1
        narrows .services.billing.workload: identity billing for billing:money other on vault1
        narrows .services.catalog.calls[0].only: call catalog -> stock DELETE /levels/1
        narrows .services.courier.workload: identity courier for courier:users other on edge1"#]],
    );
}

#[test]
fn slow_blanking_a_field_allows_nothing() {
    check(Change::Blank, &expect![[""]]);
}

#[test]
fn slow_emptying_a_list_or_map_allows_nothing() {
    check(Change::Empty, &expect![[""]]);
}

#[test]
fn slow_misspelling_a_field_allows_nothing() {
    check(Change::Misspell, &expect![[""]]);
}

#[test]
fn slow_doubling_a_field_allows_nothing() {
    check(Change::Double, &expect![[""]]);
}

#[test]
fn slow_a_dangling_value_allows_nothing() {
    check(Change::Dangle, &expect![[""]]);
}

#[test]
fn the_matrix_allows_some_and_denies_more() {
    let all = allowed(&load(&shop()).fleet.unwrap());
    expect![[r#"
        call catalog -> archive DELETE /levels/1
        call catalog -> archive GET /
        call catalog -> archive GET /levels
        call catalog -> archive GET /levels/1
        call catalog -> archive POST /books.Billing/Charge
        call catalog -> archive POST /books.Billing/Refund
        call catalog -> archive POST /reservations
        call catalog -> stock GET /levels
        call catalog -> stock GET /levels/1
        call checkout -> billing POST /books.Billing/Charge
        call checkout -> stock GET /levels/1
        call checkout -> stock POST /reservations
        call courier -> stock DELETE /levels/1
        call courier -> stock GET /
        call courier -> stock GET /levels
        call courier -> stock GET /levels/1
        call courier -> stock POST /books.Billing/Charge
        call courier -> stock POST /books.Billing/Refund
        call courier -> stock POST /reservations
        call front -> catalog DELETE /levels/1
        call front -> catalog GET /
        call front -> catalog GET /levels
        call front -> catalog GET /levels/1
        call front -> catalog POST /books.Billing/Charge
        call front -> catalog POST /books.Billing/Refund
        call front -> catalog POST /reservations
        call front -> checkout DELETE /levels/1
        call front -> checkout GET /
        call front -> checkout GET /levels
        call front -> checkout GET /levels/1
        call front -> checkout POST /books.Billing/Charge
        call front -> checkout POST /books.Billing/Refund
        call front -> checkout POST /reservations
        call front -> stock DELETE /levels/1
        call front -> stock GET /
        call front -> stock GET /levels
        call front -> stock GET /levels/1
        call front -> stock POST /books.Billing/Charge
        call front -> stock POST /books.Billing/Refund
        call front -> stock POST /reservations
        identity archive for postgres:postgres other on vault1
        identity billing for billing:money known on vault1
        identity stock for stock:users other on vault1
        visit 127.0.0.1:8444 tls GET inside.books.example/levels/1 - 10.1.2.7
        visit 127.0.0.1:8444 tls GET inside.books.example/levels/1 staff 10.1.2.7
        visit 127.0.0.1:8444 tls GET inside.books.example/titles/1 staff 10.1.2.7
        visit 127.0.0.1:8444 tls GET inside.books.example/titles/1 staff 192.0.2.7"#]]
    .assert_eq(&all.into_iter().collect::<Vec<_>>().join("\n"));
}
