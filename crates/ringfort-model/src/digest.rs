//! SHA-256 digests as values; computing them is `ringfort-identity`'s work, handed in as [`Digester`].

use std::{fmt, str::FromStr};

/// A SHA-256 digest; prints as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Computes SHA-256 over length-prefixed parts, so that no two different lists of parts collide.
pub trait Digester: Send + Sync {
    /// Digests `parts`: for each its length as 8 bytes big-endian, then its bytes.
    fn digest(&self, parts: &[&[u8]]) -> Digest;
}

/// Verifies who signed a digest; the real one is `ringfort-identity`'s set of config keys.
pub trait ConfigVerifier: Send + Sync {
    /// Verifies `signature` over `digest` with the key called `key_id`.
    ///
    /// # Errors
    /// - [`VerifyConfigError::UnknownKey`]: the bundle does not name this key.
    /// - [`VerifyConfigError::Signature`]: the key did not sign this digest.
    fn verify(
        &self,
        key_id: &str,
        digest: &Digest,
        signature: &[u8],
    ) -> Result<(), VerifyConfigError>;
}

/// Why a configuration is not the server's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyConfigError {
    /// No trusted config key has this id.
    #[error("unknown config key `{0}`")]
    UnknownKey(String),
    /// The signature does not belong to the digest and key.
    #[error("the signature of config key `{0}` does not fit")]
    Signature(String),
}

/// Computes the plain SHA-256 of content handed over in pieces: what `sha256sum` prints for a file.
pub trait ContentDigester: Send {
    /// Takes the next piece.
    fn update(&mut self, piece: &[u8]);
    /// The digest of all pieces in order.
    fn finish(self: Box<Self>) -> Digest;
}

/// The text is not 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not 64 hex digits")]
pub struct ParseDigestError;

impl Digest {
    /// The digest with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 hex digits, for people; never for comparison.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let mut bytes = [0_u8; 32];
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ParseDigestError);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let hex = std::str::from_utf8(pair).map_err(|_not_text| ParseDigestError)?;
            *byte = u8::from_str_radix(hex, 16).map_err(|_not_hex| ParseDigestError)?;
        }
        Ok(Self(bytes))
    }
}
