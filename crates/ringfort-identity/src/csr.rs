//! Certificate signing requests. A request contributes its public key and the proof that the sender holds the private
//! half; names, usages and extensions written in it are ignored.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::CertificateParams;
use x509_parser::{
    certification_request::X509CertificationRequest,
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ECDSA_WITH_SHA256},
    prelude::FromDer as _,
};

use crate::{KeyPair, SignCertificateError, authority::unnamed};

/// Largest request in bytes; ours have about 220.
pub const CSR_BYTES_MAX: usize = 4096;

/// Length of an uncompressed P-256 point.
const POINT_BYTES: usize = 65;

/// The public key of a request whose sender proved to hold the private half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedKey {
    point: Vec<u8>,
}

/// Why a signing request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadCsrError {
    /// Longer than [`CSR_BYTES_MAX`].
    #[error("the signing request has more than {CSR_BYTES_MAX} bytes")]
    TooLarge,
    /// Not one DER document of PKCS#10.
    #[error("not a signing request in DER")]
    Malformed,
    /// The key is not on P-256, or the request is not signed with ECDSA and SHA-256.
    #[error("the signing request is not of a P-256 key with ECDSA and SHA-256")]
    Algorithm,
    /// The sender does not hold the private half.
    #[error("the signing request is not signed by its own key")]
    NoPossession,
}

impl KeyPair {
    /// Makes a signing request that names nothing but the key.
    ///
    /// # Errors
    /// [`SignCertificateError::Encode`]: the library failed.
    pub fn csr_der(&self) -> Result<Vec<u8>, SignCertificateError> {
        let params: CertificateParams = unnamed();
        let request = params
            .serialize_request(self)
            .map_err(|source| SignCertificateError::Encode { source })?;
        Ok(request.der().to_vec())
    }
}

impl RequestedKey {
    /// Reads a signing request and verifies its proof of possession.
    ///
    /// # Errors
    /// One variant of [`ReadCsrError`] per step.
    ///
    /// # Source
    /// RFC 2986 section 4.2.
    pub fn from_csr(der: &[u8]) -> Result<Self, ReadCsrError> {
        if der.len() > CSR_BYTES_MAX {
            return Err(ReadCsrError::TooLarge);
        }
        let (rest, csr) = X509CertificationRequest::from_der(der)
            .map_err(|_malformed| ReadCsrError::Malformed)?;
        if !rest.is_empty() {
            return Err(ReadCsrError::Malformed);
        }
        let info = &csr.certification_request_info;
        let key = &info.subject_pki;
        let curve = key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
        let point: &[u8] = &key.subject_public_key.data;
        if key.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY
            || curve != Some(OID_EC_P256)
            || csr.signature_algorithm.algorithm != OID_SIG_ECDSA_WITH_SHA256
            || point.len() != POINT_BYTES
        {
            return Err(ReadCsrError::Algorithm);
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
            .verify(info.raw, &csr.signature_value.data)
            .map_err(|_unspecified| ReadCsrError::NoPossession)?;
        Ok(Self { point: point.to_vec() })
    }

    /// The public key: an uncompressed point of 65 bytes.
    #[must_use]
    pub fn public_point(&self) -> &[u8] {
        &self.point
    }
}

impl rcgen::PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

#[cfg(test)]
mod tests;
