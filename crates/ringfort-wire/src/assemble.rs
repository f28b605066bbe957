//! Puts the resources of one class together until they equal a signed manifest, and only then makes a snapshot.
//!
//! A pure state: each response of the server goes through [`Assembly::accept`], which changes nothing when it refuses.
//! Refused are resources whose bytes differ from their version, a manifest of another class, of a lower revision, with
//! a digest or signature that does not fit, and anything above the bounds. Invariant: what is in force was complete
//! and signed; a torn mixture of two revisions is never handed out.
#![warn(missing_docs, unreachable_pub, unused_qualifications, missing_debug_implementations)]
#![warn(clippy::missing_errors_doc, clippy::wildcard_imports)]

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use ringfort_model::{
    ConfigVerifier, Digest, Digester, Name, Revision, Snapshot, SpiffeId, VerifyConfigError,
    snapshot::Endpoint,
};

use crate::{
    convert::{self, ConvertError},
    discovery::{DeltaDiscoveryResponse, Resource},
    resource, v1,
};

/// Most bytes of resources one class may have; the same bound as a stored snapshot.
pub const CLASS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most resources one class may have: 10 000 peers and their endpoints, with room.
pub const CLASS_RESOURCES_MAX: usize = 32_768;

/// What a response changed.
#[derive(Debug, Clone)]
pub enum Change {
    /// Nothing to act on: resources are waiting for the rest of their manifest, or were known already.
    Staged,
    /// A complete, signed set: put it in force, then call [`Assembly::put_in_force`].
    Complete(Arc<Snapshot>),
    /// Every known list of endpoints, by service.
    Endpoints(BTreeMap<Name, Vec<Endpoint>>),
    /// What verifies peers and configuration from now on.
    Trust(v1::Trust),
}

/// Why a response was refused; its text goes back to the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// A type this build does not know.
    #[error("unknown resource type `{0}`")]
    UnknownType(String),
    /// The bytes of a resource are not those its version names.
    #[error("the bytes of resource `{0}` differ from its version")]
    Version(String),
    /// A resource says another name than the one it came under.
    #[error("resource `{outer}` calls itself `{inner}`")]
    Misnamed {
        /// The name it came under.
        outer: String,
        /// The name inside.
        inner: String,
    },
    /// Configuration of another class.
    #[error("this is configuration of `{got}`, not of `{own}`")]
    ForeignClass {
        /// Whose it is.
        got: String,
        /// Whose it should be.
        own: SpiffeId,
    },
    /// A revision below one already seen.
    #[error("revision {got} lies below {floor}, which was seen already")]
    Older {
        /// The revision offered.
        got: Revision,
        /// The highest seen.
        floor: Revision,
    },
    /// The manifest's digest is not that of its entries.
    #[error("the digest of the manifest is not that of its entries")]
    Digest,
    /// The manifest is not signed by a trusted server.
    #[error("the manifest is not signed by a trusted server")]
    Signature(#[source] VerifyConfigError),
    /// A trust bundle below one already seen.
    #[error("trust sequence {got} lies below {held}, which was seen already")]
    OlderTrust {
        /// The sequence offered.
        got: u64,
        /// The sequence held.
        held: u64,
    },
    /// More than [`CLASS_BYTES_MAX`] bytes or [`CLASS_RESOURCES_MAX`] resources.
    #[error("more than {CLASS_BYTES_MAX} bytes or {CLASS_RESOURCES_MAX} resources")]
    TooLarge,
    /// A resource the model cannot hold.
    #[error("a resource cannot be used")]
    Convert(#[source] ConvertError),
}

impl From<ConvertError> for AssembleError {
    fn from(source: ConvertError) -> Self {
        Self::Convert(source)
    }
}

/// The tools a check needs, handed in: this crate names no cryptography.
#[derive(Clone, Copy)]
pub struct Checks<'a> {
    /// Computes digests.
    pub digester: &'a dyn Digester,
    /// Knows the server's config keys.
    pub verifier: &'a dyn ConfigVerifier,
}

impl std::fmt::Debug for Checks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checks")
    }
}

