//! `cargo xtask ci`: all that must hold before a change is taken, in the order of cost.

use std::time::Duration;

use crate::shell::{self, Project};
use crate::{clean_start, suite, supply, tidy_up};

type Check = fn(&Project) -> Result<(), String>;

const CLEAN_START: &str = "clean start";

const STEPS: &[(&str, Check)] = &[
    ("format", |project| {
        let args = ["fmt", "--all", "--check", "--", "--color", "never"];
        shell::run(&mut project.cargo(&args))
    }),
    ("tidy", tidy_up),
    ("dependencies", supply::check),
    ("clippy", |project| {
        let args = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        shell::run(&mut project.cargo(&args))
    }),
    ("test", |project| suite::test(project, None)),
    ("docs", |project| {
        let mut doc = project.cargo(&["doc", "--no-deps", "--workspace"]);
        shell::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    }),
    (CLEAN_START, clean_start::measure),
];

/// How a step went.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed(Duration),
    Failed(Duration),
    /// Left out because the developer said so.
    LeftOut,
    /// An earlier step failed.
    NotReached,
}

/// Runs the steps up to the first that fails, and prints what became of each.
///
/// # Errors
/// The sentence of the step that failed.
pub(crate) fn ci(mut project: Project, with_clean_start: bool) -> Result<(), String> {
    // Incremental artefacts cost time and space and are thrown away; colours hide text in logs.
    let variables = [("CARGO_INCREMENTAL", "0"), ("CARGO_TERM_COLOR", "never")];
    project.variables.extend(variables.map(|(name, value)| (name, value.to_owned())));
    let (outcomes, failure) = run(&project, STEPS, with_clean_start);
    println!("\n{}", table(&outcomes));
    failure.map_or(Ok(()), Err)
}

fn run<'a>(
    project: &Project,
    steps: &[(&'a str, Check)],
    with_clean_start: bool,
) -> (Vec<(&'a str, Outcome)>, Option<String>) {
    let (mut outcomes, mut failure) = (Vec::new(), None);
    for &(name, check) in steps {
        let outcome = if name == CLEAN_START && !with_clean_start {
            println!("\n=== {name}: left out (--no-clean-start)");
            Outcome::LeftOut
        } else if failure.is_some() {
            Outcome::NotReached
        } else {
            println!("\n=== {name}");
            let start = shell::now();
            let result = check(project);
            let spent = shell::now().duration_since(start);
            let word = if result.is_ok() { "passed" } else { "failed" };
            println!("=== {name}: {word} after {}", shell::spent(spent));
            match result {
                Ok(()) => Outcome::Passed(spent),
                Err(why) => {
                    failure = Some(format!("{name}: {why}"));
                    Outcome::Failed(spent)
                }
            }
        };
        outcomes.push((name, outcome));
    }
    (outcomes, failure)
}

fn table(outcomes: &[(&str, Outcome)]) -> String {
    let row = |(name, outcome): &(&str, Outcome)| {
        let (word, spent) = match outcome {
            Outcome::Passed(spent) => ("passed", shell::spent(*spent)),
            Outcome::Failed(spent) => ("FAILED", shell::spent(*spent)),
            Outcome::LeftOut => ("left out", String::new()),
            Outcome::NotReached => ("not reached", String::new()),
        };
        format!("{name:14} {word:12} {spent:>12}").trim_end().to_owned() + "\n"
    };
    outcomes.iter().map(row).collect()
}

#[cfg(test)]
mod tests;
