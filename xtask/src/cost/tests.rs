//! Reading what cargo and valgrind say, and judging it.

use super::{collected, executable, verdict};

#[test]
fn the_program_is_the_one_cargo_names() {
    let text =
        "   Compiling x\n  Executable benches/decision.rs (target/release/deps/decision-1)\n";
    assert_eq!(executable(text), Some("target/release/deps/decision-1"));
    assert_eq!(executable("   Compiling x\n"), None);
}

#[test]
fn the_count_is_read_from_valgrind() {
    assert_eq!(collected("==1== Events    : Ir\n==1== Collected : 274\n"), Some(274));
    assert_eq!(collected("==1== aborted\n"), None);
}

#[test]
fn more_policies_may_cost_a_tenth_more() {
    assert_eq!(verdict(1000, 1100), Ok(()));
    assert!(verdict(1000, 1120).is_err());
    assert!(verdict(0, 0).is_err());
}
