//! Whole folders: what loads, what is refused, and that nothing which looks like part of a fleet is ignored.

use ringfort_model::Revision;

use super::load;
use crate::{FleetFile, render};

const FIVE_LINES: &str = "ringfort: v1
services:
  web:    { listen: 8080, calls: [orders] }
  orders: { listen: 8081, calls: [ledger] }
  ledger: { listen: { port: 5432, protocol: tcp } }
";

fn file(path: &str, text: &str) -> FleetFile {
    FleetFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
}

#[test]
fn five_lines_are_a_fleet() {
    let loaded = load(&[file("fleet.yaml", FIVE_LINES)]);
    assert_eq!(render::text(&loaded.problems, false), "");
    let compiled = loaded.fleet.unwrap().compile(Revision::new(1));
    assert_eq!(compiled.snapshots.len(), 3);
}
