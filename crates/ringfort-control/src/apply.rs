//! Apply: every class is compiled before the revision exists; a fleet with one fault changes nothing.

use std::{collections::BTreeMap, sync::Arc};

use ringfort_fleet::{FleetFile, Problem, render};
use ringfort_model::{Digest, Digester, Revision, SpiffeId, WallTime, selectors::IssueRules};
use ringfort_policy::{Authorizer, BuildAuthorizerError};
use ringfort_store::{Apply, ApplyRevisionError, ClassState, Files, RevisionRecord, files_digest};
use ringfort_wire::v1;

use crate::{
    authority::KeepKeysError,
    manifest::{ClassContent, OversizeError, SealedClass},
    server::Server,
    world::InForce,
};

/// Longest author and message in bytes.
const NOTE_BYTES_MAX: usize = 1024;

/// A fleet that compiles, for every class.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) rules: IssueRules,
    pub(crate) contents: BTreeMap<SpiffeId, ClassContent>,
    pub(crate) warnings: Vec<Problem>,
}

/// Why a folder cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareFleetError {
    /// The folder has faults; nothing else was looked at.
    #[error("the fleet has errors")]
    Problems(Vec<Problem>),
    /// The compiled policies of a class cannot be evaluated.
    #[error("the policies of class `{class}` cannot be evaluated")]
    Policies {
        class: SpiffeId,
        #[source]
        source: BuildAuthorizerError,
    },
    /// A resource does not fit the control link.
    #[error(transparent)]
    Oversize(#[from] OversizeError),
}

/// Why nothing was applied, beside faults of the folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyFleetError {
    /// Author or message are too long.
    #[error("author and message have at most {NOTE_BYTES_MAX} bytes each")]
    Note,
    /// The compiler stopped.
    #[error("the fleet could not be compiled")]
    Compiler(#[source] tokio::task::JoinError),
    /// The fleet cannot be put in force.
    #[error(transparent)]
    Prepare(#[from] PrepareFleetError),
    /// The keys of its trust domain cannot be used.
    #[error("the keys of the trust domain cannot be used")]
    Keys(#[source] KeepKeysError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] ApplyRevisionError),
}

/// What an apply did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) record: RevisionRecord,
    pub(crate) unchanged: bool,
    pub(crate) changed: Vec<SpiffeId>,
    pub(crate) warnings: Vec<Problem>,
}

/// What an operator hands in.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) files: Files,
    pub(crate) base: Option<Revision>,
    pub(crate) author: String,
    pub(crate) message: String,
}

/// Checks and compiles a folder for every class.
///
/// # Errors
/// [`PrepareFleetError`]: the folder must not be put in force.
pub(crate) fn prepare(
    files: &Files,
    revision: Revision,
    digester: &dyn Digester,
) -> Result<Prepared, PrepareFleetError> {
    let list: Vec<FleetFile> = files
        .iter()
        .map(|(path, bytes)| FleetFile { path: path.clone(), bytes: bytes.clone() })
        .collect();
    let loaded = ringfort_fleet::load(&list);
    let Some(fleet) = loaded.fleet else {
        return Err(PrepareFleetError::Problems(loaded.problems));
    };
    if !fleet.unbuilt_demands().is_empty() {
        let mut problems = loaded.problems;
        problems.extend_from_slice(fleet.unbuilt_demands());
        return Err(PrepareFleetError::Problems(problems));
    }
    let compiled = fleet.compile(revision);
    let mut contents = BTreeMap::new();
    for (class, snapshot) in compiled.snapshots {
        if let Err(source) = Authorizer::new(&snapshot.policies) {
            return Err(PrepareFleetError::Policies { class, source });
        }
        contents.insert(class, ClassContent::new(snapshot, digester)?);
    }
    Ok(Prepared { rules: compiled.issue_rules, contents, warnings: loaded.problems })
}

