//! Why a question was answered as it was, and the smallest change that would have permitted it.
//!
//! For operators only: never shown to the caller. A suggestion is tried on the policies concerned before it is made.

use std::fmt;

use ringfort_model::{
    Name, PathPattern,
    path::Segment,
    snapshot::{Place, PolicySlice, PolicySource, Protocol},
};

use crate::{
    Authorizer, HttpFacts, PolicyRef, Question, Verdict,
    authorizer::{Findings, KnownPolicy},
    generated::{call_scope, quoted, visit_scope},
};

/// Why a verdict came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The verdict, as [`Authorizer::decide`] gives it.
    pub verdict: Verdict,
    /// The policies that made it: the permits, or the forbids, or those that failed.
    pub determining: Vec<PolicyRef>,
    /// Permits for this caller and resource whose conditions did not hold.
    pub unmet: Vec<PolicyRef>,
    /// The smallest change that permits this and, as far as policies can tell requests apart, nothing else.
    pub nearest: Option<Change>,
}

/// A change of the fleet's files, as a list of edits that are made together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The edits; never empty.
    pub edits: Vec<Edit>,
}

/// One edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Adds an operation to the `only` list of a `calls:` entry.
    AddOperation {
        /// The permit that the entry generated.
        policy: PolicyRef,
        /// The operation as the fleet file writes it.
        operation: String,
    },
    /// Adds a service to the `calls` of a workload that has no such edge.
    AddCall {
        /// The workload.
        caller: Name,
        /// The service.
        service: Name,
    },
    /// Adds a policy to a `.cedar` file.
    AddPermit {
        /// Its text.
        text: String,
    },
    /// Puts an exception in front of the final `;` of a forbid.
    AddException {
        /// The forbid.
        policy: PolicyRef,
        /// The `unless` clause.
        text: String,
    },
}

impl Authorizer {
    /// Explains the answer to a question. Reads every policy: not for the request path.
    #[must_use]
    pub fn explain(&self, question: &Question<'_>) -> Explanation {
        let findings = self.findings(question);
        let verdict = self.verdict(&findings);
        let numbers: Vec<usize> = match &verdict {
            Verdict::Permit { .. } => findings.permits.clone(),
            Verdict::Forbid { .. } => findings.forbids.clone(),
            Verdict::Failed { .. } => {
                findings.failures.iter().filter_map(|(number, _)| *number).collect()
            }
            Verdict::NoPermit => Vec::new(),
        };
        let mut determining = self.references(&numbers);
        determining.sort();
        let nearest = self
            .change(question, &findings, &verdict)
            .filter(|change| self.would_permit(question, change));
        Explanation { unmet: self.unmet(question, &findings), verdict, determining, nearest }
    }

    fn references(&self, numbers: &[usize]) -> Vec<PolicyRef> {
        let policy = |number: &usize| Some(PolicyRef::clone(&self.policy(*number)?.0.reference));
        numbers.iter().filter_map(policy).collect()
    }

    fn unmet(&self, question: &Question<'_>, findings: &Findings) -> Vec<PolicyRef> {
        self.policies()
            .enumerate()
            .filter(|(number, (known, _))| {
                !known.scope.forbids()
                    && self.covers(known, question)
                    && !findings.permits.contains(number)
                    && !findings.failures.iter().any(|(failed, _)| *failed == Some(*number))
            })
            .map(|(_, (known, _))| PolicyRef::clone(&known.reference))
            .collect()
    }

    /// Whether the head of a policy covers the question.
    fn covers(&self, known: &KnownPolicy, question: &Question<'_>) -> bool {
        match *question {
            Question::Call { caller, service, .. } => {
                let Some(labels) = self.slice.workload_labels.get(caller) else { return false };
                let Some(callee) = self.slice.services.get(service) else { return false };
                known.scope.covers_call((caller, labels), (service, &callee.labels))
            }
            Question::Visit { route, .. } => {
                self.slice.routes.contains_key(route) && known.scope.covers_visit(route)
            }
        }
    }

