//! Trust bundles: the roots of exactly one trust domain.

use ringfort_model::TrustDomain;
use rustls::pki_types::{CertificateDer, TrustAnchor};

/// Most roots of one bundle: one per rotation still under way, with room.
pub const ROOTS_MAX: usize = 16;

/// The roots that verify identities of one trust domain. Bundles of several domains are never merged: the domain a
/// root vouches for is what tells an honest name from a forged one.
///
/// An empty bundle verifies nobody; that is how a domain is revoked as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustBundle {
    trust_domain: TrustDomain,
    roots: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
}

/// Why roots make no bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildBundleError {
    /// More than [`ROOTS_MAX`].
    #[error("a trust bundle has at most {ROOTS_MAX} roots")]
    TooMany,
    /// A root is no certificate.
    #[error("root {index} of the trust bundle is no certificate in DER")]
    Root {
        /// Its place, from 0.
        index: usize,
        /// What the parser met.
        #[source]
        source: webpki::Error,
    },
}

impl TrustBundle {
    /// The bundle of `trust_domain` with these roots in DER; a root given twice counts once.
    ///
    /// # Errors
    /// - [`BuildBundleError::TooMany`]: more than [`ROOTS_MAX`] roots.
    /// - [`BuildBundleError::Root`]: a root cannot be read.
    pub fn new(
        trust_domain: TrustDomain,
        roots_der: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Self, BuildBundleError> {
        let mut bundle = Self { trust_domain, roots: Vec::new(), anchors: Vec::new() };
        for (index, root_der) in roots_der.into_iter().enumerate() {
            let root = CertificateDer::from(root_der);
            if bundle.roots.contains(&root) {
                continue;
            }
            if bundle.roots.len() == ROOTS_MAX {
                return Err(BuildBundleError::TooMany);
            }
            let anchor = webpki::anchor_from_trusted_cert(&root)
                .map_err(|source| BuildBundleError::Root { index, source })?
                .to_owned();
            bundle.anchors.push(anchor);
            bundle.roots.push(root);
        }
        Ok(bundle)
    }

    /// The domain these roots vouch for.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The roots in DER.
    pub fn roots_der(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.roots.iter().map(AsRef::as_ref)
    }

    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }
}

#[cfg(test)]
mod tests;
