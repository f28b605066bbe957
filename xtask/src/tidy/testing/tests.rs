use super::PROGRAM;
use crate::tidy::tests::check;

const IT: (&str, &str) = (PROGRAM, "//! Runs the fleet.\n#![cfg(test)]\nmod gateway;\n");
const TESTS: &str = "crates/ringfort-fleet/src/parse/tests.rs";
const CLEAN: (&str, &str) = (
    TESTS,
    "// not #[ignore]\n#[test]\nfn opens() { f(\"fn test_x\") }\n\
     #[test]\nfn netns_drops() { Command::new(\"nft\") }\n\
     #[tokio::test]\nasync fn pg_applies() { Command::new(\"/usr/bin/pg_ctl\") }\n",
);

#[test]
fn a_test_runs_and_says_what_holds() {
    for (line, expected) in [
        ("#[ignore]", "`#[ignore`: a test runs, or is not there"),
        ("#[should_panic]", "`should_panic`: assert the value; a panic says too little about why"),
        ("fn test_x() {}", "`fn test_`: the path says that it is a test; the name says what holds"),
        ("std::thread::sleep(d)", "`thread::sleep`: wait on a condition with a bound"),
    ] {
        check("T11", &[IT, CLEAN], (TESTS, line), &format!("{TESTS}:1: T11: {expected}"));
    }
}

#[test]
fn a_unit_test_is_in_tests_rs() {
    let path = "crates/ringfort-fleet/src/parse.rs";
    let clean = (path, "#[cfg(test)]\nmod tests;\n");
    let expected =
        format!("{path}:1: T11: `mod tests {{`: write `mod tests;` and put them into tests.rs");
    check("T11", &[IT, CLEAN, clean], (path, "mod tests {\n}\n"), &expected);
    let expected = format!("{path}:1: T11: the test `opens` belongs into tests.rs");
    check("T11", &[IT, CLEAN, clean], (path, "#[test]\nfn opens() {}\n"), &expected);
}

#[test]
fn there_is_one_integration_program() {
    let part = ("crates/ringfort/tests/it/gateway.rs", "");
    for path in ["crates/ringfort/tests/other.rs", "crates/ringfort-store/tests/it/main.rs"] {
        let expected =
            format!("{path}: T11: a second integration program; put the test into {PROGRAM}");
        check("T11", &[IT, part, CLEAN], (path, ""), &expected);
    }
    let expected = format!("{PROGRAM}:1: T11: begins with a header and has `#![cfg(test)]`");
    for text in ["//! Runs the fleet.\nmod gateway;\n", "#![cfg(test)]\nmod gateway;\n"] {
        check("T11", &[IT, part], (PROGRAM, text), &expected);
    }
}

#[test]
fn a_corpus_is_replayed() {
    let target = "fuzz/fuzz_targets/path.rs";
    let replay = (TESTS, "#[test]\nfn replays() { dir(\"fuzz/corpus/path\") }\n");
    let expected = format!("{target}: T11: no test replays `fuzz/corpus/path`");
    check("T11", &[replay, (target, "")], (TESTS, ""), &expected);
}

#[test]
fn a_prefix_names_what_a_test_needs() {
    for (program, prefix) in [("ip", "netns_"), ("/usr/sbin/nft", "netns_"), ("initdb", "pg_")] {
        let fault = format!("#[test]\nfn drops() {{\n    Command::new(\"{program}\")\n}}\n");
        let name = program.rsplit('/').next().unwrap();
        let expected = format!("{TESTS}:1: T11: `drops` starts `{name}`: prefix `{prefix}`");
        check("T11", &[IT, CLEAN], (TESTS, &fault), &expected);
    }
}
