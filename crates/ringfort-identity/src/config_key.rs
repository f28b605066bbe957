//! The keys that sign configuration: a proxy trusts a snapshot because a config key of its bundle signed it.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use ringfort_model::{ConfigVerifier, Digest, Secret, SecureRandom, VerifyConfigError};

use crate::Sha256Digester;

/// Put in front of what is signed, so that a signature of this key is never good for anything else.
const CONTEXT: &[u8] = b"ringfort.v1 manifest signature\0";

/// Length of a seed and of a public key.
///
/// # Source
/// RFC 8032 section 5.1.5.
pub const CONFIG_KEY_BYTES: usize = 32;

/// The server's key that signs manifests: Ed25519.
pub struct ConfigKey {
    seed: Secret<[u8; CONFIG_KEY_BYTES]>,
    pair: Ed25519KeyPair,
    public: ConfigPublicKey,
}

/// The public half of a [`ConfigKey`], as it travels in the trust bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigPublicKey {
    id: String,
    bytes: [u8; CONFIG_KEY_BYTES],
}

/// The bytes are no Ed25519 key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 key of {CONFIG_KEY_BYTES} bytes")]
pub struct ReadConfigKeyError;

/// The config keys a proxy trusts, by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigKeys(BTreeMap<String, ConfigPublicKey>);

impl ConfigKey {
    /// A new key whose seed is random.
    ///
    /// # Errors
    /// [`ReadConfigKeyError`]: the library does not take the seed.
    pub fn generate(random: &mut dyn SecureRandom) -> Result<Self, ReadConfigKeyError> {
        let mut seed = Secret::new([0_u8; CONFIG_KEY_BYTES]);
        random.fill(seed.expose_mut());
        Self::from_seed(seed)
    }

    /// The key of a stored seed.
    ///
    /// # Errors
    /// [`ReadConfigKeyError`]: the library does not take the seed.
    pub fn from_seed(seed: Secret<[u8; CONFIG_KEY_BYTES]>) -> Result<Self, ReadConfigKeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose())
            .map_err(|_rejected| ReadConfigKeyError)?;
        let public = ConfigPublicKey::read(pair.public_key().as_ref())?;
        Ok(Self { seed, pair, public })
    }

    /// The seed, to be stored sealed.
    #[must_use]
    pub const fn seed(&self) -> &Secret<[u8; CONFIG_KEY_BYTES]> {
        &self.seed
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &ConfigPublicKey {
        &self.public
    }

    /// Signs the digest of a manifest.
    #[must_use]
    pub fn sign(&self, digest: &Digest) -> Vec<u8> {
        self.pair.sign(&signed_text(digest)).as_ref().to_vec()
    }
}

impl fmt::Debug for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigKey({}, ***)", self.public.id)
    }
}

impl ConfigPublicKey {
    /// Reads a public key; its id is made of its bytes, so no one can give it another.
    ///
    /// # Errors
    /// [`ReadConfigKeyError`]: not [`CONFIG_KEY_BYTES`] bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadConfigKeyError> {
        let bytes: [u8; CONFIG_KEY_BYTES] =
            bytes.try_into().map_err(|_wrong_length| ReadConfigKeyError)?;
        Ok(Self { id: Sha256Digester.plain(&bytes).short(), bytes })
    }

    /// The key's id: the first 12 hex digits of its SHA-256.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key itself.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; CONFIG_KEY_BYTES] {
        &self.bytes
    }
}

impl FromIterator<ConfigPublicKey> for ConfigKeys {
    fn from_iter<I: IntoIterator<Item = ConfigPublicKey>>(keys: I) -> Self {
        Self(keys.into_iter().map(|key| (key.id.clone(), key)).collect())
    }
}

impl ConfigVerifier for ConfigKeys {
    fn verify(
        &self,
        key_id: &str,
        digest: &Digest,
        signature: &[u8],
    ) -> Result<(), VerifyConfigError> {
        let key =
            self.0.get(key_id).ok_or_else(|| VerifyConfigError::UnknownKey(key_id.to_owned()))?;
        UnparsedPublicKey::new(&ED25519, key.bytes)
            .verify(&signed_text(digest), signature)
            .map_err(|_unspecified| VerifyConfigError::Signature(key_id.to_owned()))
    }
}

fn signed_text(digest: &Digest) -> Vec<u8> {
    [CONTEXT, digest.as_bytes()].concat()
}

#[cfg(test)]
mod tests;
