//! Distances and limits.

use super::*;

#[track_caller]
fn check(word: &str, known: &[&str], expected: Option<&str>) {
    assert_eq!(nearest(word, known.iter().copied()), expected, "{word}");
}

#[test]
fn the_nearest_word_is_near() {
    check("paymets", &["orders", "payments", "ledger"], Some("payments"));
    check("htp", &["http", "source"], Some("http"));
    check("pic", &["pci"], None);
    check("a", &["b"], Some("b"));
    check("", &["ab"], None);
    check("ordrs", &["orders-b", "orders"], Some("orders"));
    check("\u{e9}t\u{e9}s", &["etes"], None);
}

#[test]
fn distances_are_edits() {
    for (a, b, expected) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("ab", "ba", 2)] {
        assert_eq!(distance(a, b), expected, "{a} {b}");
        assert_eq!(distance(b, a), expected, "{b} {a}");
    }
}
