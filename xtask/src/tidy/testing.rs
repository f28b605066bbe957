//! T11: tests that run, in the place where the next reader looks.

use super::lex::words;
use super::{File, Finding, Tree};

/// The one integration program. Each further one links the whole product again.
const PROGRAM: &str = "crates/ringfort/tests/it/main.rs";

/// Tests in their place.
///
/// No `#[ignore]`, no `should_panic`, no function `test_*`, no `thread::sleep`: a test runs, says what
/// holds, and waits on a condition. Unit tests stand in `tests.rs` or below a folder `tests`, never in
/// an inline `mod tests {`, so that editing one does not rebuild the library. There is one
/// integration program, `crates/ringfort/tests/it/main.rs`; it begins with a header and has
/// `#![cfg(test)]`, or its functions fall under the lints for product code. Each target in `fuzz/` has
/// a `#[test]` that names its corpus folder. A test that starts `nft`, `ip` or `unshare` has the
/// prefix `netns_`, one that starts a PostgreSQL has `pg_`; where a function between them does so, the
/// author has to know.
pub(super) fn tests_in_their_place(tree: &Tree) -> Vec<Finding> {
    const BANNED: &[(&str, &str)] = &[
        ("#[ignore", "a test runs, or is not there"),
        ("should_panic", "assert the value; a panic says too little about why"),
        ("fn test_", "the path says that it is a test; the name says what holds"),
        ("thread::sleep", "wait on a condition with a bound"),
        ("mod tests {", "write `mod tests;` and put them into tests.rs"),
    ];
    let mut found = Vec::new();
    for file in tree.rust() {
        for (what, why) in BANNED {
            let places = file.code.match_indices(what).map(|(at, _)| at);
            found.extend(places.map(|at| file.error_at(at, format!("`{what}`: {why}"))));
        }
        for test in tests(file) {
            if !file.is_test() && file.member().is_some() {
                let message = format!("the test `{}` belongs into tests.rs", test.name);
                found.push(file.error_at(test.at, message));
            }
            found.extend(prefix(file, &test));
        }
        found.extend(program(file));
    }
    found.extend(corpora(tree));
    found
}

/// A function with `#[test]` or `#[tokio::test]`.
struct Test<'a> {
    at: usize,
    name: &'a str,
    /// Its code, up to the next test of the file.
    body: std::ops::Range<usize>,
}

fn tests(file: &File) -> Vec<Test<'_>> {
    let marks = ["#[test]", "#[tokio::test"].into_iter();
    let mut starts: Vec<usize> =
        marks.flat_map(|m| file.code.match_indices(m).map(|(at, _)| at)).collect();
    starts.sort_unstable();
    let ends = starts.iter().skip(1).copied().chain([file.code.len()]);
    let test = |(at, end): (usize, usize)| {
        let rest = file.code.get(at..end)?;
        let name = rest.split_once("fn ")?.1.split('(').next()?;
        Some(Test { at, name, body: at..end })
    };
    starts.iter().copied().zip(ends).filter_map(test).collect()
}

/// A test that needs more than this repository says so in its name.
fn prefix(file: &File, test: &Test<'_>) -> Option<Finding> {
    const NEEDS: &[(&str, &[&str])] =
        &[("netns_", &["nft", "ip", "unshare"]), ("pg_", &["postgres", "initdb", "pg_ctl"])];
    let code = file.code.get(test.body.clone())?;
    let start = "Command::new(\"";
    for at in words(code, start) {
        let from = test.body.start + at + start.len();
        let program = file.text.get(from..)?.split('"').next()?;
        let program = program.rsplit('/').next()?;
        for (prefix, programs) in NEEDS {
            if programs.contains(&program) && !test.name.starts_with(prefix) {
                let message = format!("`{}` starts `{program}`: prefix `{prefix}`", test.name);
                return Some(file.error_at(test.at, message));
            }
        }
    }
    None
}

fn program(file: &File) -> Option<Finding> {
    if file.path == PROGRAM {
        let has_header = file.text.starts_with("//!");
        let is_test_only = words(&file.code, "#![cfg(test)]").next().is_some();
        let message = "begins with a header and has `#![cfg(test)]`";
        return (!has_header || !is_test_only).then(|| Finding::error(PROGRAM, 1, message));
    }
    let (_, inner) = file
        .path
        .split_once("/tests/")
        .filter(|(base, _)| !base.contains("/src") && file.member().is_some())?;
    let is_root =
        !inner.contains('/') || inner.ends_with("/main.rs") && inner.matches('/').count() == 1;
    let message = format!("a second integration program; put the test into {PROGRAM}");
    is_root.then(|| Finding::error(&file.path, 0, message))
}

fn corpora(tree: &Tree) -> Vec<Finding> {
    let targets = tree.rust().filter(|f| f.folder() == "fuzz/fuzz_targets");
    targets
        .filter_map(|target| {
            let corpus = format!("fuzz/corpus/{}", target.name().trim_end_matches(".rs"));
            let replayed = tree.rust().any(|f| f.is_test() && f.text.contains(&corpus));
            let message = format!("no test replays `{corpus}`");
            (!replayed).then(|| Finding::error(&target.path, 0, message))
        })
        .collect()
}

#[cfg(test)]
mod tests;
