//! One process in `/proc`, pinned: every fact read here is of the process the pidfd names, or reading fails.
//!
//! An open `/proc/PID` directory belongs to one process for good: once that process is gone, reads through it fail
//! even if its number was given away again. It is opened first and the pidfd looked at afterwards: a process alive
//! then cannot have lost its number in between, so directory and pidfd name the same process.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::{
    fs::{Mode, OFlags, open, openat, readlinkat},
    process::{Pid, PidfdFlags, pidfd_open},
};

/// Longest `stat` or `status` file read; the kernel writes under 2 KiB.
const PROC_FILE_BYTES_MAX: u64 = 16 * 1024;

/// A process whose number cannot be given away under us.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    pidfd: OwnedFd,
    dir: OwnedFd,
}

/// What `/proc/PID/stat` says about where a process comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// The parent; 0 for those the kernel started.
    pub(super) parent: u32,
    /// When it started, in clock ticks since boot.
    pub(super) start_ticks: u64,
    /// Ended, but not yet collected by its parent.
    pub(super) is_zombie: bool,
}

/// Why facts of a process cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadProcessError {
    /// It ended, or was never there.
    #[error("process {pid} has ended")]
    Gone {
        /// Its number.
        pid: u32,
    },
    /// The kernel refused a read: most often a process of another user.
    #[error("cannot read `{file}` of process {pid}")]
    Read {
        /// Its number.
        pid: u32,
        /// The file below `/proc/PID`.
        file: &'static str,
        #[source]
        source: io::Error,
    },
    /// A file of `/proc` does not look like one.
    #[error("`{file}` of process {pid} has an unknown form")]
    Form {
        /// Its number.
        pid: u32,
        /// The file below `/proc/PID`.
        file: &'static str,
    },
}

impl Process {
    /// Pins the process a pidfd names.
    pub(super) fn pin(pid: u32, pidfd: OwnedFd) -> Result<Self, ReadProcessError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = open(format!("/proc/{pid}"), flags, Mode::empty())
            .map_err(|_absent| ReadProcessError::Gone { pid })?;
        let process = Self { pid, pidfd, dir };
        process.check_alive()?;
        Ok(process)
    }

    /// Pins the process that has this number now.
    pub(super) fn open(pid: u32) -> Result<Self, ReadProcessError> {
        Self::pin(pid, pidfd_of(pid)?)
    }

    /// Fails once the process has ended.
    pub(super) fn check_alive(&self) -> Result<(), ReadProcessError> {
        if has_ended(self.pidfd.as_fd()) {
            return Err(ReadProcessError::Gone { pid: self.pid });
        }
        Ok(())
    }

    /// Its number.
    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Parent, start and state.
    pub(super) fn stat(&self) -> Result<Stat, ReadProcessError> {
        parse_stat(&self.text("stat")?)
            .ok_or(ReadProcessError::Form { pid: self.pid, file: "stat" })
    }

    /// Effective user and group id as they are now.
    pub(super) fn effective_ids(&self) -> Result<(u32, u32), ReadProcessError> {
        parse_effective_ids(&self.text("status")?)
            .ok_or(ReadProcessError::Form { pid: self.pid, file: "status" })
    }

    /// The executable, opened through the kernel's own link, so that its path plays no part.
    pub(super) fn open_exe(&self) -> Result<File, ReadProcessError> {
        self.file("exe")
    }

    /// The executable's path as the kernel tells it.
    pub(super) fn exe_path(&self) -> Result<Vec<u8>, ReadProcessError> {
        readlinkat(&self.dir, "exe", Vec::new())
            .map(std::ffi::CString::into_bytes)
            .map_err(|errno| self.failed("exe", errno.into()))
    }

    fn file(&self, name: &'static str) -> Result<File, ReadProcessError> {
        openat(&self.dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map(File::from)
            .map_err(|errno| self.failed(name, errno.into()))
    }

    fn text(&self, name: &'static str) -> Result<String, ReadProcessError> {
        let mut bytes = Vec::new();
        self.file(name)?
            .take(PROC_FILE_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(|source| self.failed(name, source))?;
        // A program chooses its own name in these files; nothing that is parsed lies inside it.
        Ok(bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect())
    }

    fn failed(&self, file: &'static str, source: io::Error) -> ReadProcessError {
        let gone = [rustix::io::Errno::SRCH, rustix::io::Errno::NOENT];
        match source.raw_os_error() {
            Some(code) if gone.iter().any(|errno| errno.raw_os_error() == code) => {
                ReadProcessError::Gone { pid: self.pid }
            }
            Some(_) | None => ReadProcessError::Read { pid: self.pid, file, source },
        }
    }
}

/// A pidfd of the process that has this number now.
pub(super) fn pidfd_of(pid: u32) -> Result<OwnedFd, ReadProcessError> {
    let gone = ReadProcessError::Gone { pid };
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Err(gone) };
    pidfd_open(raw, PidfdFlags::empty()).map_err(|_absent| gone)
}

/// Whether the process of a pidfd has ended: its pidfd is readable from then on.
fn has_ended(pidfd: BorrowedFd<'_>) -> bool {
    let mut waits = [PollFd::new(pidfd, PollFlags::POLLIN)];
    !matches!(poll(&mut waits, PollTimeout::ZERO), Ok(0))
}

/// The second field is the program's own name in parentheses and may hold anything, `)` too: fields are counted
/// from its last `)`.
///
/// # Source
/// proc_pid_stat(5): field 3 is the state, 4 the parent, 22 the start time.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_name, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let is_zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some(Stat { parent, start_ticks, is_zombie })
}

/// # Source
/// proc_pid_status(5): `Uid:` and `Gid:` list real, effective, saved and filesystem id.
fn parse_effective_ids(text: &str) -> Option<(u32, u32)> {
    let effective = |key: &str| {
        let line = text.lines().skip(1).find_map(|line| line.strip_prefix(key))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    Some((effective("Uid:")?, effective("Gid:")?))
}

#[cfg(test)]
mod tests;
