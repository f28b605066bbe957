//! What an attestor saw of a process: the facts from which the server decides an identity.

use crate::{Digest, Name};

/// Facts about the process at the other end of a local socket, read from the kernel, never from the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selectors {
    /// Process id at the time of attestation, pinned by a pidfd while the facts were read.
    pub pid: u32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Name of the user, when the host knows one.
    pub unix_user: Option<String>,
    /// Name of the group, when the host knows one.
    pub unix_group: Option<String>,
    /// Path of the executable.
    pub exe: String,
    /// SHA-256 of the executable's bytes.
    pub exe_sha256: Digest,
    /// The workload this process was started for, when the agent itself started it (or an ancestor of it).
    pub started_as: Option<StartedAs>,
}

/// What the agent started a process as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedAs {
    /// The service or gateway it was started for.
    pub workload: Name,
    /// Whether it is the workload's program or its proxy.
    pub part: Part,
}

/// Which half of a workload a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The program that does the service's work.
    Program,
    /// The gateway or sidecar in front of it.
    Proxy,
}
