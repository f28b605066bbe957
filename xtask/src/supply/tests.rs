use super::{Bans, Expression, Licences, array, built_packages, sources, values};
use crate::lockfile::packages;

const RULES: &str = r#"[licenses]
allow = [
  "MIT",
  "Apache-2.0",                # a comment
]
exceptions = [
  { crate = "writer", allow = ["Apache-2.0 WITH LLVM-exception"] },  # why
  # { crate = "notify", allow = ["CC0-1.0"] },
]

[bans]
deny = [
  # Why.
  { crate = "ring", reason = "one provider" },
  { crate = "rcgen", wrappers = ["ringfort-identity"], reason = "I3" },
]

[bans.workspace-dependencies]
deny = [
  { crate = "other" },
]
"#;

#[test]
fn reads_the_rules() {
    assert_eq!(array(RULES, "bans", "deny").len(), 2);
    assert_eq!(Licences::of(RULES).all, ["MIT", "Apache-2.0"]);
    assert_eq!(values("{ crate = \"a\", allow = [\"b\", \"c\"] }", "allow"), ["b", "c"]);
    assert_eq!(values("{ crate = \"a\" }", "wrappers"), Vec::<&str>::new());
    let built = built_packages("a v1.0.0 (proc-macro)|MIT\na v1.0.0|MIT (*)\n\n");
    assert_eq!(built.into_iter().collect::<Vec<_>>(), [("a", "MIT")]);
}

#[track_caller]
fn check_bans(built: &str, lock: &str, expected: &[&str]) {
    assert_eq!(Bans::of(RULES).faults(built, &packages(lock)), expected);
}

#[test]
fn a_ban_holds_for_what_is_built() {
    let locked = "[[package]]\nname = \"ring\"\nversion = \"0.17.0\"\n";
    check_bans("bytes v1.0.0|MIT\n", locked, &[]);
    let expected = "`ring` is banned by deny.toml; see `cargo tree -i ring`";
    check_bans("ring v0.17.0|MIT\n", locked, &[expected]);
}

#[test]
fn a_wrapper_may_use_what_others_may_not() {
    let lock = |user: &str| {
        format!(
            "[[package]]\nname = \"rcgen\"\nversion = \"0.14.0\"\n\n\
             [[package]]\nname = \"{user}\"\nversion = \"0.0.0\"\ndependencies = [\n \"rcgen\",\n]\n"
        )
    };
    check_bans("rcgen v0.14.0|MIT\n", &lock("ringfort-identity"), &[]);
    let expected = "`rcgen` is for ringfort-identity alone, but ringfort-agent uses it";
    check_bans("rcgen v0.14.0|MIT\n", &lock("ringfort-agent"), &[expected]);
}

#[test]
fn a_licence_is_allowed_to_all_or_to_one() {
    let faults = |line: &str| Licences::of(RULES).faults(line);
    assert_eq!(faults("writer v1.0.0|Apache-2.0 WITH LLVM-exception\n"), Vec::<String>::new());
    let expected =
        "`reader` has the licence `Apache-2.0 WITH LLVM-exception`, which deny.toml forbids";
    assert_eq!(faults("reader v1.0.0|Apache-2.0 WITH LLVM-exception\n"), [expected]);
    let expected = "`notify` has the licence `CC0-1.0`, which deny.toml forbids";
    assert_eq!(faults("notify v1.0.0|CC0-1.0\n"), [expected]);
    assert_eq!(faults("none v1.0.0|\n"), ["`none` has the licence ``, which deny.toml forbids"]);
}

#[test]
fn an_expression_is_read_as_spdx_says() {
    let holds = |text| Expression::of(text).holds(&|id| ["A", "B", "A WITH X"].contains(&id));
    for text in
        ["A", "A OR Z", "Z/A", "Z / B", "A AND B", "A AND B OR Z", "(Z OR A) AND B", "A WITH X"]
    {
        assert!(holds(text), "{text}");
    }
    for text in
        ["", "Z", "A AND Z", "A AND (B AND Z)", "B WITH X", "(A", "A B", "A)", "Z OR A AND Z"]
    {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn a_package_comes_from_the_registry() {
    let lock =
        |source| format!("[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"{source}\"\n");
    let registry = lock("registry+https://github.com/rust-lang/crates.io-index");
    assert_eq!(sources(&packages(&registry)), Vec::<String>::new());
    let git = lock("git+https://example.org/a");
    let expected = "`a` comes from git+https://example.org/a, not from the registry";
    assert_eq!(sources(&packages(&git)), [expected]);
}
