//! One delta ADS stream as a pure state: what the client has, what is on its way, what it refused.
//!
//! Decides what is sent next, given what its class shall have ([`Offer`]). Per type one message is on its way; what
//! changes meanwhile is coalesced, never queued. Equal versions are not sent again, also not after a reconnect
//! (`initial_resource_versions`). A refused version is not sent again unchanged. The manifest goes after everything it
//! seals, so that it completes the set when it arrives.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ringfort_wire::{
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource},
    protobuf::Any,
    resource,
};

/// Bytes of resources after which a message is closed; one larger resource goes alone.
const MESSAGE_BYTES: usize = 1024 * 1024;

/// Longest text of a client that is kept, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 1024;

/// One resource with its version, encoded once for all streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Encoded {
    /// Hex digest of `bytes`.
    pub(crate) version: String,
    /// The message.
    pub(crate) bytes: Bytes,
}

/// What a class shall have now: resources by type and name.
pub(crate) type Offer = BTreeMap<&'static str, BTreeMap<String, Encoded>>;

/// What a request meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A subscription, or nothing new.
    Nothing,
    /// The client took the message on its way.
    Ack,
    /// The client refused the message on its way.
    Nack {
        /// Of this type.
        type_url: &'static str,
        /// Saying this.
        text: String,
    },
    /// A type this server does not know; it is never answered.
    UnknownType,
}

/// The state of one stream.
#[derive(Debug, Default)]
pub(crate) struct Subscription {
    types: BTreeMap<&'static str, Subscribed>,
    messages: u64,
}

#[derive(Debug, Default)]
struct Subscribed {
    /// Whether the client wants every resource of the type.
    all: bool,
    /// Names it asked for beside that.
    names: BTreeSet<String>,
    /// What it has, by name.
    has: BTreeMap<String, String>,
    on_its_way: Option<OnItsWay>,
    /// Versions it refused, by name.
    refused: BTreeMap<String, String>,
}

#[derive(Debug)]
struct OnItsWay {
    nonce: String,
    /// Name to new version; `None` removes.
    changes: BTreeMap<String, Option<String>>,
}

impl Subscription {
    /// Takes one message of the client.
    pub(crate) fn hear(&mut self, request: &DeltaDiscoveryRequest) -> Heard {
        let known = resource::ALL.into_iter().find(|known| *known == request.type_url);
        let Some(type_url) = known else { return Heard::UnknownType };
        let is_first = !self.types.contains_key(type_url);
        let subscribed = self.types.entry(type_url).or_default();
        if is_first {
            subscribed.has.clone_from(&request.initial_resource_versions);
            // An empty first subscription means everything, as does `*`.
            subscribed.all = request.resource_names_subscribe.is_empty();
        }
        subscribed.subscribe(request);
        let fits = |on_its_way: &mut OnItsWay| on_its_way.nonce == request.response_nonce;
        let Some(OnItsWay { nonce: _, changes }) = subscribed.on_its_way.take_if(fits) else {
            return Heard::Nothing;
        };
        match &request.error_detail {
            None => {
                subscribed.take(changes);
                Heard::Ack
            }
            Some(status) => {
                subscribed.refuse(changes);
                Heard::Nack { type_url, text: shortened(&status.message) }
            }
        }
    }

    /// The next message to send, if any; call again until there is none.
    pub(crate) fn speak(&mut self, offer: &Offer) -> Option<DeltaDiscoveryResponse> {
        for type_url in resource::ALL {
            if type_url == resource::MANIFEST && !self.is_settled(offer) {
                continue;
            }
            let Some(subscribed) = self.types.get_mut(type_url) else { continue };
            if subscribed.on_its_way.is_some() {
                continue;
            }
            let empty = BTreeMap::new();
            let offered = offer.get(type_url).unwrap_or(&empty);
            let Some(mut response) = subscribed.difference(type_url, offered) else { continue };
            self.messages = self.messages.saturating_add(1);
            response.nonce = self.messages.to_string();
            subscribed.sent(&response);
            return Some(response);
        }
        None
    }

    /// Whether the client has taken everything a manifest seals.
    fn is_settled(&self, offer: &Offer) -> bool {
        resource::SEALED.into_iter().all(|type_url| {
            let Some(subscribed) = self.types.get(type_url) else { return true };
            let offered = offer.get(type_url);
            let wanted = offered.into_iter().flatten();
            let differs = wanted.filter(|(name, one)| subscribed.wants(name, &one.version)).count();
            subscribed.on_its_way.is_none() && differs == 0
        })
    }
}

impl Subscribed {
    fn subscribe(&mut self, request: &DeltaDiscoveryRequest) {
        for name in &request.resource_names_subscribe {
            if name == "*" {
                self.all = true;
            } else {
                self.names.insert(name.clone());
            }
        }
        for name in &request.resource_names_unsubscribe {
            if name == "*" {
                self.all = false;
            }
            self.names.remove(name);
            self.has.remove(name);
        }
    }

    fn covers(&self, name: &str) -> bool {
        self.all || self.names.contains(name)
    }

    fn wants(&self, name: &str, version: &String) -> bool {
        self.covers(name)
            && self.has.get(name) != Some(version)
            && self.refused.get(name) != Some(version)
    }

    /// The message that leads from what the client has towards what is offered.
    fn difference(
        &self,
        type_url: &'static str,
        offered: &BTreeMap<String, Encoded>,
    ) -> Option<DeltaDiscoveryResponse> {
        let mut resources = Vec::new();
        let mut bytes = 0_usize;
        for (name, one) in offered.iter().filter(|(name, one)| self.wants(name, &one.version)) {
            let size = one.bytes.len();
            if !resources.is_empty() && bytes.saturating_add(size) > MESSAGE_BYTES {
                break;
            }
            bytes = bytes.saturating_add(size);
            resources.push(Resource {
                version: one.version.clone(),
                resource: Some(Any { type_url: type_url.to_owned(), value: one.bytes.clone() }),
                name: name.clone(),
                aliases: Vec::new(),
            });
        }
        // Endpoints and trust are replaced, never taken away while the class has them.
        let gone = self.has.keys().filter(|name| !offered.contains_key(*name));
        let removed_resources: Vec<String> = gone.cloned().collect();
        if resources.is_empty() && removed_resources.is_empty() {
            return None;
        }
        Some(DeltaDiscoveryResponse {
            type_url: type_url.to_owned(),
            resources,
            removed_resources,
            ..DeltaDiscoveryResponse::default()
        })
    }

    fn sent(&mut self, response: &DeltaDiscoveryResponse) {
        let put =
            response.resources.iter().map(|one| (one.name.clone(), Some(one.version.clone())));
        let removed = response.removed_resources.iter().map(|name| (name.clone(), None));
        let changes = put.chain(removed).collect();
        self.on_its_way = Some(OnItsWay { nonce: response.nonce.clone(), changes });
    }

    fn take(&mut self, changes: BTreeMap<String, Option<String>>) {
        for (name, version) in changes {
            self.refused.remove(&name);
            match version {
                Some(version) => self.has.insert(name, version),
                None => self.has.remove(&name),
            };
        }
    }

    fn refuse(&mut self, changes: BTreeMap<String, Option<String>>) {
        for (name, version) in changes {
            match version {
                Some(version) => {
                    self.refused.insert(name, version);
                }
                // A removal cannot be refused for its content; it is not repeated either.
                None => {
                    self.has.remove(&name);
                }
            }
        }
    }
}

/// The front of a client's text, whole characters, at most [`TEXT_BYTES_MAX`] bytes.
pub(crate) fn shortened(text: &str) -> String {
    let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
