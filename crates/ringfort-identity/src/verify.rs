//! Verification of a peer's certificate chain: is this the workload it claims to be?
//!
//! The path is built by webpki; what webpki leaves out (names it cannot read, key usage, the fence between trust
//! domains) is checked here on the leaf's own bytes. Whether the peer may call is not decided here.

use ringfort_model::{ParseSpiffeError, SpiffeId, TrustDomain, WallTime};
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::{certificate::X509Certificate, extensions::ParsedExtension};

use crate::{
    TrustBundle,
    inspect::{UriName, parse, uri_names},
};

/// Most certificates of a chain.
pub const CHAIN_CERTIFICATES_MAX: usize = 8;

/// Most bytes of all certificates of a chain; ours have about 1 KiB.
pub const CHAIN_BYTES_MAX: usize = 16 * 1024;

/// Signatures believed in a chain between workloads.
pub(crate) static CHAIN_ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::aws_lc_rs::ECDSA_P256_SHA256,
    webpki::aws_lc_rs::ECDSA_P256_SHA384,
    webpki::aws_lc_rs::ECDSA_P384_SHA256,
    webpki::aws_lc_rs::ECDSA_P384_SHA384,
];

/// What the peer acts as in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It called us.
    Client,
    /// We called it.
    Server,
}

/// Why a chain is not believed. One variant per fault, so that logs and tests tell them apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyPeerError {
    /// The chain is empty.
    #[error("the peer sent no certificate")]
    NoCertificate,
    /// More than [`CHAIN_CERTIFICATES_MAX`].
    #[error("the chain has more than {CHAIN_CERTIFICATES_MAX} certificates")]
    TooManyCertificates,
    /// More than [`CHAIN_BYTES_MAX`].
    #[error("the chain has more than {CHAIN_BYTES_MAX} bytes")]
    TooLarge,
    /// The leaf cannot be read.
    #[error("the certificate cannot be read")]
    Malformed,
    /// A certificate of the path is past its end.
    #[error("a certificate of the chain has expired")]
    Expired {
        /// When the chain was verified.
        now: WallTime,
        /// When the certificate ended.
        not_after: WallTime,
    },
    /// A certificate of the path has not begun.
    #[error("a certificate of the chain is not valid yet")]
    NotYetValid {
        /// When the chain was verified.
        now: WallTime,
        /// When the certificate begins.
        not_before: WallTime,
    },
    /// No path leads to a root of the bundle.
    #[error("no root of trust domain `{trust_domain}` vouches for the certificate")]
    UnknownIssuer {
        /// The domain of the bundle.
        trust_domain: TrustDomain,
    },
    /// An issuer of the path constrains names; URI constraints cannot be enforced, so none passes.
    #[error("an issuer of the chain constrains names")]
    NameConstraint,
    /// The leaf is not for both client and server authentication.
    #[error("the certificate is not for both client and server authentication")]
    ExtendedKeyUsage,
    /// The path fails for another reason.
    #[error("the chain is not valid")]
    Path {
        /// What webpki met.
        #[source]
        source: webpki::Error,
    },
    /// There is no URI among the names.
    #[error("the certificate names no URI")]
    NoUri,
    /// There is more than one URI among the names, readable or not.
    #[error("the certificate names {count} URIs")]
    ManyUris {
        /// How many.
        count: usize,
    },
    /// The one URI is no text.
    #[error("the URI of the certificate is not UTF-8")]
    UnreadableUri,
    /// The one URI is no SPIFFE ID of a workload.
    #[error("the URI of the certificate is no SPIFFE ID")]
    SpiffeId {
        /// Which rule it breaks.
        #[source]
        source: ParseSpiffeError,
    },
    /// The identity lies in another trust domain than the roots that vouch for it.
    #[error("`{id}` is not of trust domain `{trust_domain}`")]
    ForeignDomain {
        /// What the certificate says.
        id: SpiffeId,
        /// The domain of the bundle.
        trust_domain: TrustDomain,
    },
    /// The leaf has no key usage, or one without digital signature.
    #[error("the certificate is not for digital signatures")]
    NoDigitalSignature,
    /// The leaf may sign certificates or revocation lists, or is an authority.
    #[error("the certificate is one of an authority, not of a workload")]
    Authority,
}

