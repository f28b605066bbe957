//! Finds the policies that can apply to a question without looking at the others.
//!
//! Every head demands at most one entity for principal and one for resource. Policies with the same two demands form a
//! group; a question meets the groups of (its principal or one of its labels or none) x (its resource or one of its
//! labels or none). Unconditional policies of a group are decided by meeting it; only the others are evaluated.

use std::collections::HashMap;

use cedar_policy::{EntityUid, Policy, PolicySet};

use crate::{
    facts::Needs,
    scope::{Constraint, Party, Scope},
};

/// The groups of one action.
#[derive(Debug, Default)]
pub(crate) struct Index {
    principals: Keys,
    resources: Keys,
    groups: HashMap<(u32, u32), Group>,
}

/// Policies with equal demands on principal and resource. Numbers are positions in the slice.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) permits: Vec<usize>,
    pub(crate) forbids: Vec<usize>,
    pub(crate) conditional: PolicySet,
    pub(crate) needs: Needs,
}

/// The entity demands of one side, numbered; 0 is "no demand".
#[derive(Debug, Default)]
struct Keys(HashMap<(String, String), u32>);

/// A principal or resource that questions can have: its Cedar name and the groups it belongs to.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) uid: EntityUid,
    /// Its position among the members of its kind.
    pub(crate) number: usize,
    keys: Box<[u32]>,
}

const NO_DEMAND: u32 = 0;

impl Index {
    /// Puts a policy whose head covers the index's action into its group.
    pub(crate) fn insert(
        &mut self,
        number: usize,
        (scope, policy, text): (&Scope, &Policy, &str),
        (principal, resource): (&'static str, &'static str),
    ) -> Result<(), String> {
        let Some(principal) = self.principals.number(scope.principal(), principal) else {
            return Ok(());
        };
        let Some(resource) = self.resources.number(scope.resource(), resource) else {
            return Ok(());
        };
        let group = self.groups.entry((principal, resource)).or_insert_with(Group::empty);
        if policy.has_non_scope_constraint() {
            group.needs = group.needs.and(Needs::of(text));
            group.conditional.add(policy.clone()).map_err(|error| error.to_string())
        } else {
            if scope.forbids() { &mut group.forbids } else { &mut group.permits }.push(number);
            Ok(())
        }
    }

    pub(crate) fn principal(&self, number: usize, uid: EntityUid, party: Party<'_>) -> Member {
        Member { uid, number, keys: self.principals.of(party) }
    }

    pub(crate) fn resource(&self, number: usize, uid: EntityUid, party: Party<'_>) -> Member {
        Member { uid, number, keys: self.resources.of(party) }
    }

    /// The groups whose demands both sides meet.
    pub(crate) fn candidates<'a>(
        &'a self,
        principal: &'a Member,
        resource: &'a Member,
    ) -> impl Iterator<Item = &'a Group> {
        principal.keys.iter().flat_map(move |first| {
            resource.keys.iter().filter_map(move |second| self.groups.get(&(*first, *second)))
        })
    }
}

impl Group {
    fn empty() -> Self {
        Self {
            permits: Vec::new(),
            forbids: Vec::new(),
            conditional: PolicySet::new(),
            needs: Needs::NOTHING,
        }
    }
}

impl Keys {
    /// The number of a demand; `None` if nothing of this kind can meet it.
    fn number(&mut self, constraint: &Constraint, kind: &str) -> Option<u32> {
        if !constraint.may_admit(kind) {
            return None;
        }
        let Some(entity) = constraint.entity() else { return Some(NO_DEMAND) };
        let next = u32::try_from(self.0.len()).ok()?.checked_add(1)?;
        Some(*self.0.entry((entity.kind.clone(), entity.id.clone())).or_insert(next))
    }

    /// The numbers of all demands that a party meets.
    fn of(&self, party: Party<'_>) -> Box<[u32]> {
        let labels = party.labels.iter().map(|label| ("Label", label.as_str()));
        let named = std::iter::once((party.kind, party.id)).chain(labels);
        let numbers =
            named.filter_map(|(kind, id)| self.0.get(&(kind.to_owned(), id.to_owned())).copied());
        let mut keys: Vec<u32> = std::iter::once(NO_DEMAND).chain(numbers).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_boxed_slice()
    }
}

#[cfg(test)]
mod tests;
