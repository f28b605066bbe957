//! Decides: one question against the policies of one class.

use std::{collections::HashMap, sync::Arc};

use cedar_policy::{Entities, EntityUid, PolicyId, Request, Response};
use ringfort_model::{
    Name,
    snapshot::{PolicySlice, PolicySource},
};

use crate::{
    ParsePolicyError, PolicyRef, Question, VISITOR, Verdict,
    entities::{self, Kinds, uid},
    facts::{self, Needs},
    index::{Group, Index, Member},
    memo::Memo,
    parse,
    scope::{Party, Scope},
};

/// Decides questions about one class. Built once per snapshot, shared by all threads.
#[derive(Debug)]
pub struct Authorizer {
    engine: cedar_policy::Authorizer,
    policies: Vec<KnownPolicy>,
    entities: Entities,
    calls: Index,
    call: EntityUid,
    callers: HashMap<Name, Member>,
    services: HashMap<Name, Member>,
    visits: Index,
    visit: EntityUid,
    visitor: Member,
    routes: HashMap<Name, Member>,
    /// Kept for explanations.
    pub(crate) slice: PolicySlice,
    /// Tells this authorizer from every other.
    identity: Arc<()>,
}

/// A policy of the slice, under its position there.
#[derive(Debug)]
pub(crate) struct KnownPolicy {
    pub(crate) reference: Arc<PolicyRef>,
    pub(crate) scope: Scope,
}

/// Why a slice cannot be enforced.
#[derive(Debug, thiserror::Error)]
pub enum BuildAuthorizerError {
    /// A policy cannot be read.
    #[error("cannot read policy at {place}")]
    Parse {
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        #[source]
        source: ParsePolicyError,
    },
    /// The engine refused a policy that can be read.
    #[error("cannot index policy `{id}`: {reason}")]
    Index {
        /// The policy.
        id: String,
        /// What the engine says.
        reason: String,
    },
    /// The engine refused the entities.
    #[error("cannot build the entities: {reason}")]
    Entities {
        /// What the engine says.
        reason: String,
    },
}

/// Everything that bears on one question; numbers are positions in the slice, in order.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) permits: Vec<usize>,
    pub(crate) forbids: Vec<usize>,
    pub(crate) failures: Vec<(Option<usize>, String)>,
}

/// Who and what a question is about, as the index knows them.
#[derive(Debug)]
struct Parties<'a> {
    index: &'a Index,
    action: &'a EntityUid,
    principal: &'a Member,
    resource: &'a Member,
}

impl Authorizer {
    /// Reads and indexes the policies of a slice.
    ///
    /// # Errors
    /// Some policy cannot be read or indexed. A class whose policies are not all understood is not served at all.
    pub fn new(slice: &PolicySlice) -> Result<Self, BuildAuthorizerError> {
        let kinds = Kinds::new().ok_or_else(|| BuildAuthorizerError::Entities {
            reason: "unknown entity types".to_owned(),
        })?;
        let (mut calls, mut visits) = (Index::default(), Index::default());
        let mut policies = Vec::with_capacity(slice.policies.len());
        for (number, source) in slice.policies.iter().enumerate() {
            let known = insert(&mut calls, &mut visits, number, source)?;
            policies.push(known);
        }
        let callers = slice.workload_labels.iter().enumerate().map(|(number, (name, labels))| {
            let uid = uid(&kinds.workload, name.as_str());
            (name.clone(), calls.principal(number, uid, Party::workload(name, labels)))
        });
        let services = slice.services.iter().enumerate().map(|(number, (name, service))| {
            let uid = uid(&kinds.service, name.as_str());
            (name.clone(), calls.resource(number, uid, Party::service(name, &service.labels)))
        });
        let routes = slice.routes.keys().enumerate().map(|(number, name)| {
            let uid = uid(&kinds.route, name.as_str());
            (name.clone(), visits.resource(number, uid, Party::route(name)))
        });
        Ok(Self {
            engine: cedar_policy::Authorizer::new(),
            policies,
            entities: entities::entities(&kinds, slice)
                .map_err(|reason| BuildAuthorizerError::Entities { reason })?,
            callers: callers.collect(),
            services: services.collect(),
            routes: routes.collect(),
            visitor: visits.principal(0, uid(&kinds.visitor, VISITOR), Party::VISITOR),
            calls,
            call: uid(&kinds.action, "call"),
            visits,
            visit: uid(&kinds.action, "visit"),
            slice: slice.clone(),
            identity: Arc::new(()),
        })
    }

    /// Answers a question. Callers, services and routes that the slice does not know are not permitted anything.
    pub fn decide(&self, question: &Question<'_>) -> Verdict {
        self.verdict(&self.findings(question))
    }

    /// Answers a question like [`Self::decide`], from `memo` where the answer depends on nothing but who calls what.
    pub fn decide_with(&self, memo: &mut Memo, question: &Question<'_>) -> Verdict {
        let Some(parties) = self.parties(question) else { return Verdict::NoPermit };
        let (Question::Call { operation, .. } | Question::Visit { operation, .. }) = *question;
        let is_visit = matches!(question, Question::Visit { .. });
        let key = (is_visit, parties.principal.number, parties.resource.number);
        let known = memo.of(&self.identity).pair(key, || {
            let mut groups = parties.index.candidates(parties.principal, parties.resource);
            groups.all(|group| group.needs.is_settled_by_operation())
        });
        match known {
            Some(answers) => match answers.of(operation) {
                Some(verdict) => verdict.clone(),
                None => {
                    let verdict = self.decide(question);
                    memo.put(key, operation, &verdict);
                    verdict
                }
            },
            None => self.decide(question),
        }
    }

