//! What strict YAML refuses, that every node knows its place, and that hostile files are refused cheaply.

use super::{Value, parse};
use crate::{
    FleetFile, Severity, load,
    problem::Problems,
    source::Sources,
    tests::fixture::{file, load_text},
};

#[test]
fn every_node_knows_its_place() {
    let text = "größe: { a: [ä, \"b\"] }\nc:\n  d: |\n    e\n";
    let mut sources = Sources::default();
    let file = sources.add("a.yaml", text);
    let mut problems = Problems::new(&sources);
    let root = parse(file, text, &mut 0, &mut problems).unwrap();
    let spot = |span| {
        let spot = sources.spot(span);
        (spot.line, spot.column, spot.length)
    };
    let first = &root.entries()[0];
    assert_eq!(spot(first.key_span), (1, 1, 5));
    let list = first.value.entry("a").unwrap().value.items();
    assert_eq!(spot(list[0].span), (1, 14, 1));
    assert_eq!(spot(list[1].span), (1, 17, 3));
    let d = root.entry("c").unwrap().value.entry("d").unwrap();
    assert_eq!(spot(d.key_span), (3, 3, 1));
    assert!(matches!(&d.value.value, Value::Scalar { text, plain: false } if text == "e\n"));
}

#[track_caller]
fn refused(text: &str, code: &str) {
    let loaded = load_text(text);
    assert!(loaded.fleet.is_none());
    let found: Vec<&str> = loaded.problems.iter().map(|problem| problem.code).collect();
    assert!(found.contains(&code), "{found:?}");
}

#[test]
fn refuses_what_two_readers_could_take_differently() {
    refused("ringfort: v1\nfleet: &x { trust_domain: a.b }\n", "RF0007");
    refused("ringfort: v1\nfleet: *x\n", "RF0006");
    refused("ringfort: !v v1\n", "RF0007");
    refused("ringfort: v1\n<<: { a: b }\n", "RF0007");
    refused("ringfort: v1\n---\nringfort: v1\n", "RF0007");
    refused("ringfort: v1\nringfort: v1\n", "RF0003");
    refused("ringfort: v1\n? [a]\n: b\n", "RF0001");
    refused("- ringfort\n", "RF0016");
    refused("%YAML 1.1\n---\nringfort: v1\nfleet:\n", "RF0011");
    refused("\u{feff}ringfort: v1\n", "RF0008");
}

/// A laughing billion: each line names the line above nine times.
fn aliases() -> String {
    let mut text = "ringfort: v1\na: &a [x, x, x]\n".to_owned();
    for (name, before) in ('b'..='z').zip('a'..='y') {
        text.push_str(&format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(", ")));
    }
    text
}

#[test]
fn hostile_files_are_refused() {
    let mib = 1024 * 1024;
    refused(&aliases(), "RF0007");
    refused(&"[".repeat(mib), "RF0006");
    refused(&"{a: ".repeat(mib / 4), "RF0006");
    refused(&"- ".repeat(mib / 2), "RF0008");
    refused(
        &(0..3000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>(),
        "RF0008",
    );
    refused(&"a: b\n".repeat(mib / 8), "RF0003");
    refused(&format!("ringfort: v1\nfleet: [{}]", "a,".repeat(mib / 2)), "RF0008");
    refused(&format!("ringfort: v1\nfleet: \"{}", "x".repeat(4 * mib)), "RF0006");
    refused(&format!("ringfort: v1\nfleet: {}", "x ".repeat(2 * mib)), "RF0010");
    refused("", "RF0016");
    refused("\0", "RF0006");
}

#[test]
fn sizes_have_bounds() {
    let check = |files: &[FleetFile], word: &str| {
        let loaded = load(files);
        assert!(loaded.fleet.is_none());
        assert!(loaded.problems.iter().any(|problem| problem.code == "RF0008"), "{word}");
    };
    let large =
        FleetFile { path: "fleet.yaml".to_owned(), bytes: vec![b'#'; 10 * 1024 * 1024 + 1] };
    check(&[large], "one file");
    let many: Vec<FleetFile> = (0..1001).map(|n| file(&format!("{n}.txt"), "")).collect();
    check(&many, "files");
    let half = |name: &str| FleetFile { path: name.to_owned(), bytes: vec![b'#'; 9 * 1024 * 1024] };
    check(&[half("a.yaml"), half("b.yaml")], "together");
}

#[test]
fn reports_are_bounded_too() {
    let lines: String = (0..2000).map(|n| format!("a{n}: b\n")).collect();
    let loaded = load_text(&format!("ringfort: v1\n{lines}"));
    assert!(loaded.fleet.is_none());
    assert!(loaded.problems.len() < 600, "{}", loaded.problems.len());
    assert!(loaded.problems.iter().all(|problem| problem.severity == Severity::Error));
}
