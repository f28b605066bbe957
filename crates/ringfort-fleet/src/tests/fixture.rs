//! The bookshop fixture and tools to change it, for the tests of this crate.

use crate::{
    FleetFile, Loaded, load,
    problem::Problems,
    render,
    source::Sources,
    yaml::{self, Node, Value},
};

/// The files of the bookshop.
pub(crate) const SHOP: [(&str, &str); 11] = [
    ("shop.yaml", include_str!("../../fixtures/shop/shop.yaml")),
    ("edge.yaml", include_str!("../../fixtures/shop/edge.yaml")),
    ("shop.cedar", include_str!("../../fixtures/shop/shop.cedar")),
    (
        "contracts/checkout.openapi.yaml",
        include_str!("../../fixtures/shop/contracts/checkout.openapi.yaml"),
    ),
    (
        "contracts/delivery.openapi.yaml",
        include_str!("../../fixtures/shop/contracts/delivery.openapi.yaml"),
    ),
    ("contracts/billing.binpb", include_str!("../../fixtures/shop/contracts/billing.binpb")),
    ("keys/anna.pub", include_str!("../../fixtures/shop/keys/anna.pub")),
    ("keys/forge.pub", include_str!("../../fixtures/shop/keys/forge.pub")),
    ("keys/wholesaler.jwks.json", include_str!("../../fixtures/shop/keys/wholesaler.jwks.json")),
    ("keys/partners.pem", include_str!("../../fixtures/shop/keys/partners.pem")),
    ("keys/partners-ca.pem", include_str!("../../fixtures/shop/keys/partners-ca.pem")),
];

/// A whole fleet in five lines.
pub(crate) const FIVE_LINES: &str = "ringfort: v1
services:
  web:    { listen: 8080, calls: [orders] }
  orders: { listen: 8081, calls: [ledger] }
  ledger: { listen: { port: 5432, protocol: tcp } }
";

pub(crate) fn file(path: &str, text: &str) -> FleetFile {
    FleetFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
}

pub(crate) fn shop() -> Vec<FleetFile> {
    SHOP.iter().map(|(path, text)| file(path, text)).collect()
}

/// Loads one document alone.
pub(crate) fn load_text(text: &str) -> Loaded {
    load(&[file("fleet.yaml", text)])
}

/// The report on some files, as people see it.
pub(crate) fn report(files: &[FleetFile]) -> String {
    render::text(&load(files).problems, false)
}

/// The tree of a text that is known to be YAML.
pub(crate) fn tree(text: &str) -> Node {
    let mut sources = Sources::default();
    let file = sources.add("tree.yaml", text);
    let mut problems = Problems::new(&sources);
    yaml::parse(file, text, &mut 0, &mut problems).unwrap()
}

/// A tree as YAML again, in flow style.
pub(crate) fn emit(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, plain } => scalar(text, *plain),
        Value::List(items) => {
            format!("[{}]", items.iter().map(emit).collect::<Vec<_>>().join(", "))
        }
        Value::Map(entries) => {
            let entry = |e: &yaml::Entry| format!("{}: {}", scalar(&e.key, true), emit(&e.value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

fn scalar(text: &str, plain: bool) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '%' | '/');
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    if plain && starts_well && text.chars().all(is_bare) || text.is_empty() && plain {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "''"))
}
