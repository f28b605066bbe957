//! Reads `Cargo.lock`: which packages there are, and who needs whom.

use std::collections::BTreeMap;

/// One `[[package]]`.
#[derive(Default)]
pub(crate) struct Package<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    /// Where it comes from; `None` for the packages of this repository.
    pub(crate) source: Option<&'a str>,
    /// `name`, or `name version` where the name alone is ambiguous.
    pub(crate) dependencies: Vec<&'a str>,
}

impl Package<'_> {
    /// Does it depend on this version of the package `name`?
    pub(crate) fn needs(&self, name: &str, version: &str) -> bool {
        self.dependencies.iter().any(|dependency| {
            let mut words = dependency.split(' ');
            words.next() == Some(name) && words.next().is_none_or(|v| v == version)
        })
    }
}

/// The packages of a lock file; cargo writes one value a line.
pub(crate) fn packages(text: &str) -> Vec<Package<'_>> {
    let parse = |block| {
        let mut package = Package::default();
        for line in str::lines(block) {
            let value = line.split('"').nth(1).unwrap_or_default();
            match line.split(' ').next() {
                Some("name") => package.name = value,
                Some("version") => package.version = value,
                Some("source") => package.source = Some(value),
                Some("") if !value.is_empty() => package.dependencies.push(value),
                Some("[[patch.unused]]") => break,
                _ => {}
            }
        }
        package
    };
    text.split("[[package]]\n").skip(1).map(parse).collect()
}

/// A package that is there in more than one version.
pub(crate) struct Duplicate<'a> {
    pub(crate) name: &'a str,
    pub(crate) versions: usize,
    /// The oldest of them.
    pub(crate) oldest: &'a str,
    /// The packages that need the oldest.
    pub(crate) needed_by: Vec<&'a str>,
}

/// Packages in more than one version, by name.
pub(crate) fn duplicates<'a>(packages: &[Package<'a>]) -> Vec<Duplicate<'a>> {
    let mut versions: BTreeMap<&'a str, Vec<&'a str>> = BTreeMap::new();
    for package in packages {
        versions.entry(package.name).or_default().push(package.version);
    }
    let age = |version: &&str| {
        version.split(['.', '-', '+']).map(|n| n.parse().unwrap_or(0)).collect::<Vec<u32>>()
    };
    let duplicate = |(name, versions): (&'a str, Vec<&'a str>)| {
        let oldest = versions.iter().copied().min_by_key(age).filter(|_| versions.len() > 1)?;
        let needed_by = packages.iter().filter(|p| p.needs(name, oldest)).map(|p| p.name).collect();
        Some(Duplicate { name, versions: versions.len(), oldest, needed_by })
    };
    versions.into_iter().filter_map(duplicate).collect()
}

#[cfg(test)]
mod tests;
