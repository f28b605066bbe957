use super::items;
use crate::tidy::tests::{check, findings, tree};
use crate::tidy::{Level, RULES};

#[test]
fn one_crate_reads_the_environment() {
    let main = ("crates/ringfort/src/main.rs", "use std::env;\n");
    let tests = ("crates/ringfort-proxy/src/tls/tests.rs", "std::env::var(name)\n");
    let baked = ("crates/ringfort-demo/src/lib.rs", "env!(\"CARGO_PKG_VERSION\")\n");
    let path = "crates/ringfort-proxy/src/tls.rs";
    for line in ["std::env::var(name)", "use std::{env, io};"] {
        let expected = format!("{path}:1: T6: only `ringfort` reads the environment");
        check("T6", &[main, tests, baked], (path, line), &expected);
    }
}

#[test]
fn a_document_denies_unknown_keys() {
    let path = "crates/ringfort-fleet/src/document.rs";
    let clean = "#[derive(Debug, Deserialize)]\n#[serde(deny_unknown_fields)]\npub struct Service {\n}\n\
                 #[derive(Deserialize)]\nstruct Name(String);\n#[derive(Debug)]\nstruct Plain {\n}\n";
    let fault =
        "struct Other;\n#[derive(Debug, Deserialize)]\n/// Words.\npub struct Service {\n}\n";
    let expected =
        format!("{path}:4: T6: `Service` reads a document without `deny_unknown_fields`");
    check("T6", &[(path, clean)], (path, fault), &expected);
    let elsewhere = ("crates/ringfort-store/src/row.rs", fault);
    check("T6", &[(path, clean), elsewhere], (path, fault), &expected);
    for word in ["flatten", "untagged", "tag = \"kind\""] {
        let fault = format!("{clean}#[serde(rename_all = \"x\", {word})]\n");
        let word = word.split(' ').next().unwrap();
        let expected = format!("{path}:10: T6: serde's `{word}` defeats the unknown-key check");
        check("T6", &[(path, clean)], (path, &fault), &expected);
    }
}

#[test]
fn an_escape_is_in_its_place() {
    let path = "crates/ringfort-proxy/src/lib.rs";
    let main = ("crates/ringfort/src/main.rs", "#![expect(clippy::print_stdout, reason = \"\")]\n");
    let item = ("crates/ringfort-store/src/lib.rs", "// unsafe\n#[expect(x, reason = \"\")]\n");
    for (line, message) in [
        ("#![expect(x, reason = \"\")]", "no escape for a whole file or crate"),
        ("#![allow(x)]", "no `allow`: it outlives its cause"),
        ("unsafe { f() }", "no `unsafe`: rustix and socket2 have safe calls"),
    ] {
        check("T9", &[main, item], (path, line), &format!("{path}:1: T9: {message}"));
    }
}

#[test]
fn escapes_are_counted() {
    let text = "#[expect(a, reason = \"\")]\nfn f() {}\n#[expect(b, reason = \"\")]\nfn g() {}\n";
    let tree = tree(&[("crates/ringfort-store/src/lib.rs", text)]);
    let rule = RULES.iter().find(|r| r.id == "T9").unwrap();
    let notes: Vec<String> = (rule.check)(&tree).iter().map(|f| f.render("T9")).collect();
    assert_eq!(notes, ["ringfort-store: T9: 2 `#[expect(`"]);
    assert!((rule.check)(&tree).iter().all(|f| f.level == Level::Note));
    assert!(findings("T9", &tree).is_empty());
}

#[test]
fn a_decision_has_no_default() {
    let path = "crates/ringfort-model/src/verdict.rs";
    let clean = "#[derive(Clone, Copy)]\npub enum Verdict {\n}\n#[derive(Default)]\nstruct Counters {\n}\n\
                 impl Default for Limits {}\nimpl From<bool> for Flag {}\nimpl From<u8> for Verdict {}\n";
    for (line, expected) in [
        (
            "#[derive(Clone, Default)]\n#[must_use]\npub enum Verdict {\n}",
            "3: T17: `Verdict` decides and has no default",
        ),
        ("impl Default for Decision {", "1: T17: `Decision` decides: no `impl Default`"),
        (
            "impl std::default::Default for crate::Permit {",
            "1: T17: `Permit` decides: no `impl std::default::Default`",
        ),
        (
            "impl From<bool>\n    for Admission {",
            "1: T17: `Admission` decides: no `impl From<bool>`",
        ),
    ] {
        check("T17", &[(path, clean)], (path, line), &format!("{path}:{expected}"));
    }
}

#[test]
fn reads_items_with_their_attributes() {
    let code = "use a::b;\n#[derive(A)]\npub(crate) struct X<'a>(&'a u8);\nenum Y { A, B }\nstruct Z<T> where T: U { t: T }\n";
    let found: Vec<_> = items(code)
        .iter()
        .map(|i| (i.name, i.attributes.trim().len() > 12, i.has_fields))
        .collect();
    assert_eq!(found, [("X", true, false), ("Z", false, true), ("Y", false, true)]);
}
