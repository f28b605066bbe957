//! A workload's own identity document: certificate chain and private key, ready for handshakes.

use std::{fmt, sync::Arc};

use ringfort_model::{SpiffeId, WallTime};
use rustls::{
    crypto::aws_lc_rs::sign::any_ecdsa_type,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use zeroize::Zeroize as _;

use crate::{CertificateFacts, KeyPair, VerifyPeerError, inspect, peer_id};

/// An X.509-SVID: who this workload is, and the proof. Cheap to clone.
#[derive(Clone)]
pub struct Svid {
    id: SpiffeId,
    key: KeyPair,
    facts: CertificateFacts,
    certified: Arc<CertifiedKey>,
}

/// Why chain and key make no SVID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildSvidError {
    /// The leaf does not name one workload.
    #[error("the certificate names no workload")]
    Identity {
        /// What is wrong with its name.
        #[source]
        source: VerifyPeerError,
    },
    /// The leaf cannot be read.
    #[error("the certificate cannot be read")]
    Malformed,
    /// The certificate belongs to another key.
    #[error("the certificate belongs to another key")]
    ForeignKey,
    /// The TLS library does not take the key.
    #[error("the key cannot be used for TLS")]
    Key,
}

impl Svid {
    /// Puts a chain in DER (leaf first) and its key together.
    ///
    /// # Errors
    /// One variant of [`BuildSvidError`] per step. That the chain is trusted is for the peers to verify.
    pub fn new(chain_der: Vec<Vec<u8>>, key: KeyPair) -> Result<Self, BuildSvidError> {
        let chain: Vec<_> = chain_der.into_iter().map(CertificateDer::from).collect();
        let id = peer_id(&chain).map_err(|source| BuildSvidError::Identity { source })?;
        let leaf = chain.first().ok_or(BuildSvidError::Malformed)?;
        let facts = inspect(leaf).map_err(|_unreadable| BuildSvidError::Malformed)?;
        let certified = certified_key(chain, &key)?;
        Ok(Self { id, key, facts, certified: Arc::new(certified) })
    }

    /// Who the workload is.
    #[must_use]
    pub const fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The private key.
    #[must_use]
    pub const fn key(&self) -> &KeyPair {
        &self.key
    }

    /// The chain in DER, leaf first.
    pub fn chain_der(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.certified.cert.iter().map(AsRef::as_ref)
    }

    /// Start of its life.
    #[must_use]
    pub const fn not_before(&self) -> WallTime {
        self.facts.not_before
    }

    /// End of its life; never shown to a peer after it.
    #[must_use]
    pub const fn not_after(&self) -> WallTime {
        self.facts.not_after
    }

    /// Serial number of the leaf, lower-case hex.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.facts.serial
    }

    pub(crate) const fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

impl fmt::Debug for Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Svid").field("id", &self.id).field("facts", &self.facts).finish()
    }
}

/// Chain and P-256 key in the form the TLS library takes.
pub(crate) fn certified_key(
    chain: Vec<CertificateDer<'static>>,
    key: &KeyPair,
) -> Result<CertifiedKey, BuildSvidError> {
    let mut der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.pkcs8().expose().clone()));
    let signing = any_ecdsa_type(&der);
    der.zeroize();
    let certified = CertifiedKey::new(chain, signing.map_err(|_refused| BuildSvidError::Key)?);
    certified.keys_match().map_err(|_mismatch| BuildSvidError::ForeignKey)?;
    Ok(certified)
}

#[cfg(test)]
mod tests;