impl Server {
    /// Makes a folder the head revision, or changes nothing.
    ///
    /// # Errors
    /// [`ApplyFleetError`]: nothing was changed.
    pub(crate) async fn apply(&self, order: Order) -> Result<Outcome, ApplyFleetError> {
        if order.author.len() > NOTE_BYTES_MAX || order.message.len() > NOTE_BYTES_MAX {
            return Err(ApplyFleetError::Note);
        }
        let _turn = self.applying.lock().await;
        let world = self.world();
        let store = &self.keys.store;
        let head = store.head().await.map_err(ApplyRevisionError::Query)?;
        let head_revision = head.as_ref().map_or(Revision::NONE, |head| head.record.revision);
        if let Some(base) = order.base.filter(|base| *base != head_revision) {
            let author = head.map(|head| head.record.author).unwrap_or_default();
            let refusal = ApplyRevisionError::Base { base, head: head_revision, author };
            return Err(refusal.into());
        }
        let digester = Arc::clone(&self.keys.digester);
        let is_head = |record: &RevisionRecord| {
            record.digest == files_digest(&order.files, digester.as_ref())
        };
        if let (Some(head), Some(_in_force)) = (&head, &world.in_force)
            && is_head(&head.record)
        {
            let record = head.record.clone();
            let warnings = Vec::new();
            return Ok(Outcome { record, unchanged: true, changed: Vec::new(), warnings });
        }
        let next = Revision::new(head_revision.number().saturating_add(1));
        let files = Arc::new(order.files);
        let prepared = self.prepare(Arc::clone(&files), next).await?;
        self.hold_authority(&prepared.rules.trust_domain).await.map_err(ApplyFleetError::Keys)?;

        let at = self.keys.clock.now();
        let states = store.classes().await.map_err(ApplyRevisionError::Query)?;
        let (changed, removed) = class_changes(&states, &prepared.contents);
        let record = store
            .apply(Apply {
                files: &files,
                author: &order.author,
                message: &order.message,
                base: head_revision,
                at,
                changed: &changed,
                removed: &removed,
            })
            .await?;
        let warnings = prepared.warnings.clone();
        self.put_in_force(prepared, record.clone(), &states)
            .await
            .map_err(ApplyFleetError::Keys)?;
        let changed = changed.into_iter().map(|(class, _digest)| class).collect();
        Ok(Outcome { record, unchanged: false, changed, warnings })
    }

    async fn prepare(
        &self,
        files: Arc<Files>,
        revision: Revision,
    ) -> Result<Prepared, ApplyFleetError> {
        let digester = Arc::clone(&self.keys.digester);
        // One at a time: the caller holds the lock of applies.
        let work = move || prepare(&files, revision, digester.as_ref());
        let done = self.tracker.spawn_blocking(work).await.map_err(ApplyFleetError::Compiler)?;
        Ok(done?)
    }
}

/// Which classes a compiled fleet changes and removes.
fn class_changes(
    states: &[ClassState],
    contents: &BTreeMap<SpiffeId, ClassContent>,
) -> (Vec<(SpiffeId, Digest)>, Vec<SpiffeId>) {
    let known: BTreeMap<&SpiffeId, &Digest> =
        states.iter().map(|state| (&state.class, &state.digest)).collect();
    let changed = contents
        .iter()
        .filter(|(class, content)| known.get(class) != Some(&&content.digest))
        .map(|(class, content)| (class.clone(), content.digest))
        .collect();
    let removed =
        known.into_keys().filter(|class| !contents.contains_key(*class)).cloned().collect();
    (changed, removed)
}

/// Seals every class: with the revision and time that last changed it, so that a restart gives the same bytes.
pub(crate) fn seal(
    prepared: Prepared,
    record: RevisionRecord,
    states: &[ClassState],
    server: &Server,
) -> InForce {
    let known: BTreeMap<&SpiffeId, &ClassState> =
        states.iter().map(|state| (&state.class, state)).collect();
    let sealed = |(class, content): (SpiffeId, ClassContent)| -> (SpiffeId, SealedClass) {
        let state = known.get(&class).filter(|state| state.digest == content.digest);
        let (revision, signed_at): (Revision, WallTime) = state
            .map_or((record.revision, record.applied_at), |state| {
                (state.revision, state.signed_at)
            });
        let digester = server.keys.digester.as_ref();
        (class, content.seal(revision, signed_at, &server.config_key, digester))
    };
    let classes = prepared.contents.into_iter().map(sealed).collect();
    InForce { record, rules: prepared.rules, classes }
}

/// The answer to an operator.
pub(crate) fn rejected(problems: &[Problem]) -> v1::Rejected {
    let (errors, warnings) = render::count(problems);
    v1::Rejected {
        errors: u32::try_from(errors).unwrap_or(u32::MAX),
        warnings: u32::try_from(warnings).unwrap_or(u32::MAX),
        text: render::text(problems, false),
        json: render::json(problems).to_string(),
    }
}
