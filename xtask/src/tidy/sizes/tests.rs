use crate::tidy::tests::{check, findings, tree};
use crate::tidy::{Level, Tree, sizes};

const PATH: &str = "crates/ringfort-fleet/src/parse.rs";

fn function(lines: usize) -> String {
    format!(
        "impl X {{\n    fn f(\n        x: u8,\n    ) -> u8 {{\n{}    }}\n}}\n",
        "        g();\n".repeat(lines - 4)
    )
}

#[test]
fn a_function_fits_the_head() {
    let clean = function(70);
    let expected = format!("{PATH}:2: T12: 71 lines in one function; 70 is the aim");
    check("T12", &[(PATH, &clean)], (PATH, &function(71)), &expected);
    let declared = format!("trait X {{\n    fn f(&self);\n}}\n{}", "const A: u8 = 1;\n".repeat(90));
    check("T12", &[(PATH, &declared)], (PATH, &function(71)), &expected);
}

#[test]
fn a_file_fits_the_head() {
    let (clean, fault) = ("// line\n".repeat(800), "// line\n".repeat(801));
    let tests = ("crates/ringfort-fleet/src/parse/tests.rs", "// line\n".repeat(1_500));
    let expected = format!("{PATH}: T12: 801 lines in one file; 800 is the aim");
    check("T12", &[(PATH, &clean), (tests.0, &tests.1)], (PATH, &fault), &expected);
    let long = "// line\n".repeat(1_501);
    let expected = format!("{}: T12: 1501 lines in one file; 1500 is the aim", tests.0);
    check("T12", &[(PATH, &clean)], (tests.0, &long), &expected);
    let generated = format!("// @generated\n{fault}");
    assert!(findings("T12", &tree(&[(PATH, &generated)])).is_empty());
}

#[test]
fn the_largest_comes_first_and_ratios_are_notes() {
    let (file, function) = ("a();\n".repeat(10_001), function(80));
    let tests = "// why\nb();\n".repeat(25);
    let tree = tree(&[
        ("crates/ringfort-fleet/src/a.rs", &function),
        ("crates/ringfort-proxy/src/b.rs", &file),
        ("crates/ringfort-fleet/src/a/tests.rs", &tests),
    ]);
    let found = sizes::sizes(&tree);
    assert!(found.iter().all(|f| f.level != Level::Error));
    let found: Vec<String> = found.iter().map(|f| f.render("T12")).collect();
    assert_eq!(
        found,
        [
            "crates/ringfort-proxy/src/b.rs: T12: 10001 lines in one file; 800 is the aim",
            "ringfort-proxy: T12: 10001 lines of code; 10000 is the most",
            "crates/ringfort-fleet/src/a.rs:2: T12: 80 lines in one function; 70 is the aim",
            "ringfort-fleet: T12: 82 lines of code; test/code 0.30 (1.0), comment/code 0.00 (0.25)",
            "ringfort-proxy: T12: 10001 lines of code; test/code 0.00 (1.0), comment/code 0.00 (0.25)",
        ]
    );
}

fn lock(count: usize) -> String {
    let package =
        |n| format!("[[package]]\nname = \"p{n}\"\nversion = \"1.0.0\"\nsource = \"s\"\n\n");
    (0..count).map(package).collect()
}

#[test]
fn dependencies_have_a_budget() {
    let (clean, fault) = (lock(420), lock(421));
    let expected = "Cargo.lock: T14: 421 external packages; 420 is the budget";
    check("T14", &[("Cargo.lock", &clean)], ("Cargo.lock", &fault), expected);
    let tree = Tree { lock_before: Some(clean), ..tree(&[("Cargo.lock", &fault)]) };
    assert_eq!(findings("T14", &tree), [format!("{expected}, 420 in the last commit")]);
}

#[test]
fn a_second_version_is_named_with_who_needs_it() {
    let second = lock(2)
        + "[[package]]\nname = \"p1\"\nversion = \"0.9.0\"\nsource = \"s\"\n\n\
           [[package]]\nname = \"user\"\nversion = \"1.0.0\"\ndependencies = [\n \"p1 0.9.0\",\n]\n";
    let expected = "Cargo.lock:7: T14: p1 in 2 versions; 0.9.0 is needed by user";
    check("T14", &[("Cargo.lock", &lock(2))], ("Cargo.lock", &second), expected);
}