/// Verifies that `chain` (leaf first) proves one identity in the bundle's trust domain, and returns it.
///
/// # Errors
/// One variant of [`VerifyPeerError`] per fault.
///
/// # Source
/// SPIFFE X509-SVID sections 2 to 5; RFC 5280 section 6.
pub fn verify_peer(
    chain: &[CertificateDer<'_>],
    bundle: &TrustBundle,
    now: WallTime,
    purpose: Purpose,
) -> Result<SpiffeId, VerifyPeerError> {
    let Some((leaf, intermediates)) = chain.split_first() else {
        return Err(VerifyPeerError::NoCertificate);
    };
    verify_leaf(leaf, intermediates, bundle, now, purpose)
}

/// As [`verify_peer`], with the chain as a TLS library hands it over.
pub(crate) fn verify_leaf(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    bundle: &TrustBundle,
    now: WallTime,
    purpose: Purpose,
) -> Result<SpiffeId, VerifyPeerError> {
    if intermediates.len() >= CHAIN_CERTIFICATES_MAX {
        return Err(VerifyPeerError::TooManyCertificates);
    }
    let bytes = intermediates.iter().fold(leaf.len(), |sum, der| sum.saturating_add(der.len()));
    if bytes > CHAIN_BYTES_MAX {
        return Err(VerifyPeerError::TooLarge);
    }
    verify_path(leaf, intermediates, bundle, now, purpose)?;
    let certificate = parse(leaf).ok_or(VerifyPeerError::Malformed)?;
    let id = identity(&certificate)?;
    if id.trust_domain() != bundle.trust_domain().as_str() {
        let trust_domain = bundle.trust_domain().clone();
        return Err(VerifyPeerError::ForeignDomain { id, trust_domain });
    }
    verify_usage(&certificate)?;
    Ok(id)
}

/// The identity in a chain that a finished handshake has verified.
///
/// # Errors
/// The variants of [`VerifyPeerError`] that are about the leaf's name.
pub fn peer_id(chain: &[CertificateDer<'_>]) -> Result<SpiffeId, VerifyPeerError> {
    let leaf = chain.first().ok_or(VerifyPeerError::NoCertificate)?;
    identity(&parse(leaf).ok_or(VerifyPeerError::Malformed)?)
}

fn verify_path(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    bundle: &TrustBundle,
    now: WallTime,
    purpose: Purpose,
) -> Result<(), VerifyPeerError> {
    let usage = match purpose {
        Purpose::Client => KeyUsage::client_auth(),
        Purpose::Server => KeyUsage::server_auth(),
    };
    let time = UnixTime::since_unix_epoch(now.since_unix());
    let fault = |source| path_fault(source, bundle.trust_domain());
    EndEntityCert::try_from(leaf)
        .map_err(fault)?
        .verify_for_usage(
            CHAIN_ALGORITHMS,
            bundle.anchors(),
            intermediates,
            time,
            usage,
            None,
            None,
        )
        .map_err(fault)?;
    Ok(())
}

fn path_fault(source: webpki::Error, trust_domain: &TrustDomain) -> VerifyPeerError {
    let wall = |time: UnixTime| WallTime::from_unix(std::time::Duration::from_secs(time.as_secs()));
    if let webpki::Error::CertExpired { time, not_after } = source {
        return VerifyPeerError::Expired { now: wall(time), not_after: wall(not_after) };
    }
    if let webpki::Error::CertNotValidYet { time, not_before } = source {
        return VerifyPeerError::NotYetValid { now: wall(time), not_before: wall(not_before) };
    }
    // The second: an issuer of that name exists, but another key signed.
    if matches!(source, webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey)
    {
        return VerifyPeerError::UnknownIssuer { trust_domain: trust_domain.clone() };
    }
    if matches!(source, webpki::Error::NameConstraintViolation) {
        return VerifyPeerError::NameConstraint;
    }
    if matches!(source, webpki::Error::RequiredEkuNotFoundContext(_)) {
        return VerifyPeerError::ExtendedKeyUsage;
    }
    if matches!(source, webpki::Error::CaUsedAsEndEntity) {
        return VerifyPeerError::Authority;
    }
    VerifyPeerError::Path { source }
}

/// The one identity of a certificate: exactly one URI, and that a SPIFFE ID with a path.
fn identity(certificate: &X509Certificate<'_>) -> Result<SpiffeId, VerifyPeerError> {
    let uris = uri_names(certificate).ok_or(VerifyPeerError::Malformed)?;
    match uris.as_slice() {
        [] => Err(VerifyPeerError::NoUri),
        [UriName::Unreadable] => Err(VerifyPeerError::UnreadableUri),
        [UriName::Text(uri)] => uri.parse().map_err(|source| VerifyPeerError::SpiffeId { source }),
        many => Err(VerifyPeerError::ManyUris { count: many.len() }),
    }
}

/// What webpki does not look at: a workload's certificate signs handshakes, in both directions, and nothing else.
fn verify_usage(certificate: &X509Certificate<'_>) -> Result<(), VerifyPeerError> {
    let (mut signs_handshakes, mut both_ways) = (false, false);
    for extension in certificate.extensions() {
        let parsed = extension.parsed_extension();
        if let ParsedExtension::KeyUsage(usage) = parsed {
            if usage.key_cert_sign() || usage.crl_sign() {
                return Err(VerifyPeerError::Authority);
            }
            signs_handshakes = usage.digital_signature();
        } else if let ParsedExtension::BasicConstraints(constraints) = parsed {
            if constraints.ca {
                return Err(VerifyPeerError::Authority);
            }
        } else if let ParsedExtension::ExtendedKeyUsage(usage) = parsed {
            both_ways = usage.server_auth && usage.client_auth;
        }
    }
    if !signs_handshakes {
        return Err(VerifyPeerError::NoDigitalSignature);
    }
    if !both_ways {
        return Err(VerifyPeerError::ExtendedKeyUsage);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
