//! T1 and T5: who may depend on whom, and what may be named in one place only.

use super::manifest::{self, Manifest};
use super::{Finding, Tree};

/// The document whose crates table repeats [`CRATES`].
const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";

/// Edges in the longest chain of normal dependencies; a deeper graph costs readers and build time.
const DEPTH_MAX: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Imports {
    /// These and no others, without the prefix `ringfort-`.
    Only(&'static [&'static str]),
    /// Every crate that is shipped.
    AllButTestkit,
    /// No package at all, ours or others'.
    Nothing,
}

struct Row {
    name: &'static str,
    imports: Imports,
    /// May its tests use testkit? Not below testkit: cargo would build the crate twice, and `Foo`
    /// from testkit would not be `Foo` of the unit test.
    testkit_in_tests: bool,
}

const fn row(name: &'static str, imports: Imports, testkit_in_tests: bool) -> Row {
    Row { name, imports, testkit_in_tests }
}

use Imports::{AllButTestkit, Nothing, Only};

const CRATES: &[Row] = &[
    row("ringfort-model", Only(&[]), false),
    row("ringfort-policy", Only(&["model"]), false),
    row("ringfort-traffic", Only(&["model"]), false),
    row("ringfort-identity", Only(&["model"]), false),
    row("ringfort-firewall", Only(&["model"]), false),
    row("ringfort-http1", Only(&[]), false),
    row("ringfort-wire", Only(&["model"]), false),
    row("ringfort-fleet", Only(&["model", "policy", "traffic", "firewall"]), false),
    row("ringfort-oidc", Only(&["model", "identity"]), true),
    row("ringfort-scan", Only(&["model"]), true),
    row("ringfort-store", Only(&["model"]), true),
    row("ringfort-proxy", Only(&["model", "policy", "traffic", "identity", "http1", "wire"]), true),
    row("ringfort-agent", Only(&["model", "identity", "firewall", "wire"]), true),
    row(
        "ringfort-control",
        Only(&["model", "policy", "identity", "fleet", "oidc", "scan", "store", "wire"]),
        true,
    ),
    row("ringfort-drill", Only(&["model", "identity"]), true),
    row("ringfort-demo", Only(&["model"]), true),
    row("ringfort", AllButTestkit, true),
    row("ringfort-testkit", Only(&["model", "identity", "fleet"]), false),
    row("xtask", Nothing, false),
];

impl Row {
    fn allows(&self, dependency: &str) -> bool {
        match self.imports {
            Only(names) => dependency.strip_prefix("ringfort-").is_some_and(|n| names.contains(&n)),
            AllButTestkit => dependency != "ringfort-testkit",
            Nothing => false,
        }
    }

    /// The third column of the table.
    fn allowed(&self) -> String {
        match self.imports {
            Only([]) => "nothing of ours".to_owned(),
            Only(names) => names.join(", "),
            AllButTestkit => "all but testkit".to_owned(),
            Nothing => "nothing".to_owned(),
        }
    }
}

/// Imports point inwards.
///
/// The crates table of `docs/ARCHITECTURE.md` says which of our crates each may import; it and the
/// constant beside this rule are compared row by row, so neither can drift. Dev-dependencies on our
/// crates are testkit (not in the crates below it) or an edge the table allows. The longest chain of
/// normal edges is 4. A folder under `crates/` that is not in the table is an error; a row without a
/// folder is not, since a crate comes with its first code. `xtask` depends on nothing at all.
pub(super) fn imports_point_inwards(tree: &Tree) -> Vec<Finding> {
    let manifests = manifest::members(tree);
    let mut found = table(tree);
    for manifest in &manifests {
        match CRATES.iter().find(|row| row.name == manifest.member) {
            Some(row) => found.extend(edges(manifest, row)),
            None => {
                let message =
                    format!("`{}` is not in the crates table of {ARCHITECTURE}", manifest.member);
                found.push(Finding::error(manifest.path(), 0, message));
            }
        }
        let depth = depth(&manifests, manifest.member, DEPTH_MAX + 2);
        if depth > DEPTH_MAX {
            let message = format!("a chain of {depth} edges starts here; {DEPTH_MAX} is the most");
            found.push(Finding::error(manifest.path(), 0, message));
        }
    }
    found
}

