//! T6, T9 and T17: what source may say, and where.

use super::lex::{uses_of, words};
use super::{File, Finding, Tree};

/// Types that say whether something is allowed. Add yours.
const DECISIONS: &[&str] = &["Verdict", "Decision", "Admission", "Authorization", "Permit"];

/// One `struct` or `enum` with the attributes above it.
struct Item<'a> {
    /// Offset of the keyword.
    at: usize,
    keyword: &'a str,
    name: &'a str,
    attributes: &'a str,
    /// Has it named fields?
    has_fields: bool,
}

/// Structs and enums of blanked code.
fn items(code: &str) -> Vec<Item<'_>> {
    let mut items: Vec<Item<'_>> = Vec::new();
    for keyword in ["struct", "enum"] {
        for at in words(code, keyword) {
            let rest = code.get(at + keyword.len()..).unwrap_or_default().trim_start();
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let (name, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let before = code.get(..at).unwrap_or_default();
            // The item's own text begins behind the last end of another item.
            let from = before.rfind([';', '{', '}']).map_or(0, |i| i + 1);
            let attributes = before.get(from..).unwrap_or_default();
            let opens = rest.find(['{', ';', '(']).and_then(|i| rest.get(i..));
            let has_fields = opens.is_some_and(|r| r.starts_with('{'));
            if !name.is_empty() {
                items.push(Item { at, keyword, name, attributes, has_fields });
            }
        }
    }
    items
}

/// Does an attribute derive `what`?
fn derives(attributes: &str, what: &str) -> bool {
    attributes
        .split("derive(")
        .skip(1)
        .any(|list| list.split(')').next().is_some_and(|list| words(list, what).next().is_some()))
}

/// Environment and documents (I7).
///
/// `std::env` stands only under `crates/ringfort/src`, in `xtask` and in tests; `env!` is free. In
/// `ringfort` and `ringfort-fleet` each struct with fields that derives `Deserialize` has
/// `deny_unknown_fields`, and nothing is `flatten`, `untagged` or internally tagged: these defeat the
/// unknown-key check or lose the position, and a misspelt key would silently mean nothing.
pub(super) fn environment_and_documents(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_product = |f: &&File| f.member().is_some() && !f.is_test();
    for file in tree.rust().filter(is_product) {
        if !file.path.starts_with("crates/ringfort/src/") && file.member() != Some("xtask") {
            let uses = uses_of(&file.code, "std::env").into_iter();
            found.extend(uses.map(|at| file.error_at(at, "only `ringfort` reads the environment")));
        }
        if matches!(file.member(), Some("ringfort" | "ringfort-fleet")) {
            found.extend(documents(file));
        }
    }
    found
}

fn documents(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    for item in items(&file.code) {
        let strict = words(item.attributes, "deny_unknown_fields").next().is_some();
        let read = derives(item.attributes, "Deserialize");
        if item.keyword == "struct" && item.has_fields && read && !strict {
            let message = format!("`{}` reads a document without `deny_unknown_fields`", item.name);
            found.push(file.error_at(item.at, message));
        }
    }
    for at in words(&file.code, "serde(") {
        let list = file.code.get(at + 6..).and_then(|rest| rest.split(')').next());
        for word in ["flatten", "untagged", "tag"] {
            if list.is_some_and(|list| words(list, word).next().is_some()) {
                let message = format!("serde's `{word}` defeats the unknown-key check");
                found.push(file.error_at(at, message));
            }
        }
    }
    found
}

/// Files in which an escape may hold for a whole crate.
const CRATE_LEVEL_ESCAPES: &[&str] = &[
    "crates/ringfort/src/main.rs",        // the terminal is its output
    "crates/ringfort-testkit/src/lib.rs", // panics are its job
    "xtask/src/main.rs",                  // the terminal is its output
];

/// Escapes are few and in their place.
///
/// `#![expect(` for a whole crate stands only in the main file of `ringfort`, in testkit and in
/// `xtask`; `#![allow(` nowhere. `unsafe` is not a word of this code. The number of `#[expect(` of
/// each crate is printed, since each is a small debt with a reason.
pub(super) fn escapes_are_few(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for file in tree.rust() {
        if !CRATE_LEVEL_ESCAPES.contains(&file.path.as_str()) {
            found.extend(
                file.ban("#![expect(", || "no escape for a whole file or crate".to_owned()),
            );
        }
        found.extend(file.ban("#![allow(", || "no `allow`: it outlives its cause".to_owned()));
        found.extend(
            file.ban("unsafe", || "no `unsafe`: rustix and socket2 have safe calls".into()),
        );
        if let Some(member) = file.member() {
            *counts.entry(member).or_default() += words(&file.code, "#[expect(").count();
        }
    }
    for (member, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        found.push(Finding::note(member, 0, format!("{count} `#[expect(`")));
    }
    found
}

/// Decisions have no default (I4).
///
/// The types in the constant DECISIONS have no `derive(Default)`, no `impl Default` and no
/// `impl From<bool>`: no verdict means deny, and a verdict is never made from a flag by accident.
pub(super) fn decisions_have_no_default(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.rust() {
        for item in items(&file.code).iter().filter(|item| DECISIONS.contains(&item.name)) {
            if derives(item.attributes, "Default") {
                let message = format!("`{}` decides and has no default", item.name);
                found.push(file.error_at(item.at, message));
            }
        }
        for at in words(&file.code, "impl") {
            let head = file.code.get(at..).and_then(|rest| rest.split(['{', ';']).next());
            let head = head.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
            let Some((what, target)) = head.split_once(" for ") else { continue };
            let name = target.split(['<', ' ']).next().unwrap_or(target);
            let name = name.rsplit("::").next().unwrap_or(name);
            let made = what.ends_with("Default") || what.ends_with("From<bool>");
            if made && DECISIONS.contains(&name) {
                found.push(file.error_at(at, format!("`{name}` decides: no `{what}`")));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