/// The configuration of one class as a proxy receives it.
#[derive(Debug, Clone)]
pub struct Assembly {
    class: SpiffeId,
    /// The highest revision ever seen.
    floor: Revision,
    /// Resources under the revision, by type and name: what is in force plus what is on its way.
    held: BTreeMap<(&'static str, String), Held>,
    /// The newest manifest that passed every check.
    manifest: Option<Manifest>,
    endpoints: BTreeMap<Name, (Digest, v1::Endpoints)>,
    trust: Option<(Digest, v1::Trust)>,
    trust_sequence: u64,
    in_force: Option<v1::StoredSnapshot>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    version: Digest,
    bytes: Bytes,
}

#[derive(Debug, Clone)]
struct Manifest {
    version: Digest,
    message: v1::Manifest,
    digest: Digest,
}

impl Assembly {
    /// Nothing yet, for `class`; revisions below `floor` are refused.
    #[must_use]
    pub const fn new(class: SpiffeId, floor: Revision) -> Self {
        Self {
            class,
            floor,
            held: BTreeMap::new(),
            manifest: None,
            endpoints: BTreeMap::new(),
            trust: None,
            trust_sequence: 0,
            in_force: None,
        }
    }

    /// Checks a stored snapshot as if it came from the server and puts it in force.
    ///
    /// # Errors
    /// Any [`AssembleError`]; a stored snapshot that does not equal its manifest is [`AssembleError::Digest`].
    pub fn restore(
        class: SpiffeId,
        stored: v1::StoredSnapshot,
        checks: Checks<'_>,
    ) -> Result<(Self, Arc<Snapshot>), AssembleError> {
        let mut assembly = Self::new(class, Revision::new(stored.revision_floor));
        assembly.trust_sequence = stored.trust_sequence;
        for one in stored.resources {
            let type_url = sealed_type(&one.type_url)?;
            let version = checks.digester.digest(&[&one.bytes]);
            assembly.held.insert((type_url, one.name), Held { version, bytes: one.bytes });
        }
        for list in stored.endpoints {
            let bytes = prost::Message::encode_to_vec(&list);
            let (service, _list) = <(Name, Vec<Endpoint>)>::try_from(list.clone())?;
            assembly.endpoints.insert(service, (checks.digester.digest(&[&bytes]), list));
        }
        let message = stored.manifest.ok_or(ConvertError::Missing { field: "stored.manifest" })?;
        let bytes = prost::Message::encode_to_vec(&message);
        assembly.check_size()?;
        let version = checks.digester.digest(&[&bytes]);
        assembly.manifest = Some(assembly.check_manifest(message, version, checks)?);
        let snapshot = assembly.complete()?.ok_or(AssembleError::Digest)?;
        assembly.put_in_force();
        Ok((assembly, snapshot))
    }

    /// Takes one response, whole or not at all.
    ///
    /// # Errors
    /// Any [`AssembleError`]; the assembly is then as it was.
    pub fn accept(
        &mut self,
        response: &DeltaDiscoveryResponse,
        checks: Checks<'_>,
    ) -> Result<Change, AssembleError> {
        let mut next = self.clone();
        let change = match response.type_url.as_str() {
            resource::TRUST => next.accept_trust(response, checks)?,
            resource::ENDPOINTS => next.accept_endpoints(response, checks)?,
            resource::MANIFEST => next.accept_manifest(response, checks)?,
            other => next.accept_sealed(sealed_type(other)?, response, checks)?,
        };
        next.check_size()?;
        *self = next;
        Ok(change)
    }

    /// Says that the newest complete snapshot serves now: it is what [`Self::stored`] stores, and a lower revision is
    /// refused from now on.
    pub fn put_in_force(&mut self) {
        let Some(manifest) = &self.manifest else { return };
        self.floor = self.floor.max(Revision::new(manifest.message.revision));
        let resources = self.held.iter().map(|((type_url, name), held)| v1::StoredResource {
            type_url: (*type_url).to_owned(),
            name: name.clone(),
            bytes: held.bytes.clone(),
        });
        self.in_force = Some(v1::StoredSnapshot {
            manifest: Some(manifest.message.clone()),
            resources: resources.collect(),
            endpoints: Vec::new(),
            trust_sequence: 0,
            revision_floor: 0,
        });
    }

    /// What belongs on disk now: the snapshot in force with the newest endpoints; `None` before the first.
    #[must_use]
    pub fn stored(&self) -> Option<v1::StoredSnapshot> {
        Some(v1::StoredSnapshot {
            endpoints: self.endpoints.values().map(|(_version, list)| list.clone()).collect(),
            trust_sequence: self.trust_sequence,
            revision_floor: self.floor.number(),
            ..self.in_force.clone()?
        })
    }

