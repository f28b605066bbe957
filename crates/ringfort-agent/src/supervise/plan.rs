//! What runs on this host, and what one plan changes against another. Pure.

use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf, time::Duration};

use ringfort_model::{Name, selectors::Part};

/// What a child is for. The order is the order in which children stop: what lets requests in goes first, what hands
/// out identities goes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A gateway.
    Gateway,
    /// A service's own proxy.
    Sidecar,
    /// A service's program.
    Program,
    /// The control plane.
    Server,
}

/// One child among all: a service's program and its sidecar share the name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChildKey {
    /// What it is for.
    pub role: Role,
    /// The service or gateway; for the control plane a name of the caller's choice.
    pub name: Name,
}

/// How to run one child. Two equal specs are the same child: nothing is restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildSpec {
    /// Which child.
    pub key: ChildKey,
    /// The program; no shell reads it.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its whole environment; nothing is inherited.
    pub env: BTreeMap<OsString, OsString>,
    /// Its working directory; the supervisor's own when `None`.
    pub dir: Option<PathBuf>,
    /// Its user and group; the supervisor's own when `None`.
    pub user: Option<UserIds>,
    /// A socket that answers `GET /healthz` with 200 once the child serves; without one it is ready when started.
    pub ready_socket: Option<PathBuf>,
    /// From the request to end until it is ended by force.
    pub grace: Duration,
}

/// A user and group to run as; supplementary groups are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserIds {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// A plan that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetPlanError {
    /// Two children have the same role and name.
    #[error("`{key}` is planned twice")]
    Duplicate {
        /// The child.
        key: ChildKey,
    },
    /// The supervisor is stopping or has stopped.
    #[error("the supervisor is shutting down")]
    ShuttingDown,
}

/// What leads from one plan to another.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Children to stop, in the order of [`Role`]: removed ones and the old form of changed ones.
    pub(super) stop: Vec<ChildKey>,
    /// Children to start once those are gone.
    pub(super) start: Vec<ChildSpec>,
}

impl Role {
    /// All roles, in the order in which they stop.
    pub const STOP_ORDER: [Self; 4] = [Self::Gateway, Self::Sidecar, Self::Program, Self::Server];

    /// What a child of this role is attested as; the control plane is no workload.
    #[must_use]
    pub const fn part(self) -> Option<Part> {
        match self {
            Self::Gateway | Self::Sidecar => Some(Part::Proxy),
            Self::Program => Some(Part::Program),
            Self::Server => None,
        }
    }
}

impl fmt::Display for ChildKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Role::Gateway | Role::Program | Role::Server => fmt::Display::fmt(&self.name, f),
            Role::Sidecar => write!(f, "{}/proxy", self.name),
        }
    }
}

/// Turns a list into a plan.
pub(super) fn plan_of(
    specs: Vec<ChildSpec>,
) -> Result<BTreeMap<ChildKey, ChildSpec>, SetPlanError> {
    let mut plan = BTreeMap::new();
    for spec in specs {
        if plan.contains_key(&spec.key) {
            return Err(SetPlanError::Duplicate { key: spec.key });
        }
        plan.insert(spec.key.clone(), spec);
    }
    Ok(plan)
}

/// Tells what to stop and start so that `new` runs where `old` ran.
pub(super) fn change(
    old: &BTreeMap<ChildKey, ChildSpec>,
    new: &BTreeMap<ChildKey, ChildSpec>,
) -> Change {
    let stop = old.iter().filter(|(key, spec)| new.get(*key) != Some(*spec));
    let start = new.iter().filter(|(key, spec)| old.get(*key) != Some(*spec));
    Change {
        stop: stop.map(|(key, _spec)| key.clone()).collect(),
        start: start.map(|(_key, spec)| spec.clone()).collect(),
    }
}

#[cfg(test)]
mod tests;
