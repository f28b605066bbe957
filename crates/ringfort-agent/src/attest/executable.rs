//! What a process executes: path and SHA-256, both of the very file the kernel runs.
//!
//! A path proves little alone: in a mount namespace of its own a process can put any file at any path. So a path
//! counts only when, seen from here, it leads to the same file; otherwise it is told with a `?` in front and equals
//! no path a fleet file can name.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    sync::{Mutex, PoisonError},
};

use ringfort_identity::digest::ContentSha256;
use ringfort_model::{ContentDigester as _, Digest};
use rustix::fs::{Stat, fstat, stat};

use super::process::{Process, ReadProcessError};

/// Largest executable digested; Chromium, the largest seen, has 260 MB.
const EXECUTABLE_BYTES_MAX: u64 = 1 << 30;

/// Most digests kept; the oldest goes first.
const CACHE_ENTRIES_MAX: usize = 256;

/// Piece in which a file is read.
const PIECE_BYTES: usize = 256 * 1024;

/// Which file, in which state: any write changes its times, any replacement its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileState {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, u64),
    changed: (i64, u64),
}

/// Path and content of an executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Executable {
    /// Its path, or `?` and its path when the path leads elsewhere from here.
    pub(super) path: String,
    /// SHA-256 of its bytes, as `sha256sum` prints it.
    pub(super) sha256: Digest,
    /// The file and its state while it was read.
    pub(super) state: FileState,
}

/// Why an executable cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadExecutableError {
    /// The process ended, or the kernel refused.
    #[error(transparent)]
    Process(#[from] ReadProcessError),
    /// Larger than [`EXECUTABLE_BYTES_MAX`].
    #[error("the executable of process {pid} has more than {EXECUTABLE_BYTES_MAX} bytes")]
    TooLarge {
        /// The process.
        pid: u32,
    },
    /// Its bytes cannot be read.
    #[error("cannot read the executable of process {pid}")]
    Read {
        /// The process.
        pid: u32,
        #[source]
        source: io::Error,
    },
    /// Its file was written to meanwhile.
    #[error("the executable of process {pid} changed while it was read")]
    Changed {
        /// The process.
        pid: u32,
    },
}

/// Digests of executables by file and state, so that a renewal costs no second reading.
#[derive(Debug, Default)]
pub(super) struct Executables {
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    digests: BTreeMap<FileState, Digest>,
    order: VecDeque<FileState>,
}

impl Executables {
    /// Tells what a process executes.
    pub(super) fn of(&self, process: &Process) -> Result<Executable, ReadExecutableError> {
        let pid = process.pid();
        let read_failed = |source| ReadExecutableError::Read { pid, source };
        let mut file = process.open_exe()?;
        let state = state_of(&file).map_err(read_failed)?;
        if state.bytes > EXECUTABLE_BYTES_MAX {
            return Err(ReadExecutableError::TooLarge { pid });
        }
        let known = self.lock().digests.get(&state).copied();
        let sha256 = match known {
            Some(digest) => digest,
            None => {
                let digest = digest_of(&mut file, state.bytes).map_err(read_failed)?;
                if state_of(&file).map_err(read_failed)? != state {
                    return Err(ReadExecutableError::Changed { pid });
                }
                self.lock().insert(state, digest);
                digest
            }
        };
        Ok(Executable { path: told_path(&process.exe_path()?, state), sha256, state })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    fn insert(&mut self, state: FileState, digest: Digest) {
        if self.digests.insert(state, digest).is_none() {
            self.order.push_back(state);
        }
        if self.order.len() > CACHE_ENTRIES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.digests.remove(&oldest);
        }
    }
}

/// The file a process executes now.
pub(super) fn state_now(process: &Process) -> Result<FileState, ReadExecutableError> {
    let file = process.open_exe()?;
    state_of(&file).map_err(|source| ReadExecutableError::Read { pid: process.pid(), source })
}

fn state_of(file: &File) -> io::Result<FileState> {
    Ok(FileState::from(fstat(file)?))
}

impl From<Stat> for FileState {
    fn from(stat: Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            bytes: u64::try_from(stat.st_size).unwrap_or(u64::MAX),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

fn digest_of(file: &mut File, bytes: u64) -> io::Result<Digest> {
    let mut digester = Box::new(ContentSha256::new());
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = file.take(bytes);
    loop {
        let read = left.read(&mut piece)?;
        let Some(part) = piece.get(..read).filter(|part| !part.is_empty()) else { break };
        digester.update(part);
    }
    Ok(digester.finish())
}

/// The path as it is told: see the module's header.
fn told_path(path: &[u8], state: FileState) -> String {
    let leads_here = stat(Path::new(std::ffi::OsStr::from_bytes(path)))
        .is_ok_and(|found| FileState::from(found) == state);
    match std::str::from_utf8(path) {
        Ok(text) if leads_here && text.starts_with('/') => text.to_owned(),
        Ok(text) => format!("?{text}"),
        Err(_not_text) => format!("?{}", path.escape_ascii()),
    }
}

#[cfg(test)]
mod tests;
