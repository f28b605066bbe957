use super::{ARCHITECTURE, CRATES};
use crate::tidy::tests::{check, findings, tree};

/// The crates table as the constant has it.
fn table() -> String {
    let rows = CRATES.iter().map(|row| format!("| `{}` | does | {} |\n", row.name, row.allowed()));
    format!(
        "# Crates\n\n| crate | does | may import |\n|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

fn manifest(of: &str) -> String {
    format!("crates/{of}/Cargo.toml")
}

#[track_caller]
fn check_edge(of: &str, allowed: &str, lines: &str, expected: &str) {
    let (table, path) = (table(), manifest(of));
    let (clean, fault) = (format!("[dependencies]\n{allowed}"), format!("[dependencies]\n{lines}"));
    let clean = [(ARCHITECTURE, table.as_str()), (path.as_str(), clean.as_str())];
    check("T1", &clean, (&path, &fault), &format!("{path}:{expected}"));
}

#[test]
fn an_edge_points_inwards() {
    check_edge(
        "ringfort-policy",
        "ringfort-model.workspace = true\nserde_json.workspace = true\n",
        "ringfort-store.workspace = true\n",
        "2: T1: ringfort-policy must not depend on ringfort-store (allowed: model)",
    );
    check_edge(
        "ringfort",
        "ringfort-proxy.workspace = true\n[dev-dependencies]\nringfort-testkit.workspace = true\n",
        "ringfort-testkit.workspace = true\n",
        "2: T1: ringfort must not depend on ringfort-testkit (allowed: all but testkit)",
    );
}

#[test]
fn a_test_edge_is_testkit_or_an_allowed_one() {
    check_edge(
        "ringfort-fleet",
        "[dev-dependencies]\nringfort-policy.workspace = true\n",
        "[dev-dependencies]\nringfort-testkit.workspace = true\n",
        "3: T1: ringfort-fleet must not depend on ringfort-testkit in tests \
         (allowed: model, policy, traffic, firewall)",
    );
    check_edge(
        "ringfort-store",
        "[dev-dependencies]\nringfort-testkit.workspace = true\n",
        "[dev-dependencies]\nringfort-fleet.workspace = true\n",
        "3: T1: ringfort-store must not depend on ringfort-fleet in tests (allowed: model)",
    );
}

#[test]
fn xtask_depends_on_nothing() {
    let (table, path) = (table(), "xtask/Cargo.toml");
    check(
        "T1",
        &[(ARCHITECTURE, &table), (path, "[dependencies]\n")],
        (path, "[dependencies]\nanyhow.workspace = true\n"),
        "xtask/Cargo.toml:2: T1: xtask must not depend on anyhow (allowed: nothing)",
    );
}

#[test]
fn a_crate_is_in_the_table() {
    let (table, path) = (table(), manifest("ringfort-extra"));
    let clean = [(ARCHITECTURE, table.as_str())];
    let expected =
        format!("{path}: T1: `ringfort-extra` is not in the crates table of docs/ARCHITECTURE.md");
    check("T1", &clean, (&path, "[dependencies]\n"), &expected);
}

#[test]
fn the_table_and_the_constant_agree() {
    let table = table();
    for (from, to, expected) in [
        (
            "| `ringfort-scan` | does | model |\n",
            "",
            ":3: T1: the crates table has no row for `ringfort-scan`",
        ),
        (
            "| `ringfort-scan` | does | model |\n",
            "| `ringfort-scan` | does | model, policy |\n",
            ":14: T1: `ringfort-scan` may import \"model\" in CRATES, \"model, policy\" here",
        ),
        (
            "| `ringfort-scan` |",
            "| `ringfort-new` | does | model |\n| `ringfort-scan` |",
            ":14: T1: `ringfort-new` is not in the constant CRATES of xtask/src/tidy/edges.rs",
        ),
        (
            "| crate |",
            "| box |",
            ": T1: no table that starts with `| crate |`: the crates table is missing",
        ),
    ] {
        let fault = table.replace(from, to);
        let expected = format!("{ARCHITECTURE}{expected}");
        check("T1", &[(ARCHITECTURE, &table)], (ARCHITECTURE, &fault), &expected);
    }
}

#[test]
fn a_chain_has_at_most_four_edges() {
    let table = table();
    let chain = ["ringfort", "ringfort-a", "ringfort-b", "ringfort-c", "ringfort-d", "ringfort-e"];
    let links: Vec<(String, String)> = chain
        .windows(2)
        .map(|pair| (manifest(pair[0]), format!("[dependencies]\n{}.workspace = true\n", pair[1])))
        .collect();
    let mut files: Vec<(&str, &str)> =
        links.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    files.push((ARCHITECTURE, &table));
    let chains = |files: &[(&str, &str)]| {
        let found = findings("T1", &tree(files));
        found.into_iter().filter(|f| f.contains("chain")).collect::<Vec<_>>()
    };
    let expected = "crates/ringfort/Cargo.toml: T1: a chain of 5 edges starts here; 4 is the most";
    assert_eq!(chains(&files), [expected]);
    assert_eq!(chains(&files[1..]), Vec::<String>::new());
}

#[test]
fn a_thing_has_one_home() {
    for (home, package) in [
        ("ringfort-store", "sqlx"),
        ("ringfort-policy", "cedar-policy-core"),
        ("ringfort", "clap_complete"),
        ("ringfort", "anyhow"),
    ] {
        let listed = format!("[dependencies]\n{package}.workspace = true\n");
        let home_manifest = manifest(home);
        let path = manifest("ringfort-proxy");
        let expected = format!("{path}:2: T5: `{package}` belongs to {home} alone");
        check("T5", &[(&home_manifest, &listed)], (&path, &listed), &expected);
    }
    let path = manifest("ringfort-proxy");
    let in_tests = "[dev-dependencies]\nanyhow.workspace = true\n";
    let fault = "[dev-dependencies]\nsqlx.workspace = true\n";
    let expected = format!("{path}:2: T5: `sqlx` belongs to ringfort-store alone");
    check("T5", &[(&path, in_tests)], (&path, fault), &expected);
}
