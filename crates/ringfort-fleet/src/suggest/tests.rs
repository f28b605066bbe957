//! Which slips are recognised and which words are too far away.

use super::nearest;

#[test]
fn finds_the_slip_of_the_fingers() {
    let words = ["payments", "orders", "inventory", "ledger"];
    let check = |word: &str, expected: Option<&str>| assert_eq!(nearest(word, words), expected);
    check("paymets", Some("payments"));
    check("payemnts", Some("payments"));
    check("order", Some("orders"));
    check("legder", Some("ledger"));
    check("billing", None);
    check("x", None);
    check("", None);
}
