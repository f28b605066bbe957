//! Reports of problems: for people, programs, code scanners and pull requests.

mod github;
mod json;
mod sarif;
mod text;

pub use github::github;
pub use json::json;
pub use sarif::sarif;
pub use text::text;

use crate::{Problem, Severity};

/// How many problems are errors and how many warnings.
#[must_use]
pub fn count(problems: &[Problem]) -> (usize, usize) {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    (errors, problems.len().saturating_sub(errors))
}

#[cfg(test)]
mod tests;
