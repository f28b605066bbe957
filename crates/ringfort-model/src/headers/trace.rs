//! `traceparent` of W3C Trace Context: read strictly, continued or begun.

use std::{fmt, num::NonZero};

use crate::SecureRandom;

/// Where a request stands in a trace.
///
/// # Source
/// W3C Trace Context, Recommendation of 23 November 2021, section 3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The whole trace.
    pub trace_id: NonZero<u128>,
    /// The span that sent the request.
    pub span_id: NonZero<u64>,
    /// Whether the caller records it.
    pub sampled: bool,
}

/// The text is no `traceparent` this version can read; a new trace begins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no valid `traceparent`")]
pub struct ParseTraceParentError;

impl TraceParent {
    /// Reads all values of the field; more than one is none.
    ///
    /// # Errors
    /// [`ParseTraceParentError`]: the caller begins a new trace and drops `tracestate`.
    pub fn parse<'a>(
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, ParseTraceParentError> {
        let mut values = values.into_iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(ParseTraceParentError);
        };
        read(value.trim_ascii()).ok_or(ParseTraceParentError)
    }

    /// Begins a trace.
    pub fn begin(random: &mut dyn SecureRandom, sampled: bool) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        let trace_id = NonZero::new(u128::from_be_bytes(bytes)).unwrap_or(NonZero::<u128>::MIN);
        Self { trace_id, span_id: new_span(random), sampled }
    }

    /// The same trace, one span further.
    #[must_use]
    pub fn next(self, random: &mut dyn SecureRandom) -> Self {
        Self { span_id: new_span(random), ..self }
    }
}

/// Prints version 00: 55 characters.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

fn new_span(random: &mut dyn SecureRandom) -> NonZero<u64> {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    NonZero::new(u64::from_be_bytes(bytes)).unwrap_or(NonZero::<u64>::MIN)
}

fn read(value: &[u8]) -> Option<TraceParent> {
    let text = std::str::from_utf8(value).ok()?;
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let mut parts = text.splitn(5, '-');
    let version = hex(parts.next()?, 2)?;
    let trace_id = NonZero::new(hex(parts.next()?, 32)?)?;
    let span_id = u64::try_from(hex(parts.next()?, 16)?).ok()?;
    let flags = hex(parts.next()?, 2)?;
    // Version ff is forbidden; only a later version than 00 may have more parts.
    if version == 0xFF || (version == 0 && parts.next().is_some()) {
        return None;
    }
    Some(TraceParent { trace_id, span_id: NonZero::new(span_id)?, sampled: flags & 1 == 1 })
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    if text.len() != digits || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests;
