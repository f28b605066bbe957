//! Sealing of secrets that rest in the store: AES-256-GCM under the server's sealing key.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ringfort_model::{Secret, SecureRandom};

/// First byte of everything sealed, so that a later format can be told apart.
const FORMAT: u8 = 1;

/// Length of the sealing key.
pub const SEALING_KEY_BYTES: usize = 32;

/// Seals and opens secrets.
///
/// Each sealed text has its own random 96-bit nonce. Limit: 2^32 texts per key (NIST SP 800-38D section 8.3); a
/// server seals a few per day.
pub struct Sealer {
    key: LessSafeKey,
    bytes: Secret<[u8; SEALING_KEY_BYTES]>,
}

/// The library could not seal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot seal the secret")]
pub struct SealError;

/// Why something sealed stays shut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenSealedError {
    /// Too short, or of an unknown format.
    #[error("not a sealed secret of a known format")]
    Format,
    /// Sealed with another key, for another purpose, or changed since.
    #[error("the secret was sealed with another key or for another purpose, or was changed")]
    Refused,
}

impl Sealer {
    /// A sealer under this key.
    ///
    /// # Errors
    /// [`SealError`]: the library does not take the key.
    pub fn new(bytes: Secret<[u8; SEALING_KEY_BYTES]>) -> Result<Self, SealError> {
        let key = UnboundKey::new(&AES_256_GCM, bytes.expose()).map_err(|_refused| SealError)?;
        Ok(Self { key: LessSafeKey::new(key), bytes })
    }

    /// A sealer under a new random key.
    ///
    /// # Errors
    /// [`SealError`]: the library does not take the key.
    pub fn generate(random: &mut dyn SecureRandom) -> Result<Self, SealError> {
        let mut bytes = Secret::new([0_u8; SEALING_KEY_BYTES]);
        random.fill(bytes.expose_mut());
        Self::new(bytes)
    }

    /// The sealing key, to be stored in a file only its owner reads.
    #[must_use]
    pub const fn key(&self) -> &Secret<[u8; SEALING_KEY_BYTES]> {
        &self.bytes
    }

    /// Seals `secret` for one purpose; it opens only for the same `purpose`.
    ///
    /// # Errors
    /// [`SealError`]: the library failed.
    pub fn seal(
        &self,
        purpose: &str,
        secret: &Secret<Vec<u8>>,
        random: &mut dyn SecureRandom,
    ) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0_u8; NONCE_LEN];
        random.fill(&mut nonce);
        // Encrypted in place inside a `Secret`, so that no plain copy is left should the library fail.
        let mut text = secret.clone();
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(purpose.as_bytes()),
                text.expose_mut(),
            )
            .map_err(|_unspecified| SealError)?;
        Ok([&[FORMAT], nonce.as_slice(), text.expose(), tag.as_ref()].concat())
    }

    /// Opens what [`Self::seal`] made for the same purpose.
    ///
    /// # Errors
    /// - [`OpenSealedError::Format`]: not one of ours.
    /// - [`OpenSealedError::Refused`]: another key or purpose, or the bytes were changed.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, OpenSealedError> {
        let Some((&FORMAT, rest)) = sealed.split_first() else {
            return Err(OpenSealedError::Format);
        };
        let Some((nonce, text)) = rest.split_first_chunk::<NONCE_LEN>() else {
            return Err(OpenSealedError::Format);
        };
        let mut text = Secret::new(text.to_vec());
        let plain_bytes = self
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(purpose.as_bytes()),
                text.expose_mut(),
            )
            .map_err(|_unspecified| OpenSealedError::Refused)?
            .len();
        text.expose_mut().truncate(plain_bytes);
        Ok(text)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(***)")
    }
}

#[cfg(test)]
mod tests;