    /// Revision and digest of what is in force.
    #[must_use]
    pub fn in_force(&self) -> Option<(Revision, Digest)> {
        let manifest = self.in_force.as_ref()?.manifest.as_ref()?;
        let digest = <[u8; 32]>::try_from(manifest.digest.as_ref()).ok()?;
        Some((Revision::new(manifest.revision), Digest::new(digest)))
    }

    /// The last known endpoints, by service.
    ///
    /// # Errors
    /// None in practice: every list was converted when it was accepted.
    pub fn endpoints(&self) -> Result<BTreeMap<Name, Vec<Endpoint>>, ConvertError> {
        self.endpoints.values().map(|(_version, list)| list.clone().try_into()).collect()
    }

    /// The versions held of one type, for `initial_resource_versions` on a new stream: what is held is not sent again.
    #[must_use]
    pub fn versions(&self, type_url: &str) -> BTreeMap<String, String> {
        let text = |version: &Digest| version.to_string();
        match type_url {
            resource::TRUST => self
                .trust
                .iter()
                .map(|(version, _)| (resource::TRUST_NAME.to_owned(), text(version)))
                .collect(),
            resource::ENDPOINTS => self
                .endpoints
                .iter()
                .map(|(service, (version, _))| (service.to_string(), text(version)))
                .collect(),
            resource::MANIFEST => self
                .manifest
                .iter()
                .map(|manifest| (self.class.to_string(), text(&manifest.version)))
                .collect(),
            _ => self
                .held
                .iter()
                .filter(|((kind, _), _)| *kind == type_url)
                .map(|((_, name), held)| (name.clone(), text(&held.version)))
                .collect(),
        }
    }

    fn accept_sealed(
        &mut self,
        type_url: &'static str,
        response: &DeltaDiscoveryResponse,
        checks: Checks<'_>,
    ) -> Result<Change, AssembleError> {
        for resource in &response.resources {
            let held = checked(resource, checks)?;
            self.held.insert((type_url, resource.name.clone()), held);
        }
        for name in &response.removed_resources {
            self.held.remove(&(type_url, name.clone()));
        }
        self.completed()
    }

    fn accept_manifest(
        &mut self,
        response: &DeltaDiscoveryResponse,
        checks: Checks<'_>,
    ) -> Result<Change, AssembleError> {
        for resource in &response.resources {
            let held = checked(resource, checks)?;
            let message: v1::Manifest = convert::decode("manifest", &held.bytes)?;
            self.manifest = Some(self.check_manifest(message, held.version, checks)?);
        }
        self.completed()
    }

    fn accept_endpoints(
        &mut self,
        response: &DeltaDiscoveryResponse,
        checks: Checks<'_>,
    ) -> Result<Change, AssembleError> {
        for resource in &response.resources {
            let held = checked(resource, checks)?;
            let list: v1::Endpoints = convert::decode("endpoints", &held.bytes)?;
            let (service, _list) = <(Name, Vec<Endpoint>)>::try_from(list.clone())?;
            named(&resource.name, service.as_str())?;
            self.endpoints.insert(service, (held.version, list));
        }
        for name in &response.removed_resources {
            self.endpoints.remove(name.as_str());
        }
        Ok(Change::Endpoints(self.endpoints()?))
    }

    fn accept_trust(
        &mut self,
        response: &DeltaDiscoveryResponse,
        checks: Checks<'_>,
    ) -> Result<Change, AssembleError> {
        let Some(resource) = response.resources.last() else { return Ok(Change::Staged) };
        let held = checked(resource, checks)?;
        let trust: v1::Trust = convert::decode("trust", &held.bytes)?;
        if trust.sequence < self.trust_sequence {
            let (got, held) = (trust.sequence, self.trust_sequence);
            return Err(AssembleError::OlderTrust { got, held });
        }
        self.trust_sequence = trust.sequence;
        self.trust = Some((held.version, trust.clone()));
        Ok(Change::Trust(trust))
    }

    fn check_manifest(
        &self,
        message: v1::Manifest,
        version: Digest,
        checks: Checks<'_>,
    ) -> Result<Manifest, AssembleError> {
        if message.class != self.class.as_str() {
            let own = self.class.clone();
            return Err(AssembleError::ForeignClass { got: message.class, own });
        }
        let got = Revision::new(message.revision);
        if got < self.floor {
            return Err(AssembleError::Older { got, floor: self.floor });
        }
        let digest = manifest_digest(&message, checks.digester);
        if message.digest.as_ref() != digest.as_bytes() {
            return Err(AssembleError::Digest);
        }
        checks
            .verifier
            .verify(&message.config_key_id, &digest, &message.signature)
            .map_err(AssembleError::Signature)?;
        Ok(Manifest { version, message, digest })
    }

