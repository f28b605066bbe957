//! What the table cannot say: how the parts of a fleet relate to each other.
//!
//! Every rule reports all its findings; none changes anything. What weakens protection is an error, never a warning.

mod addresses;
mod dates;
mod gateways;
mod graph;
mod load;
mod policies;
mod routes;
mod users;
mod workloads;

use std::collections::BTreeMap;

pub(crate) use dates::Deadline;
pub(crate) use policies::Policies;

use crate::{document::Document, folder::Folder, problem::Problems, yaml::Node};

/// All rules over one fleet.
pub(crate) struct Checker<'c, 's> {
    pub(crate) root: &'c Node,
    pub(crate) document: &'c Document,
    pub(crate) folder: &'c Folder<'c>,
    pub(crate) problems: &'c mut Problems<'s>,
    /// Whether every item could be read; rules about what is absent wait until then.
    pub(crate) is_complete: bool,
}

/// What the rules found besides problems.
pub(crate) struct Found {
    /// The policies and the names they may mention.
    pub(crate) policies: Policies,
    /// Certificate chains in PEM, by path.
    pub(crate) chains: BTreeMap<String, String>,
    /// Dates that end something.
    pub(crate) deadlines: Vec<Deadline>,
}

impl<'c, 's> Checker<'c, 's> {
    pub(crate) const fn new(
        root: &'c Node,
        document: &'c Document,
        folder: &'c Folder<'c>,
        problems: &'c mut Problems<'s>,
        is_complete: bool,
    ) -> Self {
        Self { root, document, folder, problems, is_complete }
    }

    pub(crate) fn run(&mut self) -> Found {
        self.graph();
        self.workloads();
        self.addresses();
        let chains = self.gateways();
        self.routes();
        self.users();
        self.load();
        let deadlines = self.deadlines();
        let policies = self.policies();
        Found { policies, chains, deadlines }
    }

    /// The entries of a top-level section, or of a section inside one.
    fn section(&self, path: &[&str]) -> Option<&'c Node> {
        path.iter().try_fold(self.root, |node, key| node.entry(key).map(|entry| &entry.value))
    }
}
