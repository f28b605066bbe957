//! T12 and T14: what grows without anybody deciding it. Warnings, largest first.

use std::collections::BTreeMap;

use super::{File, Finding, Tree, lex::line_of};
use crate::lockfile;

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 800;
const TEST_FILE_LINES_MAX: usize = 1_500;
const CRATE_LINES_MAX: usize = 10_000;

/// Sizes (warnings).
///
/// Functions over 70 lines (counted from the line with `fn` to the `}` of the same indentation, which
/// rustfmt makes exact), files over 800 lines (`tests.rs` over 1 500) and crates over 10 000 lines of
/// code: what fits the head gets reviewed. Per crate it notes test lines per line of code (aim 1.0)
/// and comment lines per line of code (aim 0.25). Generated files do not count.
pub(super) fn sizes(tree: &Tree) -> Vec<Finding> {
    let mut sized: Vec<(usize, Finding)> = Vec::new();
    let mut crates: BTreeMap<&str, Lines> = BTreeMap::new();
    for file in tree.rust().filter(|f| !f.is_generated()) {
        sized.extend(functions(file));
        let lines = file.text.lines().count();
        let most = if file.is_test() { TEST_FILE_LINES_MAX } else { FILE_LINES_MAX };
        if lines > most {
            let message = format!("{lines} lines in one file; {most} is the aim");
            sized.push((lines, Finding::warning(&file.path, 0, message)));
        }
        if let Some(member) = file.member() {
            crates.entry(member).or_default().add(file);
        }
    }
    for (member, lines) in &crates {
        if lines.code > CRATE_LINES_MAX {
            let message = format!("{} lines of code; {CRATE_LINES_MAX} is the most", lines.code);
            sized.push((lines.code, Finding::warning(member, 0, message)));
        }
    }
    sized.sort_by_key(|(lines, _)| std::cmp::Reverse(*lines));
    let mut found: Vec<Finding> = sized.into_iter().map(|(_, finding)| finding).collect();
    found.extend(crates.iter().map(|(member, lines)| lines.note(member)));
    found
}

#[derive(Default)]
struct Lines {
    code: usize,
    tests: usize,
    comments: usize,
}

impl Lines {
    fn add(&mut self, file: &File) {
        let code = file.code.lines().filter(|line| !line.trim().is_empty()).count();
        if file.is_test() {
            self.tests += code;
            return;
        }
        self.code += code;
        let comments = file.comments.lines().filter(|line| !line.trim().is_empty()).count();
        self.comments += comments;
    }

    fn note(&self, member: &str) -> Finding {
        let ratio = |part: usize| {
            let hundredths = (part * 100).checked_div(self.code).unwrap_or(0);
            format!("{}.{:02}", hundredths / 100, hundredths % 100)
        };
        let (code, tests, comments) = (self.code, ratio(self.tests), ratio(self.comments));
        let message = format!(
            "{code} lines of code; test/code {tests} (1.0), comment/code {comments} (0.25)"
        );
        Finding::note(member, 0, message)
    }
}

fn functions(file: &File) -> Vec<(usize, Finding)> {
    let lines: Vec<&str> = file.code.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let head = line.trim_start();
        let is_fn = ["pub", "const", "async", "fn"].iter().any(|w| head.starts_with(w))
            && super::lex::words(head, "fn").next().is_some();
        if !is_fn {
            continue;
        }
        let indent = line.len() - head.len();
        let end = format!("{}}}", " ".repeat(indent));
        let rest = lines.get(at..).unwrap_or_default();
        // A signature without a body, or a body on one line, ends before any such brace.
        let body = rest.iter().position(|l| l.trim_end().ends_with(['{', ';', '}']));
        if !body.and_then(|i| rest.get(i)).is_some_and(|l| l.trim_end().ends_with('{')) {
            continue;
        }
        let Some(length) = rest.iter().position(|l| l.trim_end() == end).map(|i| i + 1) else {
            continue;
        };
        if length > FUNCTION_LINES_MAX {
            let message =
                format!("{length} lines in one function; {FUNCTION_LINES_MAX} is the aim");
            found.push((length, Finding::warning(&file.path, at + 1, message)));
        }
    }
    found
}

/// External packages the lock file may hold before somebody should look.
const PACKAGES_MAX: usize = 420;

/// Dependency budget (warnings).
///
/// More than 420 external packages in `Cargo.lock`, with the difference to the last commit; and each
/// package that is there in two versions, with who needs the old one.
pub(super) fn dependency_budget(tree: &Tree) -> Vec<Finding> {
    const LOCK: &str = "Cargo.lock";
    let text = tree.text(LOCK);
    let packages = lockfile::packages(text);
    let external =
        |packages: &[lockfile::Package<'_>]| packages.iter().filter(|p| p.source.is_some()).count();
    let mut found = Vec::new();
    let count = external(&packages);
    if count > PACKAGES_MAX {
        let before = tree.lock_before.as_deref().map(|t| external(&lockfile::packages(t)));
        let before = before.map_or(String::new(), |n| format!(", {n} in the last commit"));
        let message = format!("{count} external packages; {PACKAGES_MAX} is the budget{before}");
        found.push(Finding::warning(LOCK, 0, message));
    }
    for duplicate in lockfile::duplicates(&packages) {
        let at = text.find(&format!("name = \"{}\"\n", duplicate.name)).unwrap_or(0);
        let message = format!(
            "{} in {} versions; {} is needed by {}",
            duplicate.name,
            duplicate.versions,
            duplicate.oldest,
            duplicate.needed_by.join(", ")
        );
        found.push(Finding::warning(LOCK, line_of(text, at), message));
    }
    found
}

#[cfg(test)]
mod tests;
