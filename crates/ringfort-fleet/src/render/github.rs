//! Reports for pull requests: GitHub's workflow commands, one line each.

use crate::Problem;

/// All problems as `::error file=...` lines.
#[must_use]
pub fn github(problems: &[Problem]) -> String {
    problems.iter().map(line).collect()
}

fn line(problem: &Problem) -> String {
    let place = problem.spot.as_ref().map_or_else(String::new, |spot| {
        let end = spot.column.saturating_add(spot.length);
        let file = property(&spot.file);
        format!("file={file},line={},col={},endColumn={end},", spot.line, spot.column)
    });
    let mut message = problem.message.clone();
    if let Some(help) = &problem.help {
        message.push_str("\nhelp: ");
        message.push_str(help);
    }
    let level = problem.severity.as_str();
    format!("::{level} {place}title={}::{}\n", problem.code, data(&message))
}

/// # Source
/// GitHub's `@actions/core`, `escapeData`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// # Source
/// GitHub's `@actions/core`, `escapeProperty`.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
