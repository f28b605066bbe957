//! From a compiled snapshot to the resources of its class and the manifest that seals them.

use std::{collections::BTreeMap, sync::Arc};

use ringfort_identity::ConfigKey;
use ringfort_model::{Digest, Digester, Revision, Snapshot, WallTime};
use ringfort_wire::{
    assemble, convert,
    resource::{self, MESSAGE_BYTES_MAX},
    v1,
};

use crate::subscription::{Encoded, Offer};

/// The resources of one class, without a manifest: what decides whether a revision changes the class.
#[derive(Debug, Clone)]
pub(crate) struct ClassContent {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Over type, name and version of every resource.
    pub(crate) digest: Digest,
    resources: Offer,
    entries: Vec<v1::manifest::Entry>,
}

/// A class ready to be distributed.
#[derive(Debug, Clone)]
pub(crate) struct SealedClass {
    pub(crate) content: ClassContent,
    /// The revision that last changed the content.
    pub(crate) revision: Revision,
    /// What a proxy reports when it serves this.
    pub(crate) digest: Digest,
    /// Everything under the revision, the manifest included.
    pub(crate) offer: Offer,
}

/// A resource that no message of the control link can carry.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{name}` of class `{class}` has {bytes} bytes; the control link carries {MESSAGE_BYTES_MAX}"
)]
pub(crate) struct OversizeError {
    class: String,
    name: String,
    bytes: usize,
}

/// Room for the framing of one resource in a message.
const FRAMING_BYTES: usize = 4096;

impl ClassContent {
    /// Encodes a snapshot.
    ///
    /// # Errors
    /// [`OversizeError`]: a resource or the manifest does not fit a message.
    pub(crate) fn new(snapshot: Snapshot, digester: &dyn Digester) -> Result<Self, OversizeError> {
        let mut resources = Offer::new();
        let mut entries = Vec::new();
        for one in convert::encode(&snapshot) {
            let bytes = one.bytes.len();
            if bytes > MESSAGE_BYTES_MAX.saturating_sub(FRAMING_BYTES) {
                return Err(OversizeError {
                    class: snapshot.class.to_string(),
                    name: one.name,
                    bytes,
                });
            }
            let version = assemble::version(&one.bytes, digester);
            entries.push(v1::manifest::Entry {
                r#type: one
                    .type_url
                    .strip_prefix(resource::TYPE_PREFIX)
                    .unwrap_or_default()
                    .to_owned(),
                name: one.name.clone(),
                version: version.as_bytes().to_vec().into(),
            });
            let encoded = Encoded { version: version.to_string(), bytes: one.bytes };
            resources.entry(one.type_url).or_default().insert(one.name, encoded);
        }
        let parts = entries.iter().flat_map(|entry| {
            [entry.r#type.as_bytes(), entry.name.as_bytes(), entry.version.as_ref()]
        });
        let digest = digester.digest(&parts.collect::<Vec<_>>());
        Ok(Self { snapshot: Arc::new(snapshot), digest, resources, entries })
    }

    /// Signs the content as of the revision that last changed it; the same arguments give the same bytes.
    pub(crate) fn seal(
        self,
        revision: Revision,
        signed_at: WallTime,
        key: &ConfigKey,
        digester: &dyn Digester,
    ) -> SealedClass {
        let signed_at = signed_at.since_unix().as_millis();
        let class = self.snapshot.class.to_string();
        let mut manifest = v1::Manifest {
            revision: revision.number(),
            class: class.clone(),
            signed_at_unix_ms: u64::try_from(signed_at).unwrap_or(u64::MAX),
            entries: self.entries.clone(),
            config_key_id: key.public().id().to_owned(),
            ..v1::Manifest::default()
        };
        let digest = assemble::manifest_digest(&manifest, digester);
        manifest.digest = digest.as_bytes().to_vec().into();
        manifest.signature = key.sign(&digest).into();
        let mut offer = self.resources.clone();
        let manifest = encoded(&manifest, digester);
        offer.insert(resource::MANIFEST, BTreeMap::from([(class, manifest)]));
        SealedClass { content: self, revision, digest, offer }
    }
}

/// Encodes a message with its version.
pub(crate) fn encoded(message: &impl prost::Message, digester: &dyn Digester) -> Encoded {
    let bytes: bytes::Bytes = message.encode_to_vec().into();
    Encoded { version: assemble::version(&bytes, digester).to_string(), bytes }
}
