//! Names of fleet objects: services, gateways, routes, labels, hosts.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// Longest name in bytes: the limit of one DNS label.
pub const NAME_BYTES_MAX: usize = 63;

/// Names the language keeps for itself.
pub const RESERVED: [&str; 2] = ["ringfort", "plaintext"];

/// The name of a fleet object: `[a-z][a-z0-9-]{0,62}`, not reserved. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// A label of services and gateways, with the grammar of [`Name`].
pub type Label = Name;

/// Why a text is no [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseNameError {
    /// Nothing was written.
    #[error("a name cannot be empty")]
    Empty,
    /// More than [`NAME_BYTES_MAX`] bytes.
    #[error("a name has at most {NAME_BYTES_MAX} characters")]
    TooLong,
    /// A character outside the grammar.
    #[error("a name starts with a lower-case letter and continues with letters, digits and `-`")]
    Character,
    /// The word belongs to the language.
    #[error("`{0}` is a reserved name")]
    Reserved(String),
}

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        let mut bytes = text.bytes();
        let Some(first) = bytes.next() else { return Err(ParseNameError::Empty) };
        if text.len() > NAME_BYTES_MAX {
            return Err(ParseNameError::TooLong);
        }
        let tail_is_good = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !first.is_ascii_lowercase() || !tail_is_good {
            return Err(ParseNameError::Character);
        }
        if RESERVED.contains(&text) {
            return Err(ParseNameError::Reserved(text.to_owned()));
        }
        Ok(Self(Arc::from(text)))
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

#[cfg(test)]
mod tests;