    fn completed(&self) -> Result<Change, AssembleError> {
        Ok(self.complete()?.map_or(Change::Staged, Change::Complete))
    }

    /// The snapshot, when what is held equals the manifest and is not in force yet.
    fn complete(&self) -> Result<Option<Arc<Snapshot>>, AssembleError> {
        let Some(manifest) = &self.manifest else { return Ok(None) };
        let is_in_force = self.in_force().is_some_and(|(_, digest)| digest == manifest.digest);
        if is_in_force || !self.equals(&manifest.message) {
            return Ok(None);
        }
        let only = |type_url: &'static str| {
            let held = self.held.get(&(type_url, self.class.to_string()));
            held.ok_or(ConvertError::Missing { field: type_url })
        };
        let class: v1::Class = convert::decode("class", &only(resource::CLASS)?.bytes)?;
        if class.spiffe_id != self.class.as_str() {
            let own = self.class.clone();
            return Err(AssembleError::ForeignClass { got: class.spiffe_id, own });
        }
        let mut peers = Vec::new();
        for ((type_url, name), held) in &self.held {
            if *type_url == resource::PEER {
                let peer: v1::Peer = convert::decode("peer", &held.bytes)?;
                named(name, &peer.name)?;
                peers.push(peer);
            }
        }
        let policies = convert::decode("policies", &only(resource::POLICIES)?.bytes)?;
        let revision = Revision::new(manifest.message.revision);
        Ok(Some(Arc::new(convert::snapshot(revision, class, peers, policies)?)))
    }

    fn equals(&self, manifest: &v1::Manifest) -> bool {
        manifest.entries.len() == self.held.len()
            && manifest.entries.iter().zip(&self.held).all(|(entry, ((type_url, name), held))| {
                type_url.strip_prefix(resource::TYPE_PREFIX) == Some(entry.r#type.as_str())
                    && *name == entry.name
                    && entry.version.as_ref() == held.version.as_bytes()
            })
    }

    fn check_size(&self) -> Result<(), AssembleError> {
        let bytes: usize = self.held.values().map(|held| held.bytes.len()).sum();
        let count = self.held.len().saturating_add(self.endpoints.len());
        if bytes > CLASS_BYTES_MAX || count > CLASS_RESOURCES_MAX {
            return Err(AssembleError::TooLarge);
        }
        Ok(())
    }
}

/// The digest a manifest carries and its signature covers: over revision, class, time, and each entry's type, name and
/// version, in order.
#[must_use]
pub fn manifest_digest(manifest: &v1::Manifest, digester: &dyn Digester) -> Digest {
    let (revision, time) =
        (manifest.revision.to_be_bytes(), manifest.signed_at_unix_ms.to_be_bytes());
    let mut parts: Vec<&[u8]> = vec![&revision, manifest.class.as_bytes(), &time];
    for entry in &manifest.entries {
        parts.extend([entry.r#type.as_bytes(), entry.name.as_bytes(), &entry.version]);
    }
    digester.digest(&parts)
}

/// The version of a resource: the digest of its bytes as one part.
#[must_use]
pub fn version(bytes: &[u8], digester: &dyn Digester) -> Digest {
    digester.digest(&[bytes])
}

fn sealed_type(type_url: &str) -> Result<&'static str, AssembleError> {
    let known = resource::SEALED.into_iter().find(|known| *known == type_url);
    known.ok_or_else(|| AssembleError::UnknownType(type_url.to_owned()))
}

fn checked(resource: &Resource, checks: Checks<'_>) -> Result<Held, AssembleError> {
    let any = resource.resource.as_ref();
    let bytes = any.map(|any| any.value.clone()).unwrap_or_default();
    let version = version(&bytes, checks.digester);
    if version.to_string() != resource.version {
        return Err(AssembleError::Version(resource.name.clone()));
    }
    Ok(Held { version, bytes })
}

fn named(outer: &str, inner: &str) -> Result<(), AssembleError> {
    if outer == inner {
        return Ok(());
    }
    Err(AssembleError::Misnamed { outer: outer.to_owned(), inner: inner.to_owned() })
}

#[cfg(test)]
pub(crate) mod tests;
