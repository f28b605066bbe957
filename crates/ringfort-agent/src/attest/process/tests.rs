//! What is read from `/proc`, with the names programs give themselves.

use super::*;

#[track_caller]
fn check(text: &str, expected: Option<(u32, u64, bool)>) {
    let found = parse_stat(text).map(|stat| (stat.parent, stat.start_ticks, stat.is_zombie));
    assert_eq!(found, expected, "{text}");
}

#[test]
fn stat_is_read_behind_the_name_a_program_chose() {
    let rest = "S 7 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9 9";
    check(&format!("12 (orders) {rest}"), Some((7, 4242, false)));
    check(&format!("12 (a) R 1 (b) {rest}"), Some((7, 4242, false)));
    check(&format!("12 (\n) Z 1) {rest}"), Some((7, 4242, false)));
    check(&format!("12 (dead) {}", rest.replacen('S', "Z", 1)), Some((7, 4242, true)));
    check("12 (orders) S 7 1 1", None);
    check("12 orders S 7", None);
    check("", None);
}

#[test]
fn ids_are_the_effective_ones_and_never_those_of_a_name() {
    let text = "Name:\tUid: 0 0 0 0\nUmask:\t0022\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n";
    assert_eq!(parse_effective_ids(text), Some((2, 6)));
    assert_eq!(parse_effective_ids("Name:\tx\nUid:\t1\n"), None);
}

#[test]
fn a_pidfd_of_an_ended_process_pins_nothing_even_if_its_number_lives() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let pidfd = pidfd_of(child.id()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // The number of a living process, as if the kernel had given the child's number away again.
    let reused = std::process::id();
    assert!(
        matches!(Process::pin(reused, pidfd), Err(ReadProcessError::Gone { pid }) if pid == reused)
    );
    // Control: the same number with its own pidfd.
    let own = Process::open(reused).unwrap();
    assert!(own.stat().unwrap().start_ticks > 0);
}
