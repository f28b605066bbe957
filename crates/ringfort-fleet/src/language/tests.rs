//! The table is consistent in itself, says what the model says, and the bookshop uses all of it.

use std::collections::BTreeSet;

use ringfort_model::{Limits, Resilience, Revision, snapshot::Role};

use super::{Field, Kind, Need, Object, ROOT};
use crate::{
    scalar,
    tests::fixture::{SHOP, load_text, tree},
    yaml::{Node, Value},
};

fn objects(object: &'static Object, path: &str, visit: &mut impl FnMut(&'static Field, &str)) {
    for field in object.fields {
        let path = format!("{path}.{}", field.name);
        visit(field, &path);
        inner(&field.kind, &path, visit);
    }
}

fn inner(kind: &'static Kind, path: &str, visit: &mut impl FnMut(&'static Field, &str)) {
    match kind {
        Kind::Object(object) => objects(object, path, visit),
        Kind::List(item) => inner(item, path, visit),
        Kind::Map { value, .. } => inner(value, &format!("{path}.*"), visit),
        Kind::Forms(forms) => forms.iter().for_each(|form| inner(form, path, visit)),
        Kind::Text(_) => {}
    }
}

#[test]
fn every_default_fits_its_own_field() {
    objects(&ROOT, "", &mut |field, path| {
        let Need::Default { value, why } = field.need else { return };
        assert!(!why.is_empty(), "{path} gives no reason");
        if value.contains("NAME") {
            return;
        }
        fits(&field.kind, &tree(value), path);
    });
}

fn fits(kind: &Kind, node: &Node, path: &str) {
    match (kind, &node.value) {
        (Kind::Text(form), Value::Scalar { text, plain }) => {
            assert_eq!(scalar::check(*form, text, *plain), Ok(()), "{path}");
        }
        (Kind::List(item), Value::List(items)) => {
            items.iter().for_each(|node| fits(item, node, path));
        }
        (Kind::Forms(forms), _) => {
            let form = forms.iter().find(|form| matches!(form, Kind::Text(_))).unwrap();
            fits(form, node, path);
        }
        (other, _) => panic!("{path}: a default cannot stand for {other:?}"),
    }
}

#[test]
fn every_field_says_what_it_does() {
    let mut seen = BTreeSet::new();
    objects(&ROOT, "", &mut |field, path| {
        assert!(field.doc.ends_with('.') && !field.doc.contains('|'), "{path}: {}", field.doc);
        assert!(
            field.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        );
        seen.insert(path.to_owned());
    });
    assert!(seen.len() > 150, "{}", seen.len());
}

#[test]
fn the_bookshop_writes_every_field() {
    let mut written = BTreeSet::new();
    for (_, text) in SHOP.iter().filter(|(path, _)| path.ends_with(".yaml") && !path.contains('/'))
    {
        collect(&tree(text), "", &mut written);
    }
    let mut missing = Vec::new();
    objects(&ROOT, "", &mut |field, path| {
        let alternatives = ["dns", "kubernetes", "builtin"];
        let known = written.iter().any(|known| same(known, path));
        let is_alternative = path.contains(".instances.") && alternatives.contains(&field.name);
        if !known && !is_alternative {
            missing.push(path.to_owned());
        }
    });
    missing.retain(|path| !OUTER.iter().any(|outer| path.starts_with(outer)));
    assert_eq!(missing, Vec::<String>::new());
}

/// Objects that stand in several places of the language; the bookshop writes each of their fields in one of them.
const OUTER: [&str; 7] = [
    ".services.*.supply",
    ".services.*.limits.requests",
    ".services.*.workload.systemd_unit",
    ".gateways.*.limits",
    ".gateways.*.workload",
    ".routes.*.limits",
    ".routes.*.contract.proto",
];

fn same(written: &str, path: &str) -> bool {
    let (written, path): (Vec<&str>, Vec<&str>) =
        (written.split('.').collect(), path.split('.').collect());
    written.len() == path.len() && written.iter().zip(&path).all(|(a, b)| a == b || *b == "*")
}

fn collect(node: &Node, path: &str, written: &mut BTreeSet<String>) {
    for entry in node.entries() {
        let path = format!("{path}.{}", entry.key);
        collect(&entry.value, &path, written);
        written.insert(path);
    }
    for item in node.items() {
        collect(item, path, written);
    }
}

#[test]
fn what_is_not_written_is_what_the_model_calls_standard() {
    let text = "ringfort: v1\nservices:\n  a: { listen: 8080 }\n";
    let compiled = load_text(text).fleet.unwrap().compile(Revision::new(1));
    let snapshot = compiled.snapshots.values().next().unwrap();
    let Role::Sidecar(sidecar) = &snapshot.role else { panic!("a service has a sidecar") };
    let local = sidecar.local.as_ref().unwrap();
    assert_eq!(local.limits, Limits::STANDARD);
    assert_eq!(local.resilience, Resilience::STANDARD);
    let defaults =
        super::LIMITS.fields.iter().filter(|field| matches!(field.need, Need::Default { .. }));
    let view = crate::view::View::new(None, &super::LIMITS);
    assert_eq!(defaults.count(), 7);
    assert_eq!(view.bytes("body"), Some(Limits::STANDARD.body));
    assert_eq!(view.bytes("url"), Some(Limits::STANDARD.url));
    assert_eq!(view.duration("header_timeout"), Some(Limits::STANDARD.header_timeout));
    assert_eq!(view.duration("body_idle"), Some(Limits::STANDARD.body_idle));
    assert_eq!(view.duration("idle"), Some(Limits::STANDARD.idle));
    assert_eq!(view.count("streams"), Some(Limits::STANDARD.streams));
    assert_eq!(view.count("connections"), Some(Limits::STANDARD.connections));
    let Kind::Object(headers) = &super::LIMITS.field("headers").unwrap().kind else {
        panic!("fields")
    };
    let view = crate::view::View::new(None, headers);
    assert_eq!(view.bytes("bytes"), Some(Limits::STANDARD.header_bytes));
    assert_eq!(view.count("count"), Some(Limits::STANDARD.header_count));
}
