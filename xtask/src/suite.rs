//! `cargo xtask test`: every test, with what it needs installed first.

use std::collections::BTreeMap;

use crate::setup;
use crate::shell::{self, Project};

/// Where the tests find the Python of the clients by others.
const PYTHON: &str = "RINGFORT_TEST_PYTHON";

/// Groups by the prefix of a test's name, each with what it needs.
const GROUPS: &[(&str, &str)] = &[
    ("netns_", "root, for network namespaces"),
    ("pg_", "a PostgreSQL server program"),
    ("slow_", "more than 5 s"),
];

/// All tests without one of the prefixes.
const PLAIN: &str = "plain";

/// Runs all tests, or those whose path contains `filter`.
///
/// # Errors
/// A sentence: what is missing and how to install it, or which command failed.
pub(crate) fn test(project: &Project, filter: Option<&str>) -> Result<(), String> {
    let python = setup::ensure(project)?.display().to_string();
    let has_nextest = shell::succeeds(&mut project.cargo(&["nextest", "--version"]));
    let (list, run) = if has_nextest { (NEXTEST_LIST, NEXTEST_RUN) } else { (TEST_LIST, TEST_RUN) };
    let runner =
        if has_nextest { "cargo nextest" } else { "cargo test: cargo nextest is not here" };
    println!("test: builds all tests ({runner})");
    let command = |args: &[&str]| {
        let mut command = project.cargo(args);
        command.env(PYTHON, &python);
        command
    };
    let listed = shell::output(&mut command(&with(list, filter)))?;
    let groups = groups(&names(&listed));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    can_run(&groups, filter, setup::is_root(&status))?;
    shell::run(&mut command(&with(run, filter)))?;
    println!("test: ran {}", summary(&groups));
    if let Some(filter) = filter {
        println!("test: left out: every test whose path does not contain `{filter}`");
    }
    Ok(())
}

const NEXTEST_LIST: &[&str] =
    &["nextest", "list", "--workspace", "--profile", "ci", "--message-format", "oneline", "FILTER"];
const NEXTEST_RUN: &[&str] = &["nextest", "run", "--workspace", "--profile", "ci", "FILTER"];
const TEST_LIST: &[&str] = &["test", "--workspace", "FILTER", "--", "--list", "--format", "terse"];
const TEST_RUN: &[&str] = &["test", "--workspace", "--no-fail-fast", "FILTER"];

/// The arguments with the filter in its place.
fn with<'a>(args: &[&'a str], filter: Option<&'a str>) -> Vec<&'a str> {
    args.iter().filter_map(|arg| if *arg == "FILTER" { filter } else { Some(*arg) }).collect()
}

/// The last part of each test's path, from the list of either runner: `binary path::name` or
/// `path::name: test`.
fn names(listed: &str) -> Vec<&str> {
    listed.lines().filter_map(name).collect()
}

fn name(line: &str) -> Option<&str> {
    let path = match line.split_once(": ") {
        Some((path, "test")) => path,
        Some(_) => return None,
        None => line.split_once(' ').map(|(_, path)| path)?,
    };
    path.trim().rsplit("::").next()
}

/// How many tests each group has.
fn groups(names: &[&str]) -> BTreeMap<&'static str, usize> {
    let prefixes = GROUPS.iter().map(|(prefix, _)| *prefix);
    let mut groups: BTreeMap<_, usize> = prefixes.chain([PLAIN]).map(|p| (p, 0)).collect();
    for name in names {
        let prefix = GROUPS.iter().find(|(prefix, _)| name.starts_with(prefix));
        *groups.entry(prefix.map_or(PLAIN, |(prefix, _)| prefix)).or_default() += 1;
    }
    groups
}

/// # Errors
/// If no test is left, or one of them could not do its work.
fn can_run(
    groups: &BTreeMap<&'static str, usize>,
    filter: Option<&str>,
    is_root: bool,
) -> Result<(), String> {
    if groups.values().all(|count| *count == 0) {
        return Err(filter.map_or("there is no test".to_owned(), |filter| {
            format!("no test has `{filter}` in its path; `cargo nextest list` lists them")
        }));
    }
    let netns = groups.get("netns_").copied().unwrap_or(0);
    if netns > 0 && !is_root {
        return Err(format!(
            "tests with the prefix netns_ ({netns}) need root; run:\n  \
             sudo --preserve-env=PATH,HOME cargo xtask test"
        ));
    }
    Ok(())
}

/// `412 plain, 3 netns_ (root, for network namespaces), ...`
fn summary(groups: &BTreeMap<&'static str, usize>) -> String {
    let need = |group: &str| GROUPS.iter().find(|(g, _)| *g == group).map(|(_, need)| *need);
    let one = |(group, count): (&&str, &usize)| {
        let need = need(group).map_or(String::new(), |need| format!(" ({need})"));
        format!("{count} {group}{need}")
    };
    groups.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
