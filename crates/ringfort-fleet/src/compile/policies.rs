//! Which policies a class evaluates: the permits its lines stand for, and every written policy that may have a say.

use std::collections::{BTreeMap, BTreeSet};

use ringfort_model::{
    Label, Name, Operation,
    snapshot::{PolicyRoute, PolicyService, PolicySlice, PolicySource},
};
use ringfort_policy::generated;

use crate::{
    document::{Call, Document, Route, Target, User},
    fleet::{Fleet, WrittenPolicy},
    source::{Sources, Span},
};

/// Finds the policies of each class.
pub(crate) struct Slices<'f> {
    document: &'f Document,
    sources: &'f Sources,
    written: &'f [WrittenPolicy],
    /// Lines on which more than one permit is generated: their ids carry the column.
    crowded: BTreeSet<(u16, u32)>,
    /// Gateway to the services its routes lead to, with the first line that says so.
    targets: BTreeMap<&'f Name, BTreeMap<&'f Name, Span>>,
}

impl<'f> Slices<'f> {
    pub(crate) fn new(fleet: &'f Fleet) -> Self {
        let document = &fleet.document;
        let targets = document.targets();
        let calls = document.services.values().flat_map(|service| &service.calls);
        let mut spans: Vec<Span> = calls.map(|call| call.span).collect();
        spans.extend(document.routes.values().map(|route| route.span));
        spans.extend(targets.values().flat_map(BTreeMap::values));
        let (mut lines, mut crowded) = (BTreeSet::new(), BTreeSet::new());
        for span in spans {
            let line = (span.file, fleet.sources.place(span).line);
            if !lines.insert(line) {
                crowded.insert(line);
            }
        }
        Self { document, sources: &fleet.sources, written: &fleet.policies, crowded, targets }
    }

    /// The slice of a callee.
    pub(crate) fn of_service(
        &self,
        name: &Name,
        callers: Option<&BTreeMap<&Name, Option<Vec<Operation>>>>,
    ) -> PolicySlice {
        let mut slice = PolicySlice::default();
        let Some(service) = self.document.services.get(name) else { return slice };
        let Some(protocol) = service.protocol() else { return slice };
        for caller in callers.into_iter().flat_map(BTreeMap::keys) {
            slice.workload_labels.insert((*caller).clone(), self.labels(caller).to_vec());
            slice.policies.extend(self.edge(caller, name));
        }
        let labels = service.labels.clone();
        for written in self.written {
            if written.scope.covers_callee(name, &labels) {
                slice.policies.push(written.source.clone());
            }
        }
        slice.services.insert(name.clone(), PolicyService { protocol, labels });
        slice
    }

    /// The slice of a gateway. Routes that need a user are unknown to it, so they permit nobody.
    pub(crate) fn of_gateway(&self, gateway: &Name, routes: &[(&Name, &Route)]) -> PolicySlice {
        let mut slice = PolicySlice::default();
        for (name, route) in routes {
            if !matches!(route.user, User::None) {
                continue;
            }
            if !route.policy_required {
                slice.policies.push(self.generated(route.span, generated::visit_permit(name)));
            }
            let service = match &route.target {
                Target::Service { name, .. } => Some(name.clone()),
                Target::Redirect { .. } => None,
            };
            if let Some(service) = &service {
                self.add_service(&mut slice, service);
            }
            slice.routes.insert((*name).clone(), PolicyRoute { service, gateway: gateway.clone() });
        }
        for written in self.written {
            if slice.routes.keys().any(|route| written.scope.covers_visit(route)) {
                slice.policies.push(written.source.clone());
            }
        }
        slice
    }

    fn add_service(&self, slice: &mut PolicySlice, name: &Name) {
        let Some(service) = self.document.services.get(name) else { return };
        if let Some(protocol) = service.protocol() {
            let labels = service.labels.clone();
            slice.services.insert(name.clone(), PolicyService { protocol, labels });
        }
    }

    /// The permit of one edge, unless a written policy decides alone.
    fn edge(&self, caller: &Name, callee: &Name) -> Option<PolicySource> {
        if let Some(service) = self.document.services.get(caller) {
            let call = service.calls.iter().find(|call| call.to == *callee)?;
            return self.call(caller, call);
        }
        let span = *self.targets.get(caller)?.get(callee)?;
        Some(self.generated(span, generated::call_permit(caller, callee, None)))
    }

    fn call(&self, caller: &Name, call: &Call) -> Option<PolicySource> {
        if call.policy_required {
            return None;
        }
        let only: Option<Vec<Operation>> = call
            .only
            .as_ref()
            .map(|list| list.iter().map(|(operation, _)| operation.clone()).collect());
        let text = generated::call_permit(caller, &call.to, only.as_deref());
        Some(self.generated(call.span, text))
    }

    fn generated(&self, span: Span, text: String) -> PolicySource {
        let place = self.sources.place(span);
        let mut id = place.to_string();
        if self.crowded.contains(&(span.file, place.line)) {
            id = format!("{id}:{}", self.sources.spot(span).column);
        }
        PolicySource { id, text, place, generated: true }
    }

    fn labels(&self, workload: &Name) -> &[Label] {
        let service = self.document.services.get(workload).map(|service| service.labels.as_slice());
        let gateway = self.document.gateways.get(workload).map(|gateway| gateway.labels.as_slice());
        service.or(gateway).unwrap_or_default()
    }
}
