//! Path patterns: exact segments, `{x}` for one segment, a final `/*` for this path and all below it.

use std::{cmp::Ordering, fmt, str::FromStr};

/// Most segments of a pattern.
pub const SEGMENTS_MAX: usize = 64;

/// Which paths a route or operation covers. Ordered by specificity: more specific is greater.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
    subtree: bool,
}

/// One segment of a pattern, as it is compared with a segment of a canonical path's `key`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// `{name}`: any one non-empty segment.
    Parameter(String),
    /// Exactly this text.
    Exact(String),
}

/// Why a text is no path pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParsePathError {
    /// The pattern does not begin with `/`.
    #[error("a path begins with `/`")]
    NoSlash,
    /// An empty or dot segment that no canonical path has.
    #[error("a path has no empty, `.` or `..` segment")]
    Segment,
    /// `*` anywhere but as the whole last segment.
    #[error("`*` stands only at the end, after `/`")]
    Star,
    /// Braces that do not enclose one whole segment with a name.
    #[error("`{{name}}` stands for one whole segment")]
    Brace,
    /// A character that a canonical path cannot have.
    #[error("a path pattern has no `%`, `?`, `#`, `;`, `\\`, blank or control character")]
    Character,
    /// More than [`SEGMENTS_MAX`] segments.
    #[error("a path has at most {SEGMENTS_MAX} segments")]
    TooLong,
}

impl PathPattern {
    /// Whether the canonical path `key` (see [`crate::CanonicalRequest`]) is covered; `/x` and `/x/` are the same.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        let mut rest = split(key);
        for segment in &self.segments {
            let Some(part) = rest.next() else { return false };
            if !segment.matches(part) {
                return false;
            }
        }
        self.subtree || rest.next().is_none()
    }

    /// The segments before a final `/*`.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether everything below is covered too (`/*`).
    #[must_use]
    pub const fn is_subtree(&self) -> bool {
        self.subtree
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether some path matches both patterns.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let mut shared = self.segments.iter().zip(&other.segments);
        let compatible = |(a, b): (&Segment, &Segment)| match (a, b) {
            (Segment::Exact(a), Segment::Exact(b)) => a == b,
            (Segment::Parameter(_), Segment::Exact(_) | Segment::Parameter(_))
            | (Segment::Exact(_), Segment::Parameter(_)) => true,
        };
        let lengths = match self.segments.len().cmp(&other.segments.len()) {
            Ordering::Less => self.subtree,
            Ordering::Greater => other.subtree,
            Ordering::Equal => true,
        };
        lengths && shared.all(compatible)
    }

    /// Whether every path that matches `other` matches this pattern, too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let lengths = match self.segments.len().cmp(&other.segments.len()) {
            Ordering::Less => self.subtree,
            Ordering::Equal => self.subtree || !other.subtree,
            Ordering::Greater => false,
        };
        let wider = |(own, other): (&Segment, &Segment)| match (own, other) {
            (Segment::Parameter(_), Segment::Exact(_) | Segment::Parameter(_)) => true,
            (Segment::Exact(own), Segment::Exact(other)) => own == other,
            (Segment::Exact(_), Segment::Parameter(_)) => false,
        };
        lengths && self.segments.iter().zip(&other.segments).all(wider)
    }
}

impl Segment {
    fn matches(&self, part: &str) -> bool {
        match self {
            Self::Parameter(_) => !part.is_empty(),
            Self::Exact(text) => text == part,
        }
    }
}

/// Splits a path into its segments, ignoring one trailing slash.
pub(crate) fn split(path: &str) -> impl Iterator<Item = &str> + Clone {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let empty = inner.is_empty();
    inner.split('/').filter(move |_| !empty)
}

/// Compares specificity segment by segment: exact before parameter before subtree; the first difference decides.
impl Ord for PathPattern {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |pattern: &Self, index: usize| match pattern.segments.get(index) {
            Some(Segment::Exact(_)) => 3,
            Some(Segment::Parameter(_)) => 2,
            None if pattern.subtree => 1,
            None => 4,
        };
        let longest = self.segments.len().max(other.segments.len());
        (0..=longest)
            .map(|index| rank(self, index).cmp(&rank(other, index)))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for PathPattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for PathPattern {
    type Err = ParsePathError;

    fn from_str(text: &str) -> Result<Self, ParsePathError> {
        let path = text.strip_prefix('/').ok_or(ParsePathError::NoSlash)?;
        let (path, subtree) = match path.strip_suffix('*') {
            Some(front) if front.is_empty() || front.ends_with('/') => (front, true),
            Some(_) => return Err(ParsePathError::Star),
            None => (path, false),
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut segments = Vec::new();
        if !path.is_empty() {
            for part in path.split('/') {
                segments.push(part.parse()?);
            }
        }
        if segments.len() > SEGMENTS_MAX {
            return Err(ParsePathError::TooLong);
        }
        Ok(Self { text: text.to_owned(), segments, subtree })
    }
}

impl FromStr for Segment {
    type Err = ParsePathError;

    fn from_str(part: &str) -> Result<Self, ParsePathError> {
        if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            if name.is_empty() || !name.bytes().all(good) {
                return Err(ParsePathError::Brace);
            }
            return Ok(Self::Parameter(name.to_owned()));
        }
        match part {
            "" | "." | ".." => return Err(ParsePathError::Segment),
            _ if part.contains(['{', '}']) => return Err(ParsePathError::Brace),
            _ if part.contains('*') => return Err(ParsePathError::Star),
            _ => {}
        }
        let bad = |c: char| {
            matches!(c, '%' | '?' | '#' | ';' | '\\') || c.is_whitespace() || c.is_control()
        };
        if part.contains(bad) {
            return Err(ParsePathError::Character);
        }
        Ok(Self::Exact(part.to_owned()))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
