//! The essential rules of `deny.toml` where `cargo deny` is not installed: bans, licences, sources.
//!
//! It reads the parts of `deny.toml` that name crates and licences, line by line, and compares them
//! with what cargo would build for the host. Not covered: advisories, which change without a change
//! of ours, and what is only built for other targets.

use crate::lockfile::{self, Package};
use crate::shell::{self, Project};

/// Runs `cargo deny` where it is installed, and the checks of this module where it is not.
///
/// # Errors
/// A sentence for each fault.
pub(crate) fn check(project: &Project) -> Result<(), String> {
    if shell::succeeds(&mut project.cargo(&["deny", "--version"])) {
        let args = ["deny", "--offline", "check", "bans", "licenses", "sources"];
        return shell::run(&mut project.cargo(&args));
    }
    let read = |path: &str| {
        let text = std::fs::read_to_string(project.root.join(path));
        text.map_err(|e| format!("cannot read {path}: {e}"))
    };
    let (rules, lock) = (read("deny.toml")?, read("Cargo.lock")?);
    let packages = lockfile::packages(&lock);
    let format = ["--prefix", "none", "--format", "{p}|{l}"];
    let mut tree = project.cargo(&["tree", "--workspace", "--edges", "normal,build,dev"]);
    let built = shell::output(tree.args(format))?;
    let (bans, licences) = (Bans::of(&rules), Licences::of(&rules));
    let mut faults = bans.faults(&built, &packages);
    faults.extend(licences.faults(&built));
    faults.extend(sources(&packages));
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    println!(
        "cargo deny: not installed, left out; covered here: bans ({} crates), licences \
         ({} packages), sources ({} packages)",
        bans.0.len(),
        built_packages(&built).len(),
        packages.len()
    );
    Ok(())
}

/// Lines of the array `key` of `[section]`, or of the array on one line.
fn array<'a>(text: &'a str, section: &str, key: &str) -> Vec<&'a str> {
    let head = format!("[{section}]");
    let inside = text.lines().skip_while(|line| line.trim() != head).skip(1);
    let start = format!("{key} = [");
    inside
        .take_while(|line| !line.starts_with('['))
        .skip_while(|line| !line.starts_with(&start))
        .skip(1)
        .take_while(|line| !line.starts_with(']'))
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect()
}

/// The quoted strings behind `key = ` in an entry such as `{ crate = "x", allow = ["a", "b"] }`.
fn values<'a>(entry: &'a str, key: &str) -> Vec<&'a str> {
    let Some((_, value)) = entry.split_once(&format!("{key} = ")) else { return Vec::new() };
    match value.strip_prefix('[').and_then(|list| list.split(']').next()) {
        Some(list) => list.split('"').skip(1).step_by(2).collect(),
        None => value.split('"').skip(1).take(1).collect(),
    }
}

/// Name and licence of each package cargo would build, from `cargo tree`.
fn built_packages(built: &str) -> std::collections::BTreeSet<(&str, &str)> {
    let lines = built.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once('|'));
    lines
        .map(|(package, licence)| (package.split(' ').next().unwrap_or(package), licence))
        .collect()
}

/// Crates that may not be there, or only below the crates listed with them.
struct Bans<'a>(Vec<(&'a str, Vec<&'a str>)>);

impl<'a> Bans<'a> {
    fn of(rules: &'a str) -> Self {
        let entry = |line| Some((*values(line, "crate").first()?, values(line, "wrappers")));
        Self(array(rules, "bans", "deny").into_iter().filter_map(entry).collect())
    }

