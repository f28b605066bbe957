use super::{members, without_comment};
use crate::tidy::tests::{check, tree};

const ROOT: (&str, &str) = (
    "Cargo.toml",
    "[workspace.dependencies]\n\
     ringfort-model = { path = \"crates/ringfort-model\" }\n\
     bytes = { version = \"1\", default-features = false } # a comment\n\
     h2 = { version = \"0.4\", default-features = false }\n",
);
const MEMBER: &str = "crates/ringfort-traffic/Cargo.toml";
const HEAD: &str = "[package]\nname = \"ringfort-traffic\"\n\n[dependencies]\n";

#[track_caller]
fn check_member(line: &str, expected: &str) {
    let good = "ringfort-model.workspace = true\n\n[dev-dependencies]\n\
                tokio = { workspace = true, features = [\"test-util\"] }\n";
    let clean = format!("{HEAD}{good}");
    let fault = format!("{HEAD}{line}\n");
    check(
        "T2",
        &[ROOT, (MEMBER, &clean)],
        (MEMBER, &fault),
        &format!("{MEMBER}:5: T2: {expected}"),
    );
}

#[test]
fn a_dependency_has_one_form() {
    let form =
        |name| format!("write `{name}.workspace = true`; version and features stand in the root");
    for (line, name) in [
        ("bytes = \"1\"", "bytes"),
        ("bytes = { version = \"1\" }", "bytes"),
        ("bytes = { path = \"../bytes\" }", "bytes"),
        ("bytes = { git = \"https://example.org\" }", "bytes"),
        ("b = { workspace = true, package = \"bytes\" }", "b"),
        ("b = { workspace = true, optional = true }", "b"),
        ("b = { workspace = true, features = [", "b"),
        ("b.version = \"1\"", "b"),
    ] {
        check_member(line, &form(name));
    }
    let features = "h2 = { workspace = true, features = [\"x\"] }";
    check_member(features, &format!("features only in dev-dependencies; {}", form("h2")));
}

#[test]
fn a_section_has_one_form() {
    for section in
        ["dependencies.h2", "target.'cfg(unix)'.dependencies", "build-dependencies", "patch.x"]
    {
        let message = format!("`[{section}]` is not a form the rules can read; see T2");
        check_member(&format!("[{section}]"), &message);
    }
}

#[test]
fn the_root_manifest_is_sorted_and_without_default_features() {
    let head = "[workspace.dependencies]\n";
    let path = |name: &str| format!("{name} = {{ path = \"crates/{name}\" }}\n");
    let external =
        |name: &str| format!("{name} = {{ version = \"1\", default-features = false }}\n");
    for (lines, expected) in [
        (
            external("h2") + &external("bytes"),
            "3: T2: `bytes` must stand before `h2`: sorted, ours first",
        ),
        (
            external("h2") + &path("ringfort"),
            "3: T2: `ringfort` must stand before `h2`: sorted, ours first",
        ),
        ("h2 = \"1\"\n".to_owned(), "2: T2: `h2` needs `default-features = false`, on one line"),
        (
            "h2 = { version = \"1\" }\n".to_owned(),
            "2: T2: `h2` needs `default-features = false`, on one line",
        ),
        (
            "h2 = { git = \"x\", default-features = false }\n".to_owned(),
            "2: T2: `h2` must come from the registry under its own name",
        ),
        (
            "ringfort = { path = \"x\" }\n".to_owned(),
            "2: T2: write `ringfort = { path = \"crates/ringfort\" }`",
        ),
    ] {
        let fault = format!("{head}{lines}");
        check("T2", &[ROOT], (ROOT.0, &fault), &format!("Cargo.toml:{expected}"));
    }
}

#[test]
fn reads_names_and_leaves_comments_out() {
    assert_eq!(without_comment("a = \"#\" # b"), "a = \"#\" ");
    let text = "[dependencies]\n# bytes.workspace = true\nh2.workspace = true # why\n";
    let other = [("tools/x/Cargo.toml", text), ("crates/a/b/Cargo.toml", text)];
    let tree = tree(&[("crates/ringfort/Cargo.toml", text), other[0], other[1]]);
    let members = members(&tree);
    let names: Vec<_> = members.iter().flat_map(|m| m.all_dependencies()).collect();
    assert_eq!(names, [("h2", 3)]);
}
