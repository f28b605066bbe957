//! What is in force at this moment: one immutable value that every stream reads and only the server replaces.

use std::{collections::BTreeMap, sync::Arc};

use ringfort_model::{Digester, Name, SpiffeId, selectors::IssueRules, snapshot::Endpoint};
use ringfort_store::RevisionRecord;
use ringfort_wire::{resource, v1};

use crate::{
    manifest::{SealedClass, encoded},
    subscription::{Encoded, Offer},
};

/// Everything a stream needs to know.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    /// The head revision, compiled; `None` before the first apply.
    pub(crate) in_force: Option<Arc<InForce>>,
    /// Lists of endpoints by service.
    pub(crate) endpoints: Arc<BTreeMap<Name, Encoded>>,
    /// What verifies peers and configuration.
    pub(crate) trust: Option<Arc<Trusted>>,
}

/// One revision as it is distributed.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) record: RevisionRecord,
    pub(crate) rules: IssueRules,
    pub(crate) classes: BTreeMap<SpiffeId, SealedClass>,
}

/// The trust resource and its bytes.
#[derive(Debug)]
pub(crate) struct Trusted {
    pub(crate) message: v1::Trust,
    pub(crate) encoded: Encoded,
}

impl World {
    /// What a class shall have; `None` when the fleet has no such class.
    pub(crate) fn offer(&self, class: &SpiffeId, digester: &dyn Digester) -> Option<Offer> {
        let sealed = self.in_force.as_ref()?.classes.get(class)?;
        let mut offer = sealed.offer.clone();
        let lists = sealed.content.snapshot.peers.keys().map(|service| {
            let list = self.endpoints.get(service.as_str()).cloned();
            let list = list.unwrap_or_else(|| endpoints(service, &[], digester));
            (service.to_string(), list)
        });
        offer.insert(resource::ENDPOINTS, lists.collect());
        if let Some(trust) = &self.trust {
            let named = (resource::TRUST_NAME.to_owned(), trust.encoded.clone());
            offer.insert(resource::TRUST, BTreeMap::from([named]));
        }
        Some(offer)
    }
}

/// Encodes the list of one service.
pub(crate) fn endpoints(service: &Name, list: &[Endpoint], digester: &dyn Digester) -> Encoded {
    let message = v1::Endpoints {
        service: service.to_string(),
        endpoints: list.iter().map(Into::into).collect(),
    };
    encoded(&message, digester)
}
