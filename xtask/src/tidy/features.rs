//! T8: what a member's manifest inherits and what it may not have.

use super::manifest::{self, Manifest};
use super::{Finding, Tree};

const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];

/// Manifests inherit, features do not exist.
///
/// Each member has `[lints] workspace = true` and inherits version, edition, rust-version, license
/// and publish; a library has `doctest = false`. There is no `[features]` (a role is a subcommand:
/// what was tested is what runs), no `[profile]` outside the root (cargo would ignore it) and no
/// `build.rs` (a build runs no code of ours). `ringfort-wire` alone may have its own `[lints]`
/// table, for its generated modules, and then still forbids `unsafe`.
pub(super) fn manifests_inherit(tree: &Tree) -> Vec<Finding> {
    let mut found: Vec<Finding> = manifest::members(tree)
        .iter()
        .flat_map(|m| {
            let mut found = inheritance(m);
            found.extend(forbidden(m));
            let is_library = tree.file(&format!("{}/src/lib.rs", m.file.folder())).is_some();
            if is_library && m.entry("lib", "doctest").is_none_or(|e| e.value != "false") {
                found.push(Finding::error(m.path(), 0, "a library says `[lib] doctest = false`"));
            }
            found
        })
        .collect();
    for file in tree.files.iter().filter(|f| f.name() == "build.rs" && f.member().is_some()) {
        found.push(Finding::error(&file.path, 0, "no `build.rs`: commit what it would generate"));
    }
    found
}

fn inheritance(manifest: &Manifest<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for key in INHERITED {
        if manifest.entry("package", &format!("{key}.workspace")).is_none_or(|e| e.value != "true")
        {
            let message = format!("`[package]` needs `{key}.workspace = true`");
            found.push(Finding::error(manifest.path(), 0, message));
        }
    }
    let inherits = manifest.entry("lints", "workspace").is_some_and(|e| e.value == "true");
    let own = manifest.member == "ringfort-wire"
        && manifest.entry("lints.rust", "unsafe_code").is_some_and(|e| e.value == "\"forbid\"");
    if !inherits && !own {
        found.push(Finding::error(manifest.path(), 0, "`[lints] workspace = true` is missing"));
    }
    found
}

fn forbidden(manifest: &Manifest<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for &(section, line) in &manifest.sections {
        let message = match section.split('.').next() {
            Some("features") => "no `[features]`: no feature changes behaviour",
            Some("profile") => "no `[profile]` outside the root manifest: cargo ignores it",
            _ => continue,
        };
        found.push(Finding::error(manifest.path(), line, message));
    }
    if let Some(entry) = manifest.entry("package", "build") {
        found.push(Finding::error(manifest.path(), entry.line, "no build script"));
    }
    found
}

#[cfg(test)]
mod tests;
