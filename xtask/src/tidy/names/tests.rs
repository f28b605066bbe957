use crate::tidy::tests::check;

const LIB: (&str, &str) = (
    "crates/ringfort-fleet/src/lib.rs",
    "//! A header.\nmod parse;\nmod deep {\n    mod inner;\n}\n",
);
const PARSE: (&str, &str) = ("crates/ringfort-fleet/src/parse.rs", "fn target_get_it() {}\n");
const INNER: (&str, &str) = ("crates/ringfort-fleet/src/deep/inner.rs", "");

#[test]
fn a_place_refuses_something() {
    for path in [
        "crates/ringfort-fleet/src/util.rs",
        "crates/ringfort-fleet/src/errors/parse.rs",
        "crates/ringfort-core/src/lib.rs",
        "crates/ringfort-fleet/src/deep/mod.rs",
    ] {
        let stem = path.trim_end_matches("/src/lib.rs").trim_end_matches("/parse.rs");
        let part = stem.rsplit('/').next().unwrap().trim_end_matches(".rs");
        check("T7", &[LIB, PARSE], (path, ""), &format!("{path}: T7: `{part}` names no thing"));
    }
    let expected = format!("{}:2: T7: `helpers` names no thing", LIB.0);
    check("T7", &[LIB, PARSE], (LIB.0, "//! A header.\nmod helpers;\n"), &expected);
}

#[test]
fn no_function_gets() {
    let expected = format!("{}:1: T7: no `get_`: name the thing, or say what is done", PARSE.0);
    check("T7", &[LIB, PARSE], (PARSE.0, "fn get_it() {}\n"), &expected);
    let generated = ("crates/ringfort-wire/src/v1.rs", "// @generated\nfn get_it() {}\n");
    check("T7", &[LIB, PARSE, generated], (PARSE.0, "fn get_it() {}\n"), &expected);
}

#[test]
fn a_folder_has_the_name_of_its_package() {
    let path = "crates/ringfort-fleet/Cargo.toml";
    check(
        "T7",
        &[(path, "[package]\nname = \"ringfort-fleet\"\n")],
        (path, "[package]\nname = \"fleet\"\n"),
        "crates/ringfort-fleet/Cargo.toml:2: T7: package \"fleet\" in folder `ringfort-fleet`",
    );
}

#[test]
fn a_source_file_is_declared() {
    let message = "no `mod` of its parent declares it, so it is never compiled";
    for path in [
        "crates/ringfort-fleet/src/old.rs",
        "crates/ringfort-fleet/src/parse/old.rs",
        "crates/ringfort-fleet/src/deep/old.rs",
        "crates/ringfort-fleet/src/parse/inner.rs",
    ] {
        check("T13", &[LIB, PARSE, INNER], (path, ""), &format!("{path}: T13: {message}"));
    }
    let tests = ("crates/ringfort/tests/it/main.rs", "mod gateway;\n");
    let gateway = ("crates/ringfort/tests/it/gateway.rs", "");
    let old = "crates/ringfort/tests/it/old.rs";
    check("T13", &[tests, gateway], (old, ""), &format!("{old}: T13: {message}"));
    let including = ("crates/ringfort-wire/src/lib.rs", "include!(\n    \"gen/v1.rs\"\n);\n");
    let included = ("crates/ringfort-wire/src/gen/v1.rs", "");
    check("T13", &[including, included], (old, ""), &format!("{old}: T13: {message}"));
}

#[test]
fn a_document_or_fixture_is_named() {
    let readme = ("README.md", "See docs/ARCHITECTURE.md, docs/decisions/.\n");
    let named = ("docs/ARCHITECTURE.md", "");
    let reader =
        ("crates/ringfort/tests/it/main.rs", "read_dir(\"tests/bad\"); read(\"shop.yaml\")\n");
    let fixtures =
        [("crates/ringfort/tests/bad/a.yaml", ""), ("crates/ringfort/tests/it/shop.yaml", "")];
    let decision = ("docs/decisions/001-one.md", "");
    let clean = [readme, named, decision, reader, fixtures[0], fixtures[1]];
    for path in ["docs/OLD.md", "crates/ringfort/tests/it/old.yaml"] {
        check(
            "T13",
            &clean,
            (path, ""),
            &format!("{path}: T13: no other file names it or its folder"),
        );
    }
}
