//! Whole folders: what loads, what is refused, and that nothing which looks like part of a fleet is ignored.

use expect_test::expect;
use ringfort_model::Revision;

use crate::tests::fixture::{FIVE_LINES, load_text, report, shop};

#[test]
fn five_lines_are_a_fleet() {
    let loaded = load_text(FIVE_LINES);
    assert_eq!(loaded.problems, []);
    let compiled = loaded.fleet.unwrap().compile(Revision::new(1));
    assert_eq!(compiled.snapshots.len(), 3);
}

#[test]
fn the_shop_is_a_fleet() {
    expect![[""]].assert_eq(&report(&shop()));
}
