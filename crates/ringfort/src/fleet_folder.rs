//! Reads a fleet folder from disk, within its limits.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use ringfort_fleet::FleetFile;

/// Largest single file; larger ones are refused unread.
const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Most files of a fleet.
const FILES_MAX: usize = 1000;
/// How deep folders are followed.
const DEPTH_MAX: usize = 8;

/// Reads every `*.yaml` and `*.cedar` below `fleet`, sorted by path, with paths relative to the folder; of a single
/// `.yaml` file, that file and the `*.cedar` beside it.
///
/// # Errors
/// Fails when something cannot be read, is too large, or there is nothing to read.
pub(crate) fn read(fleet: &Path) -> anyhow::Result<Vec<FleetFile>> {
    let kind =
        fs::metadata(fleet).with_context(|| format!("cannot read fleet `{}`", fleet.display()))?;
    let (folder, paths) = if kind.is_dir() {
        let mut paths = Vec::new();
        walk(fleet, 0, &mut paths)?;
        (fleet.to_path_buf(), paths)
    } else {
        let folder = folder_of(fleet);
        let mut paths = vec![fleet.to_path_buf()];
        walk(&folder, DEPTH_MAX, &mut paths)?;
        paths.retain(|path| path == fleet || has_extension(path, "cedar"));
        (folder, paths)
    };
    let mut files =
        paths.iter().map(|path| read_file(&folder, path)).collect::<anyhow::Result<Vec<_>>>()?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    if !files.iter().any(|file| file.path.ends_with(".yaml")) {
        bail!("fleet folder `{}` has no .yaml file", fleet.display());
    }
    Ok(files)
}

/// The folder that is watched for edits of `fleet`.
pub(crate) fn folder_of(fleet: &Path) -> PathBuf {
    if fleet.is_dir() {
        return fleet.to_path_buf();
    }
    match fleet.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        Some(_) | None => PathBuf::from("."),
    }
}

fn walk(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("cannot read folder `{}`", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read folder `{}`", folder.display()))?;
        let path = entry.path();
        let hidden = entry.file_name().as_encoded_bytes().first() == Some(&b'.');
        if hidden || paths.contains(&path) {
            continue;
        }
        if path.is_dir() && depth < DEPTH_MAX {
            walk(&path, depth.saturating_add(1), paths)?;
        } else if has_extension(&path, "yaml") || has_extension(&path, "cedar") {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            bail!("fleet folder `{}` has more than {FILES_MAX} files", folder.display());
        }
    }
    Ok(())
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

fn read_file(folder: &Path, path: &Path) -> anyhow::Result<FleetFile> {
    let shown = path.strip_prefix(folder).unwrap_or(path);
    let Some(name) = shown.to_str() else { bail!("file name `{}` is not UTF-8", shown.display()) };
    let file = fs::File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX.saturating_add(1);
    file.take(limit)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        bail!(
            "`{}` is larger than 10 MiB: split it, a fleet may have up to {FILES_MAX} files",
            path.display()
        );
    }
    Ok(FleetFile { path: name.to_owned(), bytes })
}