    fn change(
        &self,
        question: &Question<'_>,
        findings: &Findings,
        verdict: &Verdict,
    ) -> Option<Change> {
        match verdict {
            Verdict::Permit { .. } | Verdict::Failed { .. } => return None,
            Verdict::Forbid { .. } if !findings.failures.is_empty() => return None,
            Verdict::Forbid { .. } | Verdict::NoPermit => {}
        }
        let mut edits = Vec::new();
        for policy in self.references(&findings.forbids) {
            edits.push(Edit::AddException { policy, text: exception(question) });
        }
        let is_permitted = !findings.permits.is_empty();
        if !is_permitted {
            edits.push(self.permission(question)?);
        }
        Some(Change { edits })
    }

    /// The edit that adds the missing permission.
    fn permission(&self, question: &Question<'_>) -> Option<Edit> {
        let Question::Call { caller, service, operation, http } = *question else {
            let Question::Visit { route, .. } = *question else { return None };
            self.slice.routes.get(route)?;
            return Some(Edit::AddPermit { text: permit(question) });
        };
        let callee = self.slice.services.get(service);
        let Some(callee) = callee.filter(|_| self.slice.workload_labels.contains_key(caller))
        else {
            return Some(Edit::AddCall { caller: caller.clone(), service: service.clone() });
        };
        let named = operation.map(str::to_owned).or_else(|| spelled(callee.protocol, http?));
        let limited = self.policies().find(|(known, source)| {
            source.generated && !known.scope.forbids() && self.covers(known, question)
        });
        match limited.zip(named) {
            Some(((known, _), operation)) => {
                Some(Edit::AddOperation { policy: PolicyRef::clone(&known.reference), operation })
            }
            None => Some(Edit::AddPermit { text: permit(question) }),
        }
    }

    /// Tries a change on the policies that concern the question.
    fn would_permit(&self, question: &Question<'_>, change: &Change) -> bool {
        let mut question = *question;
        for edit in &change.edits {
            match (edit, &mut question) {
                // Outside the graph there is no policy to try.
                (Edit::AddCall { .. }, _) => return true,
                (
                    Edit::AddOperation { operation: added, .. },
                    Question::Call { operation, .. } | Question::Visit { operation, .. },
                ) => *operation = Some(added),
                (Edit::AddPermit { .. } | Edit::AddException { .. }, _) => {}
            }
        }
        let concerned = self.policies().filter(|(known, _)| self.covers(known, &question));
        let policies = concerned.map(|(_, source)| source.clone()).collect();
        let slice = PolicySlice { policies, ..self.slice.clone() };
        Self::new(&change.applied_to(&slice))
            .is_ok_and(|changed| changed.decide(&question).is_permit())
    }
}

impl Change {
    /// The policies after the change. Edits of the graph change no policy of the slice.
    #[must_use]
    pub fn applied_to(&self, slice: &PolicySlice) -> PolicySlice {
        let mut slice = slice.clone();
        for edit in &self.edits {
            match edit {
                Edit::AddCall { .. } => {}
                Edit::AddPermit { text } => slice.policies.push(PolicySource {
                    id: format!("suggestion-{}", slice.policies.len()),
                    text: text.clone(),
                    place: Place { file: "suggestion.cedar".to_owned(), line: 1 },
                    generated: false,
                }),
                Edit::AddOperation { policy, operation } => {
                    rewrite(&mut slice, policy, |text| with_operation(text, operation));
                }
                Edit::AddException { policy, text: exception } => {
                    rewrite(&mut slice, policy, |text| {
                        Some(format!("{}\n{exception};", text.trim_end().strip_suffix(';')?))
                    });
                }
            }
        }
        slice
    }
}

fn rewrite(slice: &mut PolicySlice, policy: &PolicyRef, edit: impl Fn(&str) -> Option<String>) {
    let is_meant =
        |source: &&mut PolicySource| source.id == policy.id && source.place == policy.place;
    for source in slice.policies.iter_mut().filter(is_meant) {
        if let Some(text) = edit(&source.text) {
            source.text = text;
        }
    }
}

