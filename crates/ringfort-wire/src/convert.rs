//! Model types to wire types and back: `From<&model>` cannot fail, `TryFrom<wire>` refuses what the model cannot hold.
//!
//! Nothing behind this edge sees a wire type, and nothing invalid passes it: names, identities, paths, addresses and
//! ranges are parsed here, once. Every list of a map's entries refuses a second entry of one key.
#![warn(missing_docs, unreachable_pub, unused_qualifications, missing_debug_implementations)]
#![warn(clippy::missing_errors_doc, clippy::wildcard_imports)]

mod class;
mod endpoint;
mod gateway;
mod peer;
mod policies;
mod scalar;
mod selectors;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use prost::Message as _;
use ringfort_model::{
    Name, ParseNameError, ParsePathError, ParseSpiffeError, Revision, Snapshot, SpiffeId,
    snapshot::Peer,
};

use crate::{resource, v1};

/// Why a wire value is no model value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The bytes are no message of the type.
    #[error("the bytes of `{field}` do not decode")]
    Encoding {
        /// The message.
        field: &'static str,
        /// What the decoder says.
        #[source]
        source: prost::DecodeError,
    },
    /// A required field is absent.
    #[error("`{field}` is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A number lies outside its range, or an enum has a value this build does not know.
    #[error("`{field}` is out of range")]
    Range {
        /// The field.
        field: &'static str,
    },
    /// A map has two entries of one key.
    #[error("`{field}` has `{key}` twice")]
    Twice {
        /// The field.
        field: &'static str,
        /// The key.
        key: String,
    },
    /// A text is no name.
    #[error("`{field}` is no name")]
    Name {
        /// The field.
        field: &'static str,
        /// Why not.
        #[source]
        source: ParseNameError,
    },
    /// A text is no SPIFFE ID or trust domain.
    #[error("`{field}` is no SPIFFE identity")]
    Spiffe {
        /// The field.
        field: &'static str,
        /// Why not.
        #[source]
        source: ParseSpiffeError,
    },
    /// A text is no path pattern.
    #[error("`{field}` is no path pattern")]
    Path {
        /// The field.
        field: &'static str,
        /// Why not.
        #[source]
        source: ParsePathError,
    },
    /// A text is no address.
    #[error("`{field}` is no address")]
    Address {
        /// The field.
        field: &'static str,
        /// Why not.
        #[source]
        source: std::net::AddrParseError,
    },
}

/// One resource under the revision, encoded once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedResource {
    /// One of [`resource::SEALED`].
    pub type_url: &'static str,
    /// Its name: the class's SPIFFE ID, or a peer's name.
    pub name: String,
    /// The message.
    pub bytes: Bytes,
}

/// Encodes what a snapshot holds under the revision: the same snapshot gives the same bytes, sorted by type and name.
#[must_use]
pub fn encode(snapshot: &Snapshot) -> Vec<EncodedResource> {
    let class = snapshot.class.as_str();
    let one = |type_url, name: &str, bytes: Vec<u8>| EncodedResource {
        type_url,
        name: name.to_owned(),
        bytes: bytes.into(),
    };
    let mut resources =
        vec![one(resource::CLASS, class, v1::Class::from(snapshot).encode_to_vec())];
    let peers = snapshot.peers.values().map(|peer| {
        one(resource::PEER, peer.name.as_str(), v1::Peer::from(peer.as_ref()).encode_to_vec())
    });
    resources.extend(peers);
    let policies = v1::Policies::from(&snapshot.policies).encode_to_vec();
    resources.push(one(resource::POLICIES, class, policies));
    resources
}

/// Decodes one resource of type `M` whose value the caller has checked against its version.
///
/// # Errors
/// [`ConvertError::Encoding`].
pub fn decode<M: prost::Message + Default>(
    field: &'static str,
    bytes: &[u8],
) -> Result<M, ConvertError> {
    M::decode(bytes).map_err(|source| ConvertError::Encoding { field, source })
}

/// Puts a snapshot together from the resources of its class.
///
/// # Errors
/// [`ConvertError`] of the first part the model cannot hold.
pub fn snapshot(
    revision: Revision,
    class: v1::Class,
    peers: impl IntoIterator<Item = v1::Peer>,
    policies: v1::Policies,
) -> Result<Snapshot, ConvertError> {
    let mut by_name: BTreeMap<Name, Arc<Peer>> = BTreeMap::new();
    for peer in peers {
        let peer = Peer::try_from(peer)?;
        scalar::insert("peer", &mut by_name, peer.name.clone(), Arc::new(peer))?;
    }
    let role = class.role.ok_or(ConvertError::Missing { field: "class.role" })?;
    Ok(Snapshot {
        revision,
        class: scalar::spiffe_id("class.spiffe_id", &class.spiffe_id)?,
        trust_domain: class
            .trust_domain
            .parse()
            .map_err(|source| ConvertError::Spiffe { field: "class.trust_domain", source })?,
        workload: scalar::name("class.workload", &class.workload)?,
        role: role.try_into()?,
        peers: by_name,
        policies: policies.try_into()?,
        certificates: scalar::required("class.certificates", class.certificates)?.try_into()?,
        access_log_2xx: scalar::percent(
            "class.access_log_2xx_percent",
            class.access_log_2xx_percent,
        )?,
    })
}

/// Parses a class as it stands in a manifest.
///
/// # Errors
/// [`ConvertError::Spiffe`].
pub fn class_of(manifest: &v1::Manifest) -> Result<SpiffeId, ConvertError> {
    scalar::spiffe_id("manifest.class", &manifest.class)
}

#[cfg(test)]
mod tests;
