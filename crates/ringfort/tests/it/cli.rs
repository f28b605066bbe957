//! What a person types and reads: help, errors, exit codes.

use std::process::Command;

use crate::host::{RINGFORT, latin};

#[track_caller]
fn check(args: &[&str], code: i32, contains: &[&str]) {
    let output = Command::new(RINGFORT).args(args).output().unwrap();
    let text = format!("{}{}", latin(&output.stdout), latin(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{text}");
    for part in contains {
        assert!(text.contains(part), "{args:?} should print `{part}`:\n{text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn help_shows_commands_and_examples() {
    check(&["--help"], 0, &["Examples:", "ringfort demo", "Exit codes"]);
    for command in ["demo", "check", "up", "apply", "status", "explain", "schema", "completions"] {
        check(&[command, "--help"], 0, &["Example"]);
    }
    check(&["--version"], 0, &["ringfort "]);
}

#[test]
fn wrong_usage_exits_2_and_names_the_mend() {
    check(&["chek"], 2, &["check"]);
    check(&["check", "/does/not/exist"], 2, &["cannot read fleet `/does/not/exist`"]);
    check(&["up"], 2, &["<FLEET>"]);
    check(&["explain", "nonsense"], 2, &["no code"]);
    check(&["explain", "RF9999"], 2, &["there is no code `RF9999`"]);
    check(&["status", "--run", "/does/not/exist"], 2, &["nothing runs here"]);
}

#[test]
fn codes_explain_themselves() {
    check(&["explain", "RF0401"], 0, &["RF0401", "user: none"]);
}

#[test]
fn completions_and_schema_are_printed() {
    check(&["completions", "bash"], 0, &["_ringfort()"]);
    check(&["schema"], 0, &["\"$schema\"", "trust_domain"]);
}

#[test]
fn check_reports_every_problem_at_once_with_place_and_mend() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = dir.path().join("shop.yaml");
    let text = "ringfort: v1\nservices:\n  orders: { listen: 8080, cals: [payments] }\n  web: { calls: [paymets] }\n  payments: { listen: 8081 }\n";
    std::fs::write(&fleet, text).unwrap();
    let fleet = fleet.to_str().unwrap();
    check(
        &["check", fleet],
        1,
        &["shop.yaml:3:", "`cals`", "shop.yaml:4:", "`paymets`", "payments"],
    );
    check(&["check", fleet, "--format", "json"], 1, &["\"code\"", "RF0004"]);
    check(&["check", fleet, "--format", "sarif"], 1, &["\"2.1.0\""]);
    check(&["check", fleet, "--format", "github"], 1, &["::error file=shop.yaml,line=3"]);
}

/// Processor seconds a refusal may take; the code of a debug build is an order of magnitude slower.
const SECONDS: u32 = if cfg!(debug_assertions) { 10 } else { 1 };
/// Memory a refusal may take: the kernel fails what goes beyond, and the program ends by a signal.
const MEMORY_KIB: u32 = 100 * 1024;

#[test]
fn hostile_files_are_refused_in_little_time_and_memory() {
    let dir = tempfile::tempdir().unwrap();
    let large = |head: &str, piece: &str, tail: &str| {
        let count = (10 * 1024 * 1024 - 1024) / piece.len();
        format!("ringfort: v1\n{head}{}{tail}\n", piece.repeat(count)).into_bytes()
    };
    let cases: [(&str, Vec<u8>); 9] = [
        ("empty", Vec::new()),
        ("huge", vec![b'a'; 100 * 1024 * 1024]),
        ("deep", format!("ringfort: v1\nservices: {}", "[".repeat(100_000)).into_bytes()),
        ("bomb", b"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b]\n".to_vec()),
        ("latin", b"ringfort: v1\nservices: { \xff: {} }\n".to_vec()),
        ("list", large("policies: [", "a,", "a]")),
        ("maps", large("services: [", "{},", "{}]")),
        ("text", large("services: \"", "a", "\"")),
        ("lines", large("services:\n", "  a: {}\n", "")),
    ];
    for (name, bytes) in cases {
        let path = dir.path().join(format!("{name}.yaml"));
        std::fs::write(&path, bytes).unwrap();
        let limits = format!("ulimit -t {SECONDS} && ulimit -d {MEMORY_KIB}");
        let script = format!("{limits} && exec {RINGFORT} check {}", path.display());
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let text = format!("{}{}", latin(&output.stdout), latin(&output.stderr));
        let start: String = text.chars().take(500).collect();
        assert!(
            matches!(output.status.code(), Some(1 | 2)),
            "{name}: {:?}\n{start}",
            output.status
        );
        assert!(
            !text.is_empty() && text.len() < 64 * 1024,
            "{name}: {} bytes: {start}",
            text.len()
        );
        std::fs::remove_file(&path).unwrap();
    }
}
