//! Executables of this very program, of one that was replaced, and the cache.

use std::{fs, process::Command};

use ringfort_identity::Sha256Digester;

use super::*;

/// A copy of `sleep` at `path`, running.
fn run_copy(path: &Path) -> std::process::Child {
    fs::copy("/bin/sleep", path).unwrap();
    Command::new(path).arg("60").spawn().unwrap()
}

#[test]
fn path_and_digest_are_those_of_the_running_file_even_after_it_was_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("orders");
    let mut child = run_copy(&path);
    let process = Process::open(child.id()).unwrap();
    let executables = Executables::default();

    let honest = executables.of(&process).unwrap();
    let bytes = fs::read("/bin/sleep").unwrap();
    assert_eq!(honest.path, path.to_str().unwrap());
    assert_eq!(honest.sha256, Sha256Digester.plain(&bytes));
    assert_eq!(executables.of(&process).unwrap(), honest, "the second time from the cache");

    // Attack: another file at the same path. The digest stays that of what runs, and the path no longer counts.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "#!/bin/sh\n").unwrap();
    let replaced = executables.of(&process).unwrap();
    assert_eq!(replaced.sha256, honest.sha256);
    assert!(replaced.path.starts_with('?'), "{}", replaced.path);

    child.kill().unwrap();
    child.wait().unwrap();
    assert!(executables.of(&process).is_err(), "an ended process has no executable");
}

#[test]
fn a_path_counts_only_if_it_leads_to_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("one"), dir.path().join("other"));
    fs::write(&one, "1").unwrap();
    fs::write(&other, "22").unwrap();
    let state = state_of(&File::open(&one).unwrap()).unwrap();
    let told = |path: &[u8]| told_path(path, state);
    assert_eq!(told(one.as_os_str().as_bytes()), one.to_str().unwrap());
    assert_eq!(told(other.as_os_str().as_bytes()), format!("?{}", other.to_str().unwrap()));
    assert_eq!(told(b"/gone (deleted)"), "?/gone (deleted)");
    assert_eq!(told(b"/\xff"), "?/\\xff");
}

#[test]
fn the_cache_forgets_the_oldest() {
    let mut cache = Cache::default();
    let state = |inode| FileState { device: 1, inode, bytes: 1, modified: (0, 0), changed: (0, 0) };
    for inode in 0..=u64::try_from(CACHE_ENTRIES_MAX).unwrap() {
        cache.insert(state(inode), Digest::new([0; 32]));
        cache.insert(state(inode), Digest::new([1; 32]));
    }
    assert_eq!(cache.digests.len(), CACHE_ENTRIES_MAX);
    assert!(!cache.digests.contains_key(&state(0)));
    assert_eq!(cache.digests.get(&state(1)), Some(&Digest::new([1; 32])));
}
