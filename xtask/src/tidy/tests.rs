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
