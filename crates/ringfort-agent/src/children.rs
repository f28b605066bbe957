//! Which processes of this host were started by the supervisor, and as what.
//!
//! # Invariants
//! A child is registered from before it can be asked about until before its number can be given away: its entry is
//! removed while it is still a zombie, so a number found here is that child's and nobody else's.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ringfort_model::selectors::StartedAs;

/// The children of this process that stand for a workload; clones share one list.
#[derive(Debug, Clone, Default)]
pub struct Children {
    by_pid: Arc<Mutex<BTreeMap<u32, StartedAs>>>,
}

/// Keeps one child registered; dropping it ends that, which must happen before the child is collected.
#[must_use = "the child is registered as long as this lives"]
#[derive(Debug)]
pub struct Registration {
    children: Children,
    pid: u32,
}

impl Children {
    /// No children yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a child and registers it before anyone can ask about it: questions wait until both is done.
    ///
    /// # Errors
    /// What `start` fails with; nothing is registered then.
    pub fn start<T, E>(
        &self,
        started_as: StartedAs,
        start: impl FnOnce() -> Result<(u32, T), E>,
    ) -> Result<(Registration, T), E> {
        let mut by_pid = self.lock();
        let (pid, started) = start()?;
        by_pid.insert(pid, started_as);
        Ok((Registration { children: self.clone(), pid }, started))
    }

    /// What the process with this number was started as; `None` for everyone else's processes.
    #[must_use]
    pub fn started_as(&self, pid: u32) -> Option<StartedAs> {
        self.lock().get(&pid).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, StartedAs>> {
        self.by_pid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.children.lock().remove(&self.pid);
    }
}
