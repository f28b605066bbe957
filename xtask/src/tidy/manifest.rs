//! Reads manifests line by line, and T2: the one form that makes this reading right.
//!
//! It is no TOML parser and needs none: T2 refuses every form of entry it would misread.

use super::{File, Finding, Tree};

/// One `key = value` line.
pub(super) struct Entry<'a> {
    pub(super) section: &'a str,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
    pub(super) line: usize,
}

/// The lines of one `Cargo.toml`.
pub(super) struct Manifest<'a> {
    pub(super) file: &'a File,
    /// The folder name; for a member also the package name (T7). Empty for the root.
    pub(super) member: &'a str,
    /// Each `[section]` with its line.
    pub(super) sections: Vec<(&'a str, usize)>,
    pub(super) entries: Vec<Entry<'a>>,
}

impl<'a> Manifest<'a> {
    fn parse(file: &'a File) -> Self {
        let (mut sections, mut entries, mut section) = (Vec::new(), Vec::new(), "");
        for (line, text) in (1..).zip(file.text.lines()) {
            let text = without_comment(text).trim();
            if text.starts_with('[') {
                section = text.trim_matches(['[', ']']);
                sections.push((section, line));
            } else if let Some((key, value)) = text.split_once('=') {
                entries.push(Entry { section, key: key.trim(), value: value.trim(), line });
            }
        }
        Self { file, member: file.member().unwrap_or(""), sections, entries }
    }

    pub(super) fn path(&self) -> &'a str {
        &self.file.path
    }

    pub(super) fn entry(&self, section: &str, key: &str) -> Option<&Entry<'a>> {
        self.entries.iter().find(|e| e.section == section && e.key == key)
    }

    /// Names of the packages listed in `section`, each with its line.
    pub(super) fn dependencies(&self, section: &str) -> impl Iterator<Item = (&'a str, usize)> {
        self.entries
            .iter()
            .filter(move |e| e.section == section)
            .map(|e| (e.key.split('.').next().unwrap_or(e.key), e.line))
    }

    /// Normal and test dependencies.
    pub(super) fn all_dependencies(&self) -> impl Iterator<Item = (&'a str, usize)> {
        self.dependencies("dependencies").chain(self.dependencies("dev-dependencies"))
    }
}

/// Cuts a comment off; a `#` within quotes is none.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let end = line.char_indices().find_map(|(at, c)| {
        quoted ^= c == '"';
        (c == '#' && !quoted).then_some(at)
    });
    end.and_then(|at| line.get(..at)).unwrap_or(line)
}

/// Manifests of the members: `crates/*` and `xtask`. `fuzz` and `tools` are workspaces of their own.
pub(super) fn members(tree: &Tree) -> Vec<Manifest<'_>> {
    let is_member = |f: &&File| {
        let folder = f.path.strip_suffix("/Cargo.toml");
        folder.is_some_and(|f| {
            f == "xtask" || f.matches('/').count() == 1 && f.starts_with("crates/")
        })
    };
    tree.files.iter().filter(is_member).map(Manifest::parse).collect()
}

/// The root manifest.
pub(super) fn root(tree: &Tree) -> Option<Manifest<'_>> {
    tree.file("Cargo.toml").map(Manifest::parse)
}

/// One form of manifest.
///
/// A dependency is written `name.workspace = true` or `name = { workspace = true, features = [..] }`
/// (features in dev-dependencies only), on one line, under `[dependencies]` or `[dev-dependencies]`.
/// So a reader finds versions and features in one place, the root manifest, and the rules about
/// edges (T1, T3, T4, T5) can read lines. Errors: `[dependencies.x]`, `[target...]`,
/// `[build-dependencies]`, `package =`, `path =`, `git =`, a version outside the root manifest, an
/// external entry of the root manifest without `default-features = false`, and an unsorted
/// `[workspace.dependencies]` (ours first, then the others). `fuzz` and `tools` are workspaces of
/// their own and exempt.
pub(super) fn one_form_of_manifest(tree: &Tree) -> Vec<Finding> {
    let mut found: Vec<Finding> = members(tree).iter().flat_map(member_form).collect();
    match root(tree) {
        Some(root) => found.extend(root_form(&root)),
        None => found.push(Finding::error("Cargo.toml", 0, "the root manifest is missing")),
    }
    found
}

const SECTIONS: &[&str] = &["package", "lib", "bin", "example", "bench", "test", "lints"];
const DEPENDENCIES: &[&str] = &["dependencies", "dev-dependencies"];

fn member_form(manifest: &Manifest<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for &(section, line) in &manifest.sections {
        let known = SECTIONS.contains(&section) || DEPENDENCIES.contains(&section);
        // T8 speaks about these.
        let elsewhere = ["features", "profile", "lints"];
        if !known && !elsewhere.iter().any(|e| section.split('.').next() == Some(e)) {
            let message = format!("`[{section}]` is not a form the rules can read; see T2");
            found.push(Finding::error(manifest.path(), line, message));
        }
    }
    for entry in manifest.entries.iter().filter(|e| DEPENDENCIES.contains(&e.section)) {
        found.extend(entry_fault(entry).map(|m| Finding::error(manifest.path(), entry.line, m)));
    }
    found
}

fn entry_fault(entry: &Entry<'_>) -> Option<String> {
    let Entry { section, key, value, .. } = entry;
    let name = key.split('.').next().unwrap_or(key);
    if *key == format!("{name}.workspace") && *value == "true" {
        return None;
    }
    let form = format!("write `{name}.workspace = true`; version and features stand in the root");
    let Some(inner) = value.strip_prefix('{').and_then(|v| v.strip_suffix('}')) else {
        return Some(form);
    };
    let rest = inner.trim().strip_prefix("workspace = true").map(str::trim);
    match rest {
        Some("") => None,
        Some(rest) if rest.starts_with(", features = [") && rest.ends_with(']') => (*section
            == "dependencies")
            .then(|| format!("features only in dev-dependencies; {form}")),
        _ => Some(form),
    }
}

fn root_form(root: &Manifest<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut before = (false, "");
    for entry in root.entries.iter().filter(|e| e.section == "workspace.dependencies") {
        let Entry { key, value, line, .. } = entry;
        let ours = key.starts_with("ringfort");
        if (!ours, *key) < before {
            let message = format!("`{key}` must stand before `{}`: sorted, ours first", before.1);
            found.push(Finding::error(root.path(), *line, message));
        }
        before = (!ours, key);
        let fault = if ours {
            (*value != format!("{{ path = \"crates/{key}\" }}"))
                .then(|| format!("write `{key} = {{ path = \"crates/{key}\" }}`"))
        } else if value.contains("git =") || value.contains("package =") || value.contains("path =")
        {
            Some(format!("`{key}` must come from the registry under its own name"))
        } else if !value.contains("default-features = false") || !value.ends_with('}') {
            Some(format!("`{key}` needs `default-features = false`, on one line"))
        } else {
            None
        };
        found.extend(fault.map(|m| Finding::error(root.path(), *line, m)));
    }
    found
}

#[cfg(test)]
mod tests;
