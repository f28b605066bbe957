//! The timed clean start: what a stranger waits for between `git clone` and the first request.
//!
//! It clones the last commit into a temporary folder and runs the README's first command there with
//! a target folder of its own. Packages that cargo already downloaded are not downloaded again: the
//! figure is about the build and the start, not about the network.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::cost;
use crate::shell::{self, Project};

/// From clone to the first request. Chosen for 2 cores, where it is the product's promise.
const LIMIT: Duration = Duration::from_secs(6 * 60);

/// From clone to the end of the tour; a tour that hangs must not hang the check.
const DEADLINE: Duration = Duration::from_secs(20 * 60);

/// What the demo prints when its first request was answered.
const MARK: &str = "first request after ";

/// Runs it and prints the time.
///
/// # Errors
/// A sentence, if the tour fails or the time is over the limit.
pub(crate) fn measure(project: &Project) -> Result<(), String> {
    let changed = shell::output(project.command("git").args(["status", "--porcelain"]))?;
    if !changed.is_empty() {
        let count = changed.lines().count();
        println!("clean start: takes the last commit, without {count} changes that are not in it");
    }
    let folder = Folder::new();
    let start = shell::now();
    shell::run(project.command("git").args(["clone", "--quiet", "."]).arg(&folder.0))?;
    let mut tour = Command::new("cargo");
    tour.args(["run", "--release", "--", "demo", "--tour"])
        .current_dir(&folder.0)
        .envs(project.variables.iter().map(|(name, value)| (name, value)))
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET_DIR")
        .stdin(Stdio::null());
    let first = watch(&mut tour, MARK, start + DEADLINE)?.map(|at| at.duration_since(start));
    let first = verdict(first)?;
    println!("clean start: {} from clone to the first request (limit 6 min)", shell::spent(first));
    // The release build is here now, so the cost of a decision is measured with it.
    let clone = Project { root: folder.0.clone(), variables: project.variables.clone() };
    cost::measure(&clone)
}

/// # Errors
/// If there was no first request, or it came too late.
fn verdict(first: Option<Duration>) -> Result<Duration, String> {
    match first {
        None => Err(format!("the demo printed no line with `{MARK}`")),
        Some(first) if first > LIMIT => {
            let (first, limit) = (shell::spent(first), shell::spent(LIMIT));
            Err(format!("the first request came {first} after the clone; the limit is {limit}"))
        }
        Some(first) => Ok(first),
    }
}

/// Runs `command` to the end, repeats what it prints, and notes when a line with `mark` came first.
///
/// # Errors
/// If it does not start, does not succeed, or runs longer than until `deadline`.
fn watch(command: &mut Command, mark: &str, deadline: Instant) -> Result<Option<Instant>, String> {
    let what = shell::typed(command);
    let fail = |e| format!("cannot run `{what}`: {e}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(fail)?;
    let Some(stdout) = child.stdout.take() else { return Err(format!("`{what}` has no output")) };
    let (send, lines) = sync_channel(1_024);
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        lines.map(|line| (shell::now(), line)).try_for_each(|line| send.send(line))
    });
    let mut first = None;
    loop {
        let left = deadline.saturating_duration_since(shell::now());
        match lines.recv_timeout(left) {
            Ok((at, line)) => {
                println!("{line}");
                if line.contains(mark) {
                    first.get_or_insert(at);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                stop(&mut child, &lines);
                return Err(format!("`{what}` did not end in time"));
            }
        }
    }
    drop(reader.join());
    let status = child.wait().map_err(fail)?;
    if status.success() { Ok(first) } else { Err(format!("`{what}`: {status}")) }
}

/// Asks it to stop, so that it ends its own processes; 15 s later it is killed.
fn stop<T>(child: &mut Child, lines: &Receiver<T>) {
    const GRACE: Duration = Duration::from_secs(15);
    let asked = shell::succeeds(Command::new("kill").args(["-TERM", &child.id().to_string()]));
    let patience = shell::now() + GRACE;
    let left = || patience.saturating_duration_since(shell::now());
    // Its output ends when it and its processes are gone.
    while asked && lines.recv_timeout(left()).is_ok() {}
    if let Err(e) = child.kill().and_then(|()| child.wait().map(drop)) {
        eprintln!("clean start: cannot stop process {}: {e}", child.id());
    }
}

/// A temporary folder that is removed with all it holds.
struct Folder(PathBuf);

impl Folder {
    /// git makes it; one of the same name would make git fail.
    fn new() -> Self {
        let name = format!("ringfort-clean-start-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.0.exists()
            && let Err(e) = std::fs::remove_dir_all(&self.0)
        {
            eprintln!("clean start: remove {} by hand: {e}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests;
