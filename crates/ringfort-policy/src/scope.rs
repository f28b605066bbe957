//! Which questions a policy can apply to, read from its head alone.
//!
//! The head is decided completely: what [`Scope`] says no to, Cedar would say no to as well. Conditions are not read.

use cedar_policy::{
    ActionConstraint, Effect, EntityTypeName, EntityUid, Policy, PrincipalConstraint,
    ResourceConstraint,
};
use ringfort_model::{Label, Name, snapshot::PolicySource};

use crate::{ParsePolicyError, VISITOR, parse, parse::type_name};

/// The head of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    forbids: bool,
    actions: Option<Vec<String>>,
    principal: Constraint,
    resource: Constraint,
}

/// What the head demands of principal or resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Constraint {
    kind: Option<String>,
    entity: Option<Entity>,
}

/// One entity the head names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Entity {
    pub(crate) kind: String,
    pub(crate) id: String,
    /// `in`: members count, too. `==`: only the entity itself.
    pub(crate) members: bool,
}

/// A principal or resource of a question: its type, its name and the labels it is in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Party<'a> {
    pub(crate) kind: &'static str,
    pub(crate) id: &'a str,
    pub(crate) labels: &'a [Label],
}

impl Scope {
    /// Reads the head of a policy.
    ///
    /// # Errors
    /// The text is not exactly one policy within the limits.
    pub fn of(source: &PolicySource) -> Result<Self, ParsePolicyError> {
        Ok(Self::of_policy(&parse::policy(&source.id, &source.text)?))
    }

    pub(crate) fn of_policy(policy: &Policy) -> Self {
        Self {
            forbids: policy.effect() == Effect::Forbid,
            actions: match policy.action_constraint() {
                ActionConstraint::Any => None,
                ActionConstraint::Eq(action) => Some(vec![action.id().unescaped().to_owned()]),
                ActionConstraint::In(actions) => {
                    Some(actions.iter().map(|action| action.id().unescaped().to_owned()).collect())
                }
            },
            principal: match policy.principal_constraint() {
                PrincipalConstraint::Any => Constraint::new(None, None),
                PrincipalConstraint::In(uid) => Constraint::new(None, Some((uid, true))),
                PrincipalConstraint::Eq(uid) => Constraint::new(None, Some((uid, false))),
                PrincipalConstraint::Is(kind) => Constraint::new(Some(kind), None),
                PrincipalConstraint::IsIn(kind, uid) => {
                    Constraint::new(Some(kind), Some((uid, true)))
                }
            },
            resource: match policy.resource_constraint() {
                ResourceConstraint::Any => Constraint::new(None, None),
                ResourceConstraint::In(uid) => Constraint::new(None, Some((uid, true))),
                ResourceConstraint::Eq(uid) => Constraint::new(None, Some((uid, false))),
                ResourceConstraint::Is(kind) => Constraint::new(Some(kind), None),
                ResourceConstraint::IsIn(kind, uid) => {
                    Constraint::new(Some(kind), Some((uid, true)))
                }
            },
        }
    }

    /// Whether the policy forbids instead of permitting.
    #[must_use]
    pub const fn forbids(&self) -> bool {
        self.forbids
    }

    /// Whether the policy may have a say when `caller` calls `service`.
    #[must_use]
    pub fn covers_call(
        &self,
        (caller, caller_labels): (&Name, &[Label]),
        (service, service_labels): (&Name, &[Label]),
    ) -> bool {
        self.covers_action("call")
            && self.principal.admits(Party::workload(caller, caller_labels))
            && self.resource.admits(Party::service(service, service_labels))
    }

    /// Whether the policy may have a say when anybody at all calls `service`.
    #[must_use]
    pub fn covers_callee(&self, service: &Name, labels: &[Label]) -> bool {
        self.covers_action("call")
            && self.principal.may_admit("Workload")
            && self.resource.admits(Party::service(service, labels))
    }

    /// Whether the policy may have a say when anybody visits `route`.
    #[must_use]
    pub fn covers_visit(&self, route: &Name) -> bool {
        self.covers_action("visit")
            && self.principal.admits(Party::VISITOR)
            && self.resource.admits(Party::route(route))
    }

    /// Whether the policy may have a say when a user or client invokes `route`.
    #[must_use]
    pub fn covers_invoke(&self, route: &Name) -> bool {
        self.covers_action("invoke")
            && ["User", "Client"].iter().any(|kind| self.principal.may_admit(kind))
            && self.resource.admits(Party::route(route))
    }

    /// Whether the policy is about operating the fleet itself.
    #[must_use]
    pub fn covers_fleet(&self) -> bool {
        let requests = |action: &String| !matches!(action.as_str(), "call" | "visit" | "invoke");
        self.actions.as_ref().is_none_or(|actions| actions.iter().any(requests))
            && self.principal.may_admit("User")
            && self.resource.may_admit("Fleet")
    }

    pub(crate) fn covers_action(&self, action: &str) -> bool {
        self.actions.as_ref().is_none_or(|actions| actions.iter().any(|known| known == action))
    }

    pub(crate) const fn principal(&self) -> &Constraint {
        &self.principal
    }

    pub(crate) const fn resource(&self) -> &Constraint {
        &self.resource
    }
}

impl Constraint {
    fn new(kind: Option<EntityTypeName>, entity: Option<(EntityUid, bool)>) -> Self {
        let entity = entity.map(|(uid, members)| Entity {
            kind: type_name(uid.type_name()),
            id: uid.id().unescaped().to_owned(),
            members,
        });
        Self { kind: kind.map(|kind| type_name(&kind)), entity }
    }

    /// Whether this very party is meant.
    pub(crate) fn admits(&self, party: Party<'_>) -> bool {
        self.is_kind(party.kind)
            && self.entity.as_ref().is_none_or(|entity| {
                (entity.kind == party.kind && entity.id == party.id)
                    || (entity.members
                        && entity.kind == "Label"
                        && party.labels.iter().any(|label| label.as_str() == entity.id))
            })
    }

    /// Whether some party of this kind can be meant.
    pub(crate) fn may_admit(&self, kind: &str) -> bool {
        self.is_kind(kind)
            && self.entity.as_ref().is_none_or(|entity| {
                entity.kind == kind || (entity.members && group_of(kind) == Some(&entity.kind))
            })
    }

    pub(crate) const fn entity(&self) -> Option<&Entity> {
        self.entity.as_ref()
    }

    fn is_kind(&self, kind: &str) -> bool {
        self.kind.as_ref().is_none_or(|known| known == kind)
    }
}

/// The kind of entity that entities of `kind` can be members of.
fn group_of(kind: &str) -> Option<&'static str> {
    match kind {
        "Workload" | "Service" => Some("Label"),
        "User" => Some("Group"),
        _ => None,
    }
}

impl<'a> Party<'a> {
    pub(crate) const VISITOR: Self = Self { kind: "Visitor", id: VISITOR, labels: &[] };

    pub(crate) fn workload(name: &'a Name, labels: &'a [Label]) -> Self {
        Self { kind: "Workload", id: name.as_str(), labels }
    }

    pub(crate) fn service(name: &'a Name, labels: &'a [Label]) -> Self {
        Self { kind: "Service", id: name.as_str(), labels }
    }

    pub(crate) fn route(name: &'a Name) -> Self {
        Self { kind: "Route", id: name.as_str(), labels: &[] }
    }
}

#[cfg(test)]
mod tests;
