//! PEM (RFC 7468) for people and for other programs: chains, bundles and keys.

use ::pem::{EncodeConfig, LineEnding, Pem};
use ringfort_model::Secret;
use zeroize::Zeroize as _;

use crate::{KeyError, KeyPair};

/// Longest PEM text that is read.
pub const PEM_BYTES_MAX: usize = 256 * 1024;

const CERTIFICATE: &str = "CERTIFICATE";
const PRIVATE_KEY: &str = "PRIVATE KEY";

/// Why a PEM text is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadPemError {
    /// Longer than [`PEM_BYTES_MAX`].
    #[error("the PEM text has more than {PEM_BYTES_MAX} bytes")]
    TooLarge,
    /// Not PEM.
    #[error("not a PEM text")]
    Malformed,
    /// A section that does not belong here.
    #[error("a PEM section `{found}` where `{expected}` belongs")]
    Section {
        /// What belongs here.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// There is no section, or more than the one expected.
    #[error("the PEM text has {found} sections")]
    Count {
        /// How many.
        found: usize,
    },
    /// The key is no P-256 key.
    #[error("the PEM text holds no usable key")]
    Key {
        /// Why.
        #[source]
        source: KeyError,
    },
}

/// Writes certificates, one section each.
#[must_use]
pub fn encode_certificates<'a>(ders: impl IntoIterator<Item = &'a [u8]>) -> String {
    let sections: Vec<_> = ders.into_iter().map(|der| Pem::new(CERTIFICATE, der)).collect();
    ::pem::encode_many_config(&sections, line_feeds())
}

/// Reads certificates in DER, at least one; other sections are refused.
///
/// # Errors
/// One variant of [`ReadPemError`] per fault.
pub fn decode_certificates(text: &str) -> Result<Vec<Vec<u8>>, ReadPemError> {
    let sections = sections(text, CERTIFICATE)?;
    if sections.is_empty() {
        return Err(ReadPemError::Count { found: 0 });
    }
    Ok(sections.into_iter().map(Pem::into_contents).collect())
}

/// Writes a private key in PKCS#8.
#[must_use]
pub fn encode_key(key: &KeyPair) -> Secret<String> {
    let section = Pem::new(PRIVATE_KEY, key.pkcs8().expose().as_slice());
    let text = Secret::new(::pem::encode_config(&section, line_feeds()));
    section.into_contents().zeroize();
    text
}

/// Reads one private key in PKCS#8.
///
/// # Errors
/// One variant of [`ReadPemError`] per fault.
pub fn decode_key(text: &Secret<String>) -> Result<KeyPair, ReadPemError> {
    let mut keys: Vec<_> = sections(text.expose(), PRIVATE_KEY)?
        .into_iter()
        .map(|section| Secret::new(section.into_contents()))
        .collect();
    match (keys.pop(), keys.len()) {
        (Some(key), 0) => KeyPair::from_pkcs8(key).map_err(|source| ReadPemError::Key { source }),
        (last, before) => {
            Err(ReadPemError::Count { found: before.saturating_add(usize::from(last.is_some())) })
        }
    }
}

fn sections(text: &str, expected: &'static str) -> Result<Vec<Pem>, ReadPemError> {
    if text.len() > PEM_BYTES_MAX {
        return Err(ReadPemError::TooLarge);
    }
    let sections = ::pem::parse_many(text).map_err(|_malformed| ReadPemError::Malformed)?;
    match sections.iter().find(|section| section.tag() != expected) {
        Some(other) => Err(ReadPemError::Section { expected, found: other.tag().to_owned() }),
        None => Ok(sections),
    }
}

fn line_feeds() -> EncodeConfig {
    EncodeConfig::new().set_line_ending(LineEnding::LF)
}

#[cfg(test)]
mod tests;