/// Adds an operation to the list that `generated::call_permit` writes.
fn with_operation(text: &str, operation: &str) -> Option<String> {
    const LIST_END: &str = "].contains(context.operation)";
    let (front, back) = text.rsplit_once(LIST_END)?;
    Some(format!("{front}, {}{LIST_END}{back}", quoted(operation)))
}

/// The operation that covers this request alone, as the fleet file would write it.
fn spelled(protocol: Protocol, http: HttpFacts<'_>) -> Option<String> {
    if protocol == Protocol::Grpc {
        let (service, method) = http.path.strip_prefix('/')?.split_once('/')?;
        return (!method.contains('/')).then(|| format!("{service}/{method}"));
    }
    let pattern: PathPattern = http.path.parse().ok()?;
    let exact = |segment: &Segment| matches!(segment, Segment::Exact(_));
    let alone = !pattern.is_subtree() && pattern.segments().iter().all(exact);
    alone.then(|| format!("{} {pattern}", http.method))
}

/// A permit for exactly this question.
fn permit(question: &Question<'_>) -> String {
    let scope = match *question {
        Question::Call { caller, service, .. } => call_scope(caller, service),
        Question::Visit { route, .. } => visit_scope(route),
    };
    let conditions = conditions(question);
    if conditions.is_empty() {
        return format!("permit ({scope});");
    }
    format!("permit ({scope})\nwhen {{ {} }};", conditions.join(" && "))
}

/// An `unless` clause for exactly this question.
fn exception(question: &Question<'_>) -> String {
    let mut parts = match *question {
        Question::Call { caller, service, .. } => vec![
            "action == Action::\"call\"".to_owned(),
            format!("principal == Workload::{}", quoted(caller.as_str())),
            format!("resource == Service::{}", quoted(service.as_str())),
        ],
        Question::Visit { route, .. } => vec![
            "action == Action::\"visit\"".to_owned(),
            format!("resource == Route::{}", quoted(route.as_str())),
        ],
    };
    parts.append(&mut conditions(question));
    format!("unless {{ {} }}", parts.join(" && "))
}

/// What tells the request from others between the same two: method and path if it has them, else its operation.
fn conditions(question: &Question<'_>) -> Vec<String> {
    let (operation, http) = match *question {
        Question::Call { operation, http, .. } => (operation, http),
        Question::Visit { operation, http, .. } => (operation, Some(http)),
    };
    if let Some(http) = http {
        return vec![
            "context has http".to_owned(),
            format!("context.http.method == {}", quoted(http.method)),
            format!("context.http.path == {}", quoted(http.path)),
        ];
    }
    let Some(operation) = operation else { return Vec::new() };
    let equal = format!("context.operation == {}", quoted(operation));
    vec!["context has operation".to_owned(), equal]
}

impl Edit {
    /// The line the edit is made at; `None` for a new policy or edge.
    #[must_use]
    pub const fn place(&self) -> Option<&Place> {
        match self {
            Self::AddOperation { policy, .. } | Self::AddException { policy, .. } => {
                Some(&policy.place)
            }
            Self::AddCall { .. } | Self::AddPermit { .. } => None,
        }
    }

    /// Exactly what is added.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::AddOperation { operation, .. } => operation,
            Self::AddCall { service, .. } => service.as_str(),
            Self::AddPermit { text } | Self::AddException { text, .. } => text,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, edit) in self.edits.iter().enumerate() {
            if index > 0 {
                f.write_str("; and ")?;
            }
            edit.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddOperation { policy, operation } => {
                write!(f, "add `{operation}` to `only` at {}", policy.place)
            }
            Self::AddCall { caller, service } => {
                write!(f, "add `{service}` to `calls` of `{caller}`")
            }
            Self::AddPermit { text } => write!(f, "add the policy `{text}`"),
            Self::AddException { policy, text } => {
                write!(f, "add `{text}` to the forbid at {}", policy.place)
            }
        }
    }
}

#[cfg(test)]
mod tests;
