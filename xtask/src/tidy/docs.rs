//! T10 and T15: what is written beside the code, and numbers that stand in several places.

use super::lex::words;
use super::{File, Finding, Tree};

/// Words that mark something unfinished.
const MARKERS: &[&str] = &["FIXME", "XXX", "placeholder", "Placeholder"];

/// Documentation is present.
///
/// Each `.rs` file outside tests begins with `//!` and more than one word. The header of a `lib.rs`
/// names what the crate decides and what it does not do. No comment and no document says
/// `placeholder`, `FIXME` or `XXX` (as a word, not in backticks); a `TODO` names an existing file
/// under `docs/decisions/`. Links between Markdown files resolve. Item docs are rustc's lint.
pub(super) fn documentation_is_present(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.rust().filter(|f| !f.is_generated()) {
        found.extend(header(file));
        found.extend(markers(tree, file, &file.comments));
    }
    for file in tree.files.iter().filter(|f| f.path.ends_with(".md")) {
        found.extend(markers(tree, file, &file.text));
        found.extend(links(tree, file));
    }
    found
}

fn header(file: &File) -> Option<Finding> {
    // A program says what it runs: the integration program (T11) and each measurement.
    let is_program = file.name() == "main.rs" || file.path.contains("/benches/");
    if file.is_test() && !is_program {
        return None;
    }
    let first = file.text.lines().next().unwrap_or_default();
    let words = first.strip_prefix("//!").unwrap_or_default().split_whitespace().count();
    if words < 2 {
        return Some(Finding::error(&file.path, 1, "begins with `//!` and a sentence"));
    }
    if file.name() != "lib.rs" {
        return None;
    }
    let header = file.text.lines().map_while(|line| line.strip_prefix("//!"));
    let header = header.collect::<Vec<_>>().join(" ").to_lowercase();
    let denies = ["not", "no", "never", "nothing", "neither", "nor", "without"];
    let says_not = denies.iter().any(|w| self::words(&header, w).next().is_some());
    let message = "says what the crate decides, but not what it does not do";
    (!says_not).then(|| Finding::error(&file.path, 1, message))
}

fn markers(tree: &Tree, file: &File, text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let line_at = |at: usize| {
        let start = text.get(..at).and_then(|t| t.rfind('\n')).map_or(0, |i| i + 1);
        text.get(start..).and_then(|t| t.lines().next()).unwrap_or_default()
    };
    let quoted = |at: usize| text.get(..at).is_some_and(|t| t.ends_with('`'));
    for marker in MARKERS {
        for at in words(text, marker).filter(|&at| !quoted(at)) {
            found.push(file.error_at(at, format!("`{marker}`: finish it, or write a decision")));
        }
    }
    for at in words(text, "TODO").filter(|&at| !quoted(at)) {
        let path = line_at(at).split_once("docs/decisions/").map(|(_, rest)| {
            let end = rest.find(|c: char| c.is_whitespace() || ")`,;\"".contains(c));
            format!("docs/decisions/{}", end.and_then(|e| rest.get(..e)).unwrap_or(rest))
        });
        if path.is_none_or(|p| tree.file(p.trim_end_matches('.')).is_none()) {
            found.push(file.error_at(at, "a `TODO` names an existing file under docs/decisions/"));
        }
    }
    found
}

fn links(tree: &Tree, file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (line, text) in (1..).zip(file.text.lines()) {
        fenced ^= text.trim_start().starts_with("```");
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|_| !fenced) {
            let path = target.split(['#', ' ']).next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            let resolved = resolve(file.folder(), path);
            let below = format!("{resolved}/");
            if !tree.files.iter().any(|f| f.path == resolved || f.path.starts_with(&below)) {
                let message = format!("the link `{target}` leads nowhere");
                found.push(Finding::error(&file.path, line, message));
            }
        }
    }
    found
}

/// Joins a relative link to the folder of the file it stands in.
fn resolve(folder: &str, link: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|p| !p.is_empty()).collect();
    for part in link.split('/').filter(|p| !p.is_empty() && *p != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// Versions agree.
///
/// The channel of `rust-toolchain.toml`, `rust-version` of the root manifest and each "Rust 1.x" of
/// the README (at least one) are the same version. Each reason in `deny.toml` with
/// `review by YYYY-MM-DD` is printed; nothing compares it with today's date, or old commits would
/// turn red by themselves.
pub(super) fn versions_agree(tree: &Tree) -> Vec<Finding> {
    let (mut found, root, readme) = (Vec::new(), "Cargo.toml", "README.md");
    let value = |path: &str, key: &str| {
        let lines = (1..).zip(tree.text(path).lines());
        lines.into_iter().find_map(|(line, text)| {
            let (name, value) = text.split_once('=')?;
            (name.trim() == key).then(|| (line, value.split('"').nth(1).unwrap_or_default()))
        })
    };
    let Some((_, version)) = value(root, "rust-version") else {
        return vec![Finding::error(root, 0, "`rust-version` is missing")];
    };
    match value("rust-toolchain.toml", "channel") {
        Some((_, channel)) if minor(channel) == minor(version) => {}
        Some((line, channel)) => {
            let message = format!("channel {channel}, but rust-version {version}");
            found.push(Finding::error("rust-toolchain.toml", line, message));
        }
        None => found.push(Finding::error("rust-toolchain.toml", 0, "`channel` is missing")),
    }
    let mut named = false;
    for (line, text) in (1..).zip(tree.text(readme).lines()) {
        for rest in without_links(text).split("Rust 1.").skip(1) {
            named = true;
            if minor(&format!("1.{rest}")) != minor(version) {
                let message = format!("another Rust than rust-version {version}");
                found.push(Finding::error(readme, line, message));
            }
        }
    }
    if !named {
        found.push(Finding::error(readme, 0, format!("does not say that it needs Rust {version}")));
    }
    for (line, text) in (1..).zip(tree.text("deny.toml").lines()) {
        let entry = !text.trim_start().starts_with('#');
        if let Some((_, date)) = text.split_once("review by ").filter(|_| entry) {
            let date = date.split('"').next().unwrap_or(date);
            found.push(Finding::note("deny.toml", line, format!("an exception; review by {date}")));
        }
    }
    found
}

/// The line as it is shown: `[Rust](https://rustup.rs) 1.95` says `Rust 1.95`.
fn without_links(line: &str) -> String {
    let mut parts = line.split("](");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown += part.split_once(')').map_or(part, |(_, rest)| rest);
    }
    shown
}

/// `1.95` of `1.95.0` or of a sentence that begins with it.
fn minor(version: &str) -> (u32, u32) {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests;
