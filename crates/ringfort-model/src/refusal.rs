//! A ring's "no": a value, not an error.

use std::{borrow::Cow, fmt, str::FromStr};

use crate::Ring;

/// The id under which a decision is recorded; 32 hex digits. `ringfort explain` resolves it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionId(u128);

/// The text is not 32 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a decision id has 32 hex digits")]
pub struct ParseDecisionIdError;

impl DecisionId {
    /// The id made of a per-process random half and a counter.
    #[must_use]
    pub const fn new(process: u64, counter: u64) -> Self {
        Self(((process as u128) << 64) | counter as u128)
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DecisionId {
    type Err = ParseDecisionIdError;

    fn from_str(text: &str) -> Result<Self, ParseDecisionIdError> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ParseDecisionIdError);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_not_hex| ParseDecisionIdError)
    }
}

/// Why a request or connection was not let through.
///
/// The caller sees `status` and the decision id alone; `ring`, `reason` and `detail` go to the log and to `explain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The ring that refused.
    pub ring: Ring,
    /// A fixed word for metrics and tests, e.g. `path_dots`; never made from request data.
    pub reason: &'static str,
    /// One sentence for the operator; may quote request data, which is escaped where it is printed.
    pub detail: Cow<'static, str>,
    /// The HTTP status the caller sees.
    pub status: u16,
    /// Whether the connection ends with this answer.
    pub closes: bool,
}

impl Refusal {
    /// A refusal after which the connection may carry further requests.
    pub fn new(
        ring: Ring,
        status: u16,
        reason: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { ring, reason, detail: detail.into(), status, closes: false }
    }

    /// The same refusal, ending the connection.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }
}