fn edges(manifest: &Manifest<'_>, row: &Row) -> Vec<Finding> {
    let external_is_fine = row.imports != Nothing;
    let is_fine =
        |name: &str| !name.starts_with("ringfort") && external_is_fine || row.allows(name);
    let normal = manifest.dependencies("dependencies").filter(|(name, _)| !is_fine(name));
    let in_tests = manifest.dependencies("dev-dependencies").filter(|(name, _)| {
        !(is_fine(name) || *name == "ringfort-testkit" && row.testkit_in_tests)
    });
    let to_finding = |what: &str, (name, line): (&str, usize)| {
        let allowed = row.allowed();
        let message = format!("{} must not depend on {name}{what} (allowed: {allowed})", row.name);
        Finding::error(manifest.path(), line, message)
    };
    normal
        .map(|edge| to_finding("", edge))
        .chain(in_tests.map(|edge| to_finding(" in tests", edge)))
        .collect()
}

/// Edges in the longest chain of normal dependencies from `name`; stops counting after `most`.
fn depth(manifests: &[Manifest<'_>], name: &str, most: usize) -> usize {
    let Some(manifest) = manifests.iter().find(|m| m.member == name) else { return 0 };
    let ours = manifest.dependencies("dependencies").filter(|(n, _)| n.starts_with("ringfort"));
    match most.checked_sub(1) {
        Some(left) => ours.map(|(n, _)| 1 + depth(manifests, n, left)).max().unwrap_or(0),
        None => 0,
    }
}

/// Compares [`CRATES`] with the table in the document.
fn table(tree: &Tree) -> Vec<Finding> {
    let lines = || (1..).zip(tree.text(ARCHITECTURE).lines());
    let Some((start, _)) = lines().find(|(_, line)| line.starts_with("| crate |")) else {
        let message = "no table that starts with `| crate |`: the crates table is missing";
        return vec![Finding::error(ARCHITECTURE, 0, message)];
    };
    let rows: Vec<(usize, &str, &str)> = lines()
        .skip(start + 1)
        .take_while(|(_, line)| line.starts_with('|'))
        .filter_map(|(at, line)| {
            let name = line.split('`').nth(1)?;
            Some((at, name, line.trim_end_matches(['|', ' ']).rsplit('|').next()?.trim()))
        })
        .collect();
    let mut found = Vec::new();
    for (at, name, imports) in &rows {
        let message = match CRATES.iter().find(|row| row.name == *name) {
            None => format!("`{name}` is not in the constant CRATES of xtask/src/tidy/edges.rs"),
            Some(row) if row.allowed() != *imports => {
                format!("`{name}` may import \"{}\" in CRATES, \"{imports}\" here", row.allowed())
            }
            Some(_) => continue,
        };
        found.push(Finding::error(ARCHITECTURE, *at, message));
    }
    for row in CRATES.iter().filter(|row| !rows.iter().any(|(_, name, _)| *name == row.name)) {
        let message = format!("the crates table has no row for `{}`", row.name);
        found.push(Finding::error(ARCHITECTURE, start, message));
    }
    found
}

/// Things with one home.
///
/// `sqlx` belongs to `ringfort-store` (domain verbs, not queries, cross its edge), `cedar-policy`
/// and its parts to `ringfort-policy`, `clap` and its parts and `anyhow` to `ringfort`. `anyhow` is
/// also free in dev-dependencies.
pub(super) fn things_with_one_home(tree: &Tree) -> Vec<Finding> {
    const HOMES: &[(&str, &str)] = &[
        ("sqlx", "ringfort-store"),
        ("cedar-policy", "ringfort-policy"),
        ("clap", "ringfort"),
        ("anyhow", "ringfort"),
    ];
    let mut found = Vec::new();
    for manifest in manifest::members(tree) {
        for section in ["dependencies", "dev-dependencies"] {
            for (name, line) in manifest.dependencies(section) {
                let home = HOMES.iter().find(|(prefix, _)| name.starts_with(prefix));
                let Some((prefix, home)) = home.filter(|(_, home)| *home != manifest.member) else {
                    continue;
                };
                if *prefix != "anyhow" || section == "dependencies" {
                    let message = format!("`{name}` belongs to {home} alone");
                    found.push(Finding::error(manifest.path(), line, message));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
