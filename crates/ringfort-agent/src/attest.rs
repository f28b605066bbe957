//! Who is at the other end of a local socket: facts the kernel tells about a process, never what it says itself.
//!
//! A connection is attested once, right after it was accepted. The process is pinned by a pidfd for as long as facts
//! are read, and a process that ended, executed another program or changed its user meanwhile is refused. Does
//! **not** decide an identity: that is the server's work, from these facts.
//!
//! # Limits of what can be known
//! - Whoever runs as the same user can debug the process and take its socket; users are the fence, not programs.
//! - A program that detaches from its parent (double fork) is no longer found as a child; it must match selectors.
//! - The digest of an interpreter names the interpreter, not its script.

use std::{os::fd::OwnedFd, sync::Arc};

use ringfort_model::{Selectors, selectors::StartedAs};
use tokio::net::UnixStream;

use crate::Children;

use accounts::Accounts;
use executable::{Executables, ReadExecutableError};
use process::{Process, ReadProcessError, Stat};

mod accounts;
mod executable;
mod process;

/// Most ancestors followed to find a registered child; deeper process trees are not attributed.
const ANCESTORS_MAX: usize = 64;

/// Reads facts about processes at the other end of local sockets; clones share caches and children.
#[derive(Debug, Clone)]
pub struct Attestor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    children: Children,
    executables: Executables,
    accounts: Accounts,
}

/// The process at the other end of one connection, pinned when the connection was accepted.
#[derive(Debug)]
pub struct Peer {
    pid: u32,
    uid: u32,
    gid: u32,
    pidfd: OwnedFd,
}

/// Why a peer cannot be told. All of these refuse it.
#[derive(Debug, thiserror::Error)]
pub enum AttestPeerError {
    /// The kernel gave no credentials for the socket.
    #[error("the kernel does not say who is connected")]
    Credentials {
        /// What it said instead.
        #[source]
        source: std::io::Error,
    },
    /// The peer lives in a process namespace from which it has no number here.
    #[error("the peer has no process number on this host")]
    OutsideNamespace,
    /// The peer ended, or the kernel refused a read about it.
    #[error("cannot attest the peer: {reason}")]
    Unreadable {
        /// What could not be read.
        reason: String,
    },
    /// The peer executed another program, changed its user, or was replaced while it was attested.
    #[error("process {pid} changed while it was attested")]
    Changed {
        /// Its number.
        pid: u32,
    },
    /// Too many peers of one user are being attested, or one took too long.
    #[error("too many connections are being attested")]
    Busy,
}

impl Peer {
    /// Pins the process that connected this socket.
    ///
    /// # Errors
    /// - [`AttestPeerError::Credentials`]: no credentials.
    /// - [`AttestPeerError::OutsideNamespace`]: the peer has no number here.
    /// - [`AttestPeerError::Unreadable`]: the peer has ended.
    ///
    /// # Source
    /// unix(7): `SO_PEERCRED` and `SO_PEERPIDFD` tell the process as it was at `connect(2)`. The latter exists since
    /// Linux 6.5; before, the number is looked up again, and who ended in between is refused or, if the number was
    /// given away within these microseconds, compared by its user.
    pub fn of(stream: &UnixStream) -> Result<Self, AttestPeerError> {
        let credentials =
            stream.peer_cred().map_err(|source| AttestPeerError::Credentials { source })?;
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        if pid == 0 {
            return Err(AttestPeerError::OutsideNamespace);
        }
        let pidfd = match nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::PeerPidfd)
        {
            Ok(pidfd) => pidfd,
            Err(nix::errno::Errno::ENOPROTOOPT) => process::pidfd_of(pid)?,
            Err(_ended) => return Err(ReadProcessError::Gone { pid }.into()),
        };
        Ok(Self { pid, uid: credentials.uid(), gid: credentials.gid(), pidfd })
    }

    /// The peer's effective user when it connected.
    #[must_use]
    pub const fn uid(&self) -> u32 {
        self.uid
    }
}

impl Attestor {
    /// An attestor that knows the children registered in `children`.
    #[must_use]
    pub fn new(children: Children) -> Self {
        let accounts = Accounts::host();
        Self { inner: Arc::new(Inner { children, executables: Executables::default(), accounts }) }
    }

    /// Reads the facts about a peer. Reads files, so it belongs on a thread that may block.
    ///
    /// # Errors
    /// - [`AttestPeerError::Unreadable`]: the peer ended, or the kernel refused to tell.
    /// - [`AttestPeerError::Changed`]: it did not stay the same while it was read.
    pub fn attest(&self, peer: Peer) -> Result<Selectors, AttestPeerError> {
        let Peer { pid, uid, gid, pidfd } = peer;
        let process = Process::pin(pid, pidfd)?;
        let before = process.stat()?;
        let exe = self.inner.executables.of(&process)?;
        let started_as = self.started_as(&process, before)?;

        let same = process.effective_ids()? == (uid, gid)
            && process.stat()?.start_ticks == before.start_ticks
            && executable::state_now(&process)? == exe.state;
        process.check_alive()?;
        if !same {
            return Err(AttestPeerError::Changed { pid });
        }
        Ok(Selectors {
            pid,
            uid,
            gid,
            unix_user: self.inner.accounts.user(uid),
            unix_group: self.inner.accounts.group(gid),
            exe: exe.path,
            exe_sha256: exe.sha256,
            started_as,
        })
    }

    /// Walks from a process up to a registered child. A parent counts only if it still is the parent after it was
    /// read: had it ended, its child would have another one, so its number cannot have been given away.
    fn started_as(
        &self,
        process: &Process,
        stat: Stat,
    ) -> Result<Option<StartedAs>, ReadProcessError> {
        if let Some(found) = self.inner.children.started_as(process.pid()) {
            return Ok(Some(found));
        }
        let mut parent = stat.parent;
        let mut below: Option<Process> = None;
        for _generation in 0..ANCESTORS_MAX {
            if parent <= 1 {
                return Ok(None);
            }
            let found = self.inner.children.started_as(parent);
            let opened = if found.is_none() { Process::open(parent).ok() } else { None };
            let next = opened.as_ref().and_then(|process| process.stat().ok());
            if below.as_ref().unwrap_or(process).stat()?.parent != parent {
                return Ok(None);
            }
            if found.is_some() {
                return Ok(found);
            }
            let (Some(opened), Some(next)) = (opened, next) else { return Ok(None) };
            below = Some(opened);
            parent = next.parent;
        }
        Ok(None)
    }
}

impl From<ReadProcessError> for AttestPeerError {
    fn from(error: ReadProcessError) -> Self {
        Self::Unreadable { reason: crate::reason(&error) }
    }
}

impl From<ReadExecutableError> for AttestPeerError {
    fn from(error: ReadExecutableError) -> Self {
        Self::Unreadable { reason: crate::reason(&error) }
    }
}

#[cfg(test)]
mod tests;
