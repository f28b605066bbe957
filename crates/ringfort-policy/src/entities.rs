//! The entities of a policy slice, as Cedar wants them.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use ringfort_model::{Label, snapshot::PolicySlice};

use crate::GATEWAY_ITSELF;

/// The types of this crate's entities, parsed once.
#[derive(Debug)]
pub(crate) struct Kinds {
    pub(crate) action: EntityTypeName,
    pub(crate) visitor: EntityTypeName,
    pub(crate) workload: EntityTypeName,
    pub(crate) service: EntityTypeName,
    pub(crate) route: EntityTypeName,
    gateway: EntityTypeName,
    label: EntityTypeName,
}

impl Kinds {
    /// The types; `None` only if the engine's grammar no longer takes these words as type names.
    pub(crate) fn new() -> Option<Self> {
        let kind = |name: &str| name.parse::<EntityTypeName>().ok();
        Some(Self {
            action: kind("Action")?,
            visitor: kind("Visitor")?,
            workload: kind("Workload")?,
            service: kind("Service")?,
            route: kind("Route")?,
            gateway: kind("Gateway")?,
            label: kind("Label")?,
        })
    }

    fn labels(&self, labels: &[Label]) -> HashSet<EntityUid> {
        labels.iter().map(|label| uid(&self.label, label.as_str())).collect()
    }
}

pub(crate) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// Every workload, service and route of the slice.
pub(crate) fn entities(kinds: &Kinds, slice: &PolicySlice) -> Result<Entities, String> {
    let mut all = Vec::new();
    for (name, labels) in &slice.workload_labels {
        let parents = kinds.labels(labels);
        all.push(Entity::new_no_attrs(uid(&kinds.workload, name.as_str()), parents));
    }
    for (name, service) in &slice.services {
        let protocol = RestrictedExpression::new_string(service.protocol.as_str().to_owned());
        let attributes = HashMap::from([("protocol".to_owned(), protocol)]);
        let own = uid(&kinds.service, name.as_str());
        let entity = Entity::new(own, attributes, kinds.labels(&service.labels));
        all.push(entity.map_err(|error| error.to_string())?);
    }
    for (name, route) in &slice.routes {
        let service = route.service.as_ref().map_or(GATEWAY_ITSELF, |name| name.as_str());
        let refer = |kind, id| RestrictedExpression::new_entity_uid(uid(kind, id));
        let attributes = HashMap::from([
            ("service".to_owned(), refer(&kinds.service, service)),
            ("gateway".to_owned(), refer(&kinds.gateway, route.gateway.as_str())),
        ]);
        let own = uid(&kinds.route, name.as_str());
        let entity = Entity::new(own, attributes, HashSet::new());
        all.push(entity.map_err(|error| error.to_string())?);
    }
    Entities::from_entities(all, None).map_err(|error| error.to_string())
}