    pub(crate) fn verdict(&self, findings: &Findings) -> Verdict {
        let policy =
            |numbers: &[usize]| numbers.iter().min().and_then(|number| self.policies.get(*number));
        if let Some(known) = policy(&findings.forbids) {
            return Verdict::Forbid { policy: Arc::clone(&known.reference) };
        }
        if let Some((number, reason)) = findings.failures.first() {
            let known = number.and_then(|number| self.policies.get(number));
            let policy = known.map(|known| Arc::clone(&known.reference));
            return Verdict::Failed { policy, reason: reason.clone() };
        }
        match policy(&findings.permits) {
            Some(known) => Verdict::Permit { policy: Arc::clone(&known.reference) },
            None => Verdict::NoPermit,
        }
    }

    /// Every policy that bears on a question.
    pub(crate) fn findings(&self, question: &Question<'_>) -> Findings {
        let mut findings = Findings::default();
        let Some(Parties { index, action, principal, resource }) = self.parties(question) else {
            return findings;
        };
        let mut needs = Needs::NOTHING;
        let mut conditional = false;
        for group in index.candidates(principal, resource) {
            findings.permits.extend_from_slice(&group.permits);
            findings.forbids.extend_from_slice(&group.forbids);
            conditional |= !group.conditional.is_empty();
            needs = needs.and(group.needs);
        }
        if conditional {
            let request = facts::context(question, needs).and_then(|context| {
                let (principal, resource) = (principal.uid.clone(), resource.uid.clone());
                Request::new(principal, action.clone(), resource, context, None)
                    .map_err(|error| error.to_string())
            });
            match request {
                Ok(request) => {
                    let groups = index.candidates(principal, resource);
                    self.evaluate(&request, groups, &mut findings);
                }
                Err(reason) => findings.failures.push((None, reason)),
            }
        }
        findings
    }

    fn parties(&self, question: &Question<'_>) -> Option<Parties<'_>> {
        match *question {
            Question::Call { caller, service, .. } => Some(Parties {
                index: &self.calls,
                action: &self.call,
                principal: self.callers.get(caller)?,
                resource: self.services.get(service)?,
            }),
            Question::Visit { route, .. } => Some(Parties {
                index: &self.visits,
                action: &self.visit,
                principal: &self.visitor,
                resource: self.routes.get(route)?,
            }),
        }
    }

    fn evaluate<'a>(
        &self,
        request: &Request,
        groups: impl Iterator<Item = &'a Group>,
        findings: &mut Findings,
    ) {
        for group in groups.filter(|group| !group.conditional.is_empty()) {
            let response = self.engine.is_authorized(request, &group.conditional, &self.entities);
            self.collect(&response, findings);
        }
    }

    fn collect(&self, response: &Response, findings: &mut Findings) {
        for id in response.diagnostics().reason() {
            match number(id).and_then(|number| Some((number, self.policies.get(number)?))) {
                Some((number, known)) if known.scope.forbids() => findings.forbids.push(number),
                Some((number, _)) => findings.permits.push(number),
                None => findings.failures.push((None, format!("unknown policy `{id}`"))),
            }
        }
        for error in response.diagnostics().errors() {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            findings.failures.push((number(error.policy_id()), error.inner().to_string()));
        }
        findings.failures.sort_unstable();
    }

    /// How many policies a question has the engine evaluate.
    #[cfg(test)]
    pub(crate) fn evaluated(&self, question: &Question<'_>) -> usize {
        let Some(parties) = self.parties(question) else { return 0 };
        let groups = parties.index.candidates(parties.principal, parties.resource);
        groups.map(|group| group.conditional.num_of_policies()).sum()
    }

    pub(crate) fn policy(&self, number: usize) -> Option<(&KnownPolicy, &PolicySource)> {
        Some((self.policies.get(number)?, self.slice.policies.get(number)?))
    }

    pub(crate) fn policies(&self) -> impl Iterator<Item = (&KnownPolicy, &PolicySource)> {
        self.policies.iter().zip(&self.slice.policies)
    }
}

fn insert(
    calls: &mut Index,
    visits: &mut Index,
    number: usize,
    source: &PolicySource,
) -> Result<KnownPolicy, BuildAuthorizerError> {
    let policy = parse::policy(&source.id, &source.text).map_err(|error| {
        BuildAuthorizerError::Parse { place: source.place.to_string(), source: error }
    })?;
    // Inside the engine a policy's id is its position: found without a search, and unique whatever the files say.
    let policy = policy.new_id(PolicyId::new(number.to_string()));
    let scope = Scope::of_policy(&policy);
    let refused = |reason| BuildAuthorizerError::Index { id: source.id.clone(), reason };
    if scope.covers_action("call") {
        let kinds = ("Workload", "Service");
        calls.insert(number, (&scope, &policy, &source.text), kinds).map_err(refused)?;
    }
    if scope.covers_action("visit") {
        let kinds = ("Visitor", "Route");
        visits.insert(number, (&scope, &policy, &source.text), kinds).map_err(refused)?;
    }
    let reference = PolicyRef { id: source.id.clone(), place: source.place.clone() };
    Ok(KnownPolicy { reference: Arc::new(reference), scope })
}

fn number(id: &PolicyId) -> Option<usize> {
    AsRef::<str>::as_ref(id).parse().ok()
}

#[cfg(test)]
mod tests;
