//! The developer's commands; `cargo xtask --help` lists them.
//!
//! It has no dependencies, so it builds and starts at once. Not here: anything a user of the
//! product runs.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer reads this program's output on the terminal"
)]

use std::process::ExitCode;

use shell::Project;
use tidy::{Level, Report, Tree};

mod ci;
mod clean_start;
mod cost;
mod lockfile;
mod setup;
mod shell;
mod suite;
mod supply;
mod tidy;

/// Why a command ended badly.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// It was not understood: exit code 2.
    Usage(String),
    /// It was understood and did not succeed: exit code 1.
    Failed(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// One command; `arguments` and `about` are its line in the help.
struct Command {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(Project, &[&str]) -> Result<(), Failure>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "ci",
        arguments: "[--no-clean-start]",
        about: "format, tidy, dependencies, clippy, tests, docs, timed clean start: what CI runs",
        run: |project, args| match args {
            [] => Ok(ci::ci(project, true)?),
            ["--no-clean-start"] => Ok(ci::ci(project, false)?),
            _ => usage("ci", args),
        },
    },
    Command {
        name: "test",
        arguments: "[FILTER]",
        about: "every test, or those whose path contains FILTER; does `setup` first",
        run: |project, args| match args {
            [] => Ok(suite::test(&project, None)?),
            [filter] if !filter.starts_with('-') => Ok(suite::test(&project, Some(filter))?),
            _ => usage("test", args),
        },
    },
    Command {
        name: "tidy",
        arguments: "[--explain [RULE]]",
        about: "the rules neither rustc nor clippy can express; --explain says what they are",
        run: |project, args| match args {
            [] => Ok(tidy_up(&project)?),
            ["--explain"] => explain(None),
            ["--explain", rule] => explain(Some(rule)),
            _ => usage("tidy", args),
        },
    },
    Command {
        name: "setup",
        arguments: "",
        about: "installs the programs the tests run against (as root on Debian), and says which",
        run: |project, args| match args {
            [] => Ok(setup::ensure(&project).map(drop)?),
            _ => usage("setup", args),
        },
    },
    Command {
        name: "deps",
        arguments: "",
        about: "bans, licences and sources of dependencies (deny.toml)",
        run: |project, args| match args {
            [] => Ok(supply::check(&project)?),
            _ => usage("deps", args),
        },
    },
    Command {
        name: "demo",
        arguments: "[ARGUMENT...]",
        about: "builds, then runs `ringfort demo` with the arguments: a fleet on loopback",
        run: |project, args| {
            let demo = ["run", "--release", "--package", "ringfort", "--", "demo"];
            Ok(shell::run(project.cargo(&demo).args(args))?)
        },
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(why)) => {
            eprintln!("xtask: {why}");
            ExitCode::from(2)
        }
        Err(Failure::Failed(why)) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[&str]) -> Result<(), Failure> {
    match args {
        [] => Err(Failure::Usage(format!("which command?\n\n{}", help()))),
        ["help" | "--help" | "-h", ..] => {
            println!("{}", help());
            Ok(())
        }
        // The demo has a help of its own.
        [name, "--help" | "-h"] if *name != "demo" => dispatch(&["help"]),
        [name, rest @ ..] => match COMMANDS.iter().find(|c| c.name == *name) {
            Some(command) => (command.run)(Project::here()?, rest),
            None => Err(Failure::Usage(unknown(name))),
        },
    }
}

fn help() -> String {
    let mut text = "cargo xtask COMMAND\n\n".to_owned();
    for Command { name, arguments, about, .. } in COMMANDS {
        text += &format!("  {:24} {about}\n", format!("{name} {arguments}"));
    }
    text + "\nexamples:\n  \
            cargo xtask test\n  \
            cargo xtask test gateway::\n  \
            cargo xtask tidy --explain T7\n  \
            cargo xtask ci --no-clean-start\n  \
            cargo xtask demo --tour"
}

fn usage(name: &str, args: &[&str]) -> Result<(), Failure> {
    let known = COMMANDS.iter().find(|c| c.name == name).map_or("", |c| c.arguments);
    let (typed, form) = (args.join(" "), format!("{name} {known}"));
    let form = form.trim();
    Err(Failure::Usage(format!("`{name}` does not take `{typed}`; write `cargo xtask {form}`")))
}

fn unknown(name: &str) -> String {
    let nearest = COMMANDS.iter().map(|c| (distance(c.name, name), c.name)).min();
    match nearest {
        Some((distance, known)) if distance <= 2 => {
            format!("there is no command `{name}`; did you mean `{known}`?")
        }
        _ => format!("there is no command `{name}`\n\n{}", help()),
    }
}

/// Letters to insert, remove, replace or swap with their neighbour to make one of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    let cell = |rows: &[Vec<usize>], i: usize, j: usize| {
        rows.get(i).and_then(|row| row.get(j)).copied().unwrap_or(usize::MAX - 1)
    };
    for (i, x) in (1..).zip(&a) {
        rows.push(vec![i]);
        for (j, y) in (1..).zip(&b) {
            let replaced = cell(&rows, i - 1, j - 1) + usize::from(x != y);
            let mut least = replaced.min(cell(&rows, i - 1, j) + 1).min(cell(&rows, i, j - 1) + 1);
            let swapped = i > 1 && j > 1 && a.get(i - 2) == Some(y) && b.get(j - 2) == Some(x);
            if swapped {
                least = least.min(cell(&rows, i - 2, j - 2) + 1);
            }
            rows.last_mut().into_iter().for_each(|row| row.push(least));
        }
    }
    cell(&rows, a.len(), b.len())
}

fn explain(rule: Option<&str>) -> Result<(), Failure> {
    let text = tidy::explain(rule).map_err(Failure::Usage)?;
    print!("{text}");
    Ok(())
}

/// Prints what the rules say; only errors fail.
///
/// # Errors
/// The number of errors.
fn tidy_up(project: &Project) -> Result<(), String> {
    let report = Report::of(&Tree::read(&project.root)?);
    for (level, title) in
        [(Level::Note, "notes"), (Level::Warning, "warnings"), (Level::Error, "errors")]
    {
        if report.count(level) > 0 {
            println!("{title}:");
            report.of_level(level).for_each(|line| println!("  {line}"));
        }
    }
    let (errors, warnings) = (report.count(Level::Error), report.count(Level::Warning));
    println!("tidy: {errors} errors, {warnings} warnings (`cargo xtask tidy --explain` says why)");
    if errors == 0 { Ok(()) } else { Err(format!("{errors} errors of tidy")) }
}

#[cfg(test)]
mod tests;
