//! What an attestor saw of a process: the facts from which the server decides an identity.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Digest, Name, SpiffeId, TrustDomain, limits::CertificateTerms, spiffe::WorkloadKind};

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

/// Who may become whom: what the process of each workload must look like. Anything not listed gets no identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueRules {
    /// The fleet's trust domain.
    pub trust_domain: TrustDomain,
    /// One rule per service and gateway, by name.
    pub workloads: BTreeMap<Name, IssueRule>,
}

/// How one workload proves itself and what it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueRule {
    /// Service or gateway.
    pub kind: WorkloadKind,
    /// The identity issued.
    pub id: SpiffeId,
    /// What its process must look like.
    pub selectors: WorkloadSelectors,
    /// Life of its certificates.
    pub certificates: CertificateTerms,
    /// Hosts whose agents may obtain the identity; `None` means every enrolled host.
    pub runs_on: Option<BTreeSet<Name>>,
}

/// The facts a process must show; every fact given must match, and at least one is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadSelectors {
    /// Name of its Unix user.
    pub unix_user: Option<String>,
    /// Name of its Unix group.
    pub unix_group: Option<String>,
    /// SHA-256 of its executable.
    pub exe_sha256: Option<Digest>,
    /// Its systemd unit; no attestor of this build sees one, so it never matches.
    pub systemd_unit: Option<String>,
    /// Its Kubernetes service account; no attestor of this build sees one, so it never matches.
    pub kubernetes: Option<KubernetesAccount>,
}

/// A Kubernetes service account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KubernetesAccount {
    /// The account's namespace.
    pub namespace: String,
    /// The account's name.
    pub service_account: String,
}
