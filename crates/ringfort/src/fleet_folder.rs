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
/// Largest document in which the names of the files beside it are looked for: more belongs in a folder.
const ALONE_BYTES_MAX: usize = 1024 * 1024;
/// Most files of a fleet.
const FILES_MAX: usize = 1000;
/// How deep folders are followed.
const DEPTH_MAX: usize = 8;

/// Reads every file below the folder, sorted by path, with paths relative to it; what the documents do not name is left
/// out later. Of a single `.yaml` file: that file, and the files beside it that it mentions.
///
/// Hidden files are not read, nor are large ones that are neither documents nor policies: `check` says what is missed.
///
/// # Errors
/// Fails when something cannot be read, is too large, or there is nothing to read.
pub(crate) fn read(fleet: &Path) -> anyhow::Result<Vec<FleetFile>> {
    let kind =
        fs::metadata(fleet).with_context(|| format!("cannot read fleet `{}`", fleet.display()))?;
    let folder = folder_of(fleet);
    let mut files = if kind.is_dir() {
        let mut paths = Vec::new();
        walk(&folder, 0, &mut paths)?;
        paths.iter().map(|path| read_file(&folder, path)).collect::<anyhow::Result<Vec<_>>>()?
    } else {
        read_alone(&folder, fleet)?
    };
    files.sort_by(|a, b| a.path.cmp(&b.path));
    if !files.iter().any(|file| file.path.ends_with(".yaml")) {
        bail!("fleet folder `{}` has no .yaml file", fleet.display());
    }
    Ok(files)
}

/// One document and the files beside it whose names stand in it; of a document above [`ALONE_BYTES_MAX`], itself alone.
fn read_alone(folder: &Path, document: &Path) -> anyhow::Result<Vec<FleetFile>> {
    let read = read_file(folder, document)?;
    let text = std::str::from_utf8(&read.bytes).unwrap_or_default();
    let mut files = Vec::new();
    if text.len() <= ALONE_BYTES_MAX {
        for entry in entries(folder)? {
            let (name, path) = (entry.file_name(), entry.path());
            let is_other = Some(name.as_os_str()) != document.file_name();
            let is_mentioned = name.to_str().is_some_and(|name| text.contains(name));
            if is_other && is_mentioned && path.is_file() {
                files.push(read_file(folder, &path)?);
            }
        }
    }
    files.push(read);
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
    for entry in entries(folder)? {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().first() == Some(&b'.') {
            continue;
        }
        if path.is_dir() {
            if depth < DEPTH_MAX {
                walk(&path, depth.saturating_add(1), paths)?;
            }
        } else if is_text_of_the_language(&path) || is_small(&path) {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            bail!("fleet folder `{}` has more than {FILES_MAX} files", folder.display());
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> anyhow::Result<Vec<fs::DirEntry>> {
    let read = fs::read_dir(folder).and_then(Iterator::collect);
    read.with_context(|| format!("cannot read folder `{}`", folder.display()))
}

/// Documents and policies are read whatever their size, so that a large one is refused and not passed over.
fn is_text_of_the_language(path: &Path) -> bool {
    has_extension(path, "yaml") || has_extension(path, "cedar")
}

fn is_small(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= FILE_BYTES_MAX)
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
