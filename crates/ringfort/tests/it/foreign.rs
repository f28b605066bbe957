//! Programs nobody here wrote: where they are, and how their tests run them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::host::latin;

/// The first of these programs that is there.
#[track_caller]
pub(crate) fn program(candidates: &[&str]) -> PathBuf {
    let found = candidates.iter().map(PathBuf::from).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{} is missing: run `cargo xtask setup`", candidates.join(", ")))
}

/// A program of the newest PostgreSQL installed.
#[track_caller]
pub(crate) fn postgres_program(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    versions.sort();
    versions
        .pop()
        .unwrap_or_else(|| panic!("PostgreSQL's {name} is missing: run `cargo xtask setup`"))
}

/// The Python that holds the clients by others.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "`cargo xtask test` tells the tests where it is")]
pub(crate) fn python() -> PathBuf {
    let usual =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/foreign-clients/bin/python");
    let path = std::env::var_os("RINGFORT_TEST_PYTHON").map_or(usual, PathBuf::from);
    assert!(path.exists(), "{} is missing: run `cargo xtask setup`", path.display());
    path
}

/// A file of `tests/foreign`.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign").join(name)
}

/// Runs a command that must succeed and returns what it printed.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let (stdout, stderr) = (latin(&stdout), latin(&stderr));
    assert!(status.success(), "{command:?} ended with {status}\n{stdout}\n{stderr}");
    stdout
}

/// A list of strings in YAML.
pub(crate) fn yaml_list(items: &[&str]) -> String {
    let quoted: Vec<String> = items
        .iter()
        .map(|item| format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
    format!("[{}]", quoted.join(", "))
}

/// Whether this test runs as root.
pub(crate) fn is_root() -> bool {
    run(Command::new("id").arg("-u")).trim() == "0"
}
