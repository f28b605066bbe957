use std::path::Path;

use super::{File, Level, RULES, Report, Tree, explain};

/// A made-up tree.
pub(super) fn tree(files: &[(&str, &str)]) -> Tree {
    let file = |(path, text): &(&str, &str)| File::new(path, text.as_bytes().to_vec(), false);
    Tree { files: files.iter().map(file).collect(), lock_before: None }
}

/// What one rule says about a tree, notes left out.
pub(super) fn findings(rule: &str, tree: &Tree) -> Vec<String> {
    let rule = RULES.iter().find(|r| r.id == rule).expect("a known rule");
    let found = (rule.check)(tree).into_iter().filter(|f| f.level != Level::Note);
    found.map(|f| f.render(rule.id)).collect()
}

/// `clean` has no finding of `rule`; with `fault` in it (added, or instead of the file of that path)
/// the rule finds exactly `expected`.
#[track_caller]
pub(super) fn check(rule: &str, clean: &[(&str, &str)], fault: (&str, &str), expected: &str) {
    assert_eq!(findings(rule, &tree(clean)), Vec::<String>::new(), "the clean tree");
    let mut faulty: Vec<(&str, &str)> = clean.to_vec();
    faulty.retain(|(path, _)| *path != fault.0);
    faulty.push(fault);
    assert_eq!(findings(rule, &tree(&faulty)), [expected], "the tree with the fault");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root")
}

#[test]
fn the_repository_is_tidy() {
    let report = Report::of(&Tree::read(root()).expect("git answers"));
    let errors: Vec<&str> = report.of_level(Level::Error).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn the_real_tree_is_not_empty() {
    let tree = Tree::read(root()).expect("git answers");
    assert!(tree.file("xtask/src/tidy.rs").is_some_and(|f| f.code.contains("struct Tree")));
    assert!(tree.lock_before.is_some_and(|lock| lock.contains("[[package]]")));
}

#[test]
fn each_rule_explains_itself() {
    for (number, rule) in (1..).zip(RULES) {
        assert_eq!(rule.id, format!("T{number}"));
        let documentation = rule.documentation();
        let first = documentation.lines().next().unwrap_or_default();
        assert!(first.ends_with(['.', ')']) && first.contains(' ') || first == "Text.", "{first}");
        assert!(documentation.lines().count() > 2, "{}: {documentation}", rule.id);
    }
}

#[test]
fn explains_one_rule_or_lists_all() {
    assert!(explain(Some("t7")).is_ok_and(|text| text.starts_with("T7: Names that refuse")));
    assert!(explain(None).is_ok_and(|text| text.lines().count() == RULES.len()));
    let unknown = "there is no rule `T99`; the rules are T1 to T17".to_owned();
    assert_eq!(explain(Some("T99")), Err(unknown));
}

#[test]
fn orders_errors_before_warnings_before_notes() {
    let long = format!("//! A header.\n{}", "fn f() {}\n".repeat(900));
    let report = Report::of(&tree(&[("crates/ringfort/src/main.rs", &long)]));
    assert!(report.count(Level::Error) > 0);
    assert_eq!(report.count(Level::Warning), 1);
    assert!(report.lines.is_sorted_by_key(|(level, _)| *level));
}

#[test]
fn does_not_read_outside_a_repository() {
    let fault = Tree::read(Path::new("/proc")).err().unwrap_or_default();
    assert!(fault.starts_with("`git ls-files` failed in /proc"), "{fault}");
}

/// Each of these changes to the real tree is found by the rule that forbids it.
#[test]
fn a_mutation_of_the_repository_turns_it_red() {
    const POLICY: &str = "crates/ringfort-policy";
    const FLEET: &str = "crates/ringfort-fleet";
    let member = |of: &str| format!("{of}/Cargo.toml");
    let lib = |of: &str| format!("{of}/src/lib.rs");
    let listed = "[dependencies]\n";
    let mut tree = Tree::read(root()).expect("git answers");
    for (rule, path, place, text) in [
        ("T1", member(POLICY), listed, "ringfort-store.workspace = true\n"),
        ("T1", member(FLEET), "", "[dev-dependencies]\nringfort-testkit.workspace = true\n"),
        ("T2", member(POLICY), listed, "h2 = \"0.4\"\n"),
        ("T3", member("crates/ringfort-traffic"), listed, "tracing.workspace = true\n"),
        ("T3", lib(POLICY), "", "fn f() { std::fs::read(\"\") }\n"),
        ("T4", member("crates/ringfort-store"), listed, "sha2.workspace = true\n"),
        ("T5", member("crates/ringfort-store"), listed, "anyhow.workspace = true\n"),
        ("T6", lib(FLEET), "", "#[derive(serde::Deserialize)]\nstruct Document { a: u8 }\n"),
        ("T7", lib(FLEET), "", "mod helpers;\n"),
        ("T8", member(FLEET), "", "[features]\n"),
        ("T9", lib(FLEET), "", "fn f() { unsafe {} }\n"),
        ("T10", lib(FLEET), "", "// FIXME\n"),
        ("T11", lib(FLEET), "", "#[test]\nfn holds() {}\n"),
        ("T13", format!("{FLEET}/src/old.rs"), "", "//! An old file.\n"),
        ("T15", "rust-toolchain.toml".to_owned(), "", "channel = \"1.0.0\"\n"),
        ("T16", "deny.toml".to_owned(), "", "\t\n"),
        ("T17", lib("crates/ringfort-model"), "", "#[derive(Default)]\nenum Verdict { A }\n"),
    ] {
        let before = findings(rule, &tree);
        let at = tree.files.iter().position(|f| f.path == path);
        let old = at.map(|at| tree.files.swap_remove(at));
        let was = old.as_ref().map_or("", |f| &f.text);
        let new = match was.split_once(place).filter(|_| !place.is_empty()) {
            Some((head, tail)) => format!("{head}{place}{text}{tail}"),
            None if path == "rust-toolchain.toml" => text.to_owned(),
            None => format!("{was}{text}"),
        };
        tree.files.push(File::new(&path, new.into_bytes(), false));
        let after = findings(rule, &tree);
        let is_new = |f: &&String| f.starts_with(&path) && !before.contains(f);
        assert!(after.iter().any(|f| is_new(&f)), "{rule} does not see `{text}` in {path}");
        tree.files.pop();
        tree.files.extend(old);
    }
    let table =
        tree.files.iter_mut().find(|f| f.path == "docs/ARCHITECTURE.md").expect("a document");
    table.text = table.text.replace("| `ringfort-store` |", "| ringfort-store |");
    let expected = "the crates table has no row for `ringfort-store`";
    assert!(findings("T1", &tree).iter().any(|f| f.ends_with(expected)));
}
