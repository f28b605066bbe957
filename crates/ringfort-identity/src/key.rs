//! P-256 key pairs: of workloads, of the authority, of public listeners.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    agreement::{ECDH_P256, PrivateKey},
    encoding::{AsDer as _, Pkcs8V1Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use ringfort_model::Secret;

/// A P-256 private key with its public half. Cheap to clone; the memory is zeroed with the last clone.
#[derive(Clone)]
pub struct KeyPair {
    pkcs8: Arc<Secret<Vec<u8>>>,
    signer: Arc<EcdsaKeyPair>,
}

/// Why there is no key pair.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The library could not make a key.
    #[error("cannot make a P-256 key")]
    Generate,
    /// The bytes are no PKCS#8 document of a P-256 key.
    #[error("not a P-256 key in PKCS#8")]
    Read,
    /// The library could not sign.
    #[error("cannot sign with the P-256 key")]
    Sign,
}

impl KeyPair {
    /// Makes a new key with the library's own randomness.
    ///
    /// # Errors
    /// [`KeyError::Generate`]: the library failed.
    pub fn generate() -> Result<Self, KeyError> {
        // Made as an agreement key, because only that type exports PKCS#8 through a buffer that is zeroed.
        let document: Pkcs8V1Der<'static> = PrivateKey::generate(&ECDH_P256)
            .and_then(|made| made.as_der())
            .map_err(|_unspecified| KeyError::Generate)?;
        Self::from_pkcs8(Secret::new(document.as_ref().to_vec()))
            .map_err(|_rejected| KeyError::Generate)
    }

    /// Reads a key from its PKCS#8 document.
    ///
    /// # Errors
    /// [`KeyError::Read`]: the bytes are no P-256 key, or its public half does not fit.
    pub fn from_pkcs8(pkcs8: Secret<Vec<u8>>) -> Result<Self, KeyError> {
        let signer = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.expose())
            .map_err(|_rejected| KeyError::Read)?;
        Ok(Self { pkcs8: Arc::new(pkcs8), signer: Arc::new(signer) })
    }

    /// The PKCS#8 document, to be stored sealed or in a file only its owner reads.
    #[must_use]
    pub fn pkcs8(&self) -> &Secret<Vec<u8>> {
        &self.pkcs8
    }

    /// The public half: an uncompressed point of 65 bytes.
    #[must_use]
    pub fn public_point(&self) -> &[u8] {
        self.signer.public_key().as_ref()
    }

    /// Signs with ECDSA over SHA-256; the signature is in ASN.1.
    ///
    /// # Errors
    /// [`KeyError::Sign`]: the library failed.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self
            .signer
            .sign(&SystemRandom::new(), message)
            .map_err(|_unspecified| KeyError::Sign)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair(***)")
    }
}

impl rcgen::PublicKeyData for KeyPair {
    fn der_bytes(&self) -> &[u8] {
        self.public_point()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for KeyPair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Self::sign(self, message).map_err(|_failed| rcgen::Error::RemoteKeyError)
    }
}

#[cfg(test)]
mod tests;
