//! What the tour says: one line per step, and a sum.

use std::fmt;

use super::{Expected, Seen, Step};

/// Columns of a step's title.
const TITLE_COLUMNS: usize = 70;

/// One step and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its place, from 1.
    pub number: usize,
    /// The step.
    pub step: Step,
    /// What came back.
    pub seen: Seen,
}

/// The whole tour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Every step, in order.
    pub outcomes: Vec<Outcome>,
}

impl Outcome {
    /// Whether the wall held, or the control worked.
    #[must_use]
    pub fn held(&self) -> bool {
        self.step.expected.holds(&self.seen)
    }
}

impl Report {
    /// Whether every step held.
    #[must_use]
    pub fn all_held(&self) -> bool {
        !self.outcomes.is_empty() && self.outcomes.iter().all(Outcome::held)
    }
}

/// One line; two more when the step did not hold.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.held() { "held  " } else { "BROKEN" };
        let Step { ring, title, .. } = self.step;
        let ring = ring.as_str();
        write!(f, "{:>2}  {word}  {ring:<9}  {title:<TITLE_COLUMNS$}  {}", self.number, self.seen)?;
        if !self.held() {
            write!(
                f,
                "\n              expected: {}\n              seen:     {:?}",
                self.step.expected, self.seen
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken = self.outcomes.iter().filter(|outcome| !outcome.held()).count();
        let all = self.outcomes.len();
        match broken {
            0 => write!(f, "all {all} steps held"),
            broken => write!(f, "{broken} of {all} steps did not hold"),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Served(status) => write!(f, "{status} of the shop"),
            Self::Refused(status) => write!(f, "{status} with a decision id"),
            Self::ToHttps => f.write_str("a redirect to https"),
            Self::IntruderRefused => f.write_str("web reports a refusal with a decision id"),
            Self::IntruderServed => f.write_str("web reports success"),
            Self::NotForwarded(texts) => write!(f, "web saw none of {}", texts.join(", ")),
            Self::RefusedInside(callee) => {
                write!(f, "orders reports 403 of {callee} with a decision id")
            }
            Self::Closed => f.write_str("the connection is closed without HTTP"),
            Self::Reached => f.write_str("the program answers 200"),
            Self::Explains(words) => write!(f, "an explanation with {}", words.join(", ")),
            Self::NoFailure => f.write_str("no failure"),
        }
    }
}

/// In a few words.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { status, decision, .. } => {
                write!(f, "{status}")?;
                // A wall's own answer tells its status in the body, too.
                if let (Some(inner), None) = (self.inner_status(), decision) {
                    write!(f, ", inside {inner}")?;
                }
                match self.decision() {
                    Some(id) => write!(f, ", decision {id}"),
                    None => Ok(()),
                }
            }
            Self::Closed { bytes } => write!(f, "closed after {} bytes", bytes.len()),
            Self::Text(text) => write!(f, "{} lines", text.lines().count()),
            Self::Repeated { made, failed } => write!(f, "{made} requests, {failed} failed"),
            Self::Fault(fault) => f.write_str(fault),
        }
    }
}
