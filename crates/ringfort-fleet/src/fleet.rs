//! A fleet that passed every check.

use std::collections::{BTreeMap, BTreeSet};

use ringfort_model::{TrustDomain, snapshot::PolicySource};
use ringfort_policy::{SchemaNames, Scope};

use crate::{check::Deadline, document::Document, problem::Problem, source::Sources};

/// A fleet without errors: what is written in it can be compiled.
#[derive(Debug)]
pub struct Fleet {
    pub(crate) document: Document,
    pub(crate) sources: Sources,
    pub(crate) policies: Vec<WrittenPolicy>,
    pub(crate) names: SchemaNames,
    /// Contents of the certificate chains that listeners name, by path.
    pub(crate) chains: BTreeMap<String, String>,
    pub(crate) demands: Vec<Problem>,
    pub(crate) files: BTreeSet<String>,
    pub(crate) deadlines: Vec<Deadline>,
}

/// A policy of a `.cedar` file and what its head says.
#[derive(Debug)]
pub(crate) struct WrittenPolicy {
    pub(crate) source: PolicySource,
    pub(crate) scope: Scope,
}

impl Fleet {
    /// What is written and cannot be enforced by this build, each with its place; `up` and `apply` refuse such a fleet.
    #[must_use]
    pub fn unbuilt_demands(&self) -> &[Problem] {
        &self.demands
    }

    /// The files the fleet consists of: its documents, its policies and everything they refer to.
    #[must_use]
    pub const fn files(&self) -> &BTreeSet<String> {
        &self.files
    }

    /// The trust domain of every identity.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.document.trust_domain
    }

    /// The names policies may mention and the graph they act in.
    #[must_use]
    pub const fn schema_names(&self) -> &SchemaNames {
        &self.names
    }
}
