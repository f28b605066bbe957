//! T7 and T13: names that say what a place refuses, and files that are part of something.

use super::lex::{line_of, words};
use super::{File, Finding, Tree, manifest};

/// Names of places that take everything in.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "core", "helper", "helpers", "misc", "manager", "base", "types",
    "error", "errors", "prelude", "mod",
];

/// Names that refuse something.
///
/// No crate, folder or module is called util, utils, common, core, helper, helpers, misc, manager,
/// base, types, error, errors, prelude or mod: such a place refuses nothing, so everything ends up
/// in it. No function begins with `get_`: say what it does, or name the thing. A crate's folder has
/// the name of its package.
pub(super) fn names_that_refuse_something(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for manifest in manifest::members(tree) {
        if let Some(name) = manifest.entry("package", "name")
            && name.value.trim_matches('"') != manifest.member
        {
            let message = format!("package {} in folder `{}`", name.value, manifest.member);
            found.push(Finding::error(manifest.path(), name.line, message));
        }
    }
    for file in tree.rust() {
        let stem = file.name().strip_suffix(".rs");
        let parts = file.folder().split('/').chain(stem);
        let named = |part: &str| part.strip_prefix("ringfort-").unwrap_or(part).to_owned();
        for part in parts.filter(|p| EMPTY_NAMES.contains(&named(p).as_str())) {
            found.push(Finding::error(&file.path, 0, format!("`{part}` names no thing")));
        }
        for name in EMPTY_NAMES {
            found.extend(file.ban(&format!("mod {name}"), || format!("`{name}` names no thing")));
        }
        if !file.is_generated() {
            found.extend(getters(file));
        }
    }
    found
}

fn getters(file: &File) -> impl Iterator<Item = Finding> {
    let found = file.code.match_indices("fn get_").map(|(at, _)| at);
    found.map(|at| file.error_at(at, "no `get_`: name the thing, or say what is done"))
}

/// No dead files.
///
/// Each `.rs` file below `src/` or `tests/` is declared by a `mod` of its parent (rustc ignores the
/// others without a word), or named by an `include!` or `#[path]` of its crate. Each golden or
/// fixture file in a crate and each file under `docs/` is named in another file, by its own name or,
/// where a whole folder is read (fixtures, `docs/decisions/`), by that of its folder.
pub(super) fn no_dead_files(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.rust().filter(|f| f.member().is_some() && !is_declared(tree, f)) {
        let message = "no `mod` of its parent declares it, so it is never compiled";
        found.push(Finding::error(&file.path, 0, message));
    }
    let in_crate = |f: &File| {
        f.member().is_some()
            && !f.is_rust()
            && (f.path.contains("/src/") || f.path.contains("/tests/"))
    };
    let suspects = tree.files.iter().filter(|f| in_crate(f) || f.path.starts_with("docs/"));
    for file in suspects.filter(|f| !is_named(tree, f)) {
        found.push(Finding::error(&file.path, 0, "no other file names it or its folder"));
    }
    found
}

fn is_named(tree: &Tree, file: &File) -> bool {
    let folder = file.folder().rsplit('/').next().unwrap_or_default();
    // `docs` itself is named everywhere, so a document needs its own name; decisions are read in order.
    let by_folder = [format!("{folder}/"), format!("/{folder}\""), format!("\"{folder}\"")];
    let by_folder = if file.path.starts_with("docs/") && folder != "decisions" {
        &[][..]
    } else {
        &by_folder[..]
    };
    tree.files.iter().filter(|other| other.path != file.path).any(|other| {
        other.text.contains(file.name()) || by_folder.iter().any(|name| other.text.contains(name))
    })
}

/// Follows the folders from the file up to a root of its crate.
fn is_declared(tree: &Tree, file: &File) -> bool {
    let Some(stem) = file.path.strip_suffix(".rs") else { return true };
    let Some((base, inner)) =
        stem.split_once("/src/").map(|(base, inner)| (format!("{base}/src"), inner)).or_else(
            || stem.split_once("/tests/").map(|(base, inner)| (format!("{base}/tests"), inner)),
        )
    else {
        return true; // `benches` and `examples`: each file is a root of its own
    };
    let parts: Vec<&str> = inner.split('/').collect();
    match parts.as_slice() {
        ["lib" | "main"] | ["bin", _] | ["bin", _, "main"] => return true,
        [_] | [_, "main"] if base.ends_with("/tests") => return true,
        _ => {}
    }
    let Some((name, folders)) = parts.split_last() else { return true };
    let declares = |code: &str| words(code, &format!("mod {name};")).next().is_some();
    // The parent is `a/b.rs` for `a/b/c.rs`; where that does not exist, `mod b { mod c; }` of `a.rs`.
    for kept in (0..=folders.len()).rev() {
        let (above, inline) = folders.split_at(kept);
        let parents = if above.is_empty() {
            vec![format!("{base}/lib.rs"), format!("{base}/main.rs")]
        } else {
            let above = above.join("/");
            vec![format!("{base}/{above}.rs"), format!("{base}/{above}/main.rs")]
        };
        let parents: Vec<&File> = parents.iter().filter_map(|path| tree.file(path)).collect();
        let opens = |f: &File| {
            inline.iter().all(|m| words(&f.code, &format!("mod {m} {{")).next().is_some())
        };
        if parents.iter().any(|f| declares(&f.code) && opens(f)) {
            return true;
        }
        if !parents.is_empty() {
            break;
        }
    }
    let member = file.member();
    tree.rust().filter(|f| f.member() == member).any(|f| {
        ["include!(", "#[path"].iter().any(|mark| {
            words(&f.code, mark).any(|at| {
                let line = line_of(&f.text, at);
                let here = f.text.lines().skip(line - 1).take(2);
                here.into_iter().any(|l| l.contains(file.name()))
            })
        })
    })
}

#[cfg(test)]
mod tests;