    fn faults(&self, built: &str, locked: &[Package<'_>]) -> Vec<String> {
        let built = built_packages(built);
        let mut faults = Vec::new();
        for (name, wrappers) in self.0.iter().filter(|(n, _)| built.iter().any(|(b, _)| b == n)) {
            if wrappers.is_empty() {
                faults.push(format!("`{name}` is banned by deny.toml; see `cargo tree -i {name}`"));
            }
            let version = locked.iter().find(|p| p.name == *name).map_or("", |p| p.version);
            let direct = locked.iter().filter(|p| !wrappers.is_empty() && p.needs(name, version));
            for user in direct.filter(|p| !wrappers.contains(&p.name)) {
                let wrappers = wrappers.join(", ");
                faults.push(format!("`{name}` is for {wrappers} alone, but {} uses it", user.name));
            }
        }
        faults
    }
}

/// Licences that are allowed to all, and those allowed to one package.
struct Licences<'a> {
    all: Vec<&'a str>,
    exceptions: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> Licences<'a> {
    fn of(rules: &'a str) -> Self {
        let quoted = |line: &'a str| line.split('"').nth(1);
        let entry = |line| Some((*values(line, "crate").first()?, values(line, "allow")));
        let exceptions = array(rules, "licenses", "exceptions");
        Self {
            all: array(rules, "licenses", "allow").into_iter().filter_map(quoted).collect(),
            exceptions: exceptions.into_iter().filter_map(entry).collect(),
        }
    }

    fn faults(&self, built: &str) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, licence) in built_packages(built) {
            let exception = self.exceptions.iter().find(|(n, _)| *n == name);
            let own = exception.map_or(&[][..], |(_, allowed)| allowed);
            let allowed = |id: &str| self.all.contains(&id) || own.contains(&id);
            if !Expression::of(licence).holds(&allowed) {
                faults
                    .push(format!("`{name}` has the licence `{licence}`, which deny.toml forbids"));
            }
        }
        faults
    }
}

/// An SPDX expression, read from left to right: `OR` binds less than `AND`; `/` is an old `OR`.
struct Expression<'a> {
    words: std::iter::Peekable<std::vec::IntoIter<&'a str>>,
}

impl<'a> Expression<'a> {
    fn of(text: &'a str) -> Self {
        let mut words = Vec::new();
        for word in text.split_whitespace() {
            let mut rest = word;
            while let Some(at) = rest.find(['(', ')', '/']) {
                let (before, after) = rest.split_at(at);
                let (mark, after) = after.split_at(1);
                words.extend([before, mark].into_iter().filter(|w| !w.is_empty()));
                rest = after;
            }
            words.extend(Some(rest).filter(|w| !w.is_empty()));
        }
        Self { words: words.into_iter().peekable() }
    }

    /// Is it satisfied? An expression that cannot be read is not.
    fn holds(mut self, allowed: &impl Fn(&str) -> bool) -> bool {
        self.any(allowed) && self.words.next().is_none()
    }

    fn any(&mut self, allowed: &impl Fn(&str) -> bool) -> bool {
        let mut holds = self.all(allowed);
        while self.words.next_if(|w| ["OR", "/"].contains(w)).is_some() {
            holds |= self.all(allowed);
        }
        holds
    }

    fn all(&mut self, allowed: &impl Fn(&str) -> bool) -> bool {
        let mut holds = self.one(allowed);
        while self.words.next_if_eq(&"AND").is_some() {
            holds &= self.one(allowed);
        }
        holds
    }

    fn one(&mut self, allowed: &impl Fn(&str) -> bool) -> bool {
        let Some(word) = self.words.next() else { return false };
        if word == "(" {
            let holds = self.any(allowed);
            return self.words.next_if_eq(&")").is_some() && holds;
        }
        if self.words.next_if_eq(&"WITH").is_some() {
            let exception = self.words.next().unwrap_or_default();
            return allowed(&format!("{word} WITH {exception}"));
        }
        allowed(word)
    }
}

/// Every package that is not ours comes from the registry.
fn sources(packages: &[Package<'_>]) -> Vec<String> {
    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
    let foreign = packages.iter().filter_map(|p| p.source.map(|source| (p.name, source)));
    foreign
        .filter(|(_, source)| *source != REGISTRY)
        .map(|(name, source)| format!("`{name}` comes from {source}, not from the registry"))
        .collect()
}

#[cfg(test)]
mod tests;
