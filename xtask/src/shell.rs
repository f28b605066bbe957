//! Starts other programs and says in one sentence what failed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Where the commands work, and what their programs find in the environment.
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    /// Set for each program started here.
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Project {
    /// The repository this program was built from.
    ///
    /// # Errors
    /// A sentence, if that folder is gone.
    pub(crate) fn here() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let root = root.canonicalize().map_err(|e| format!("cannot find the repository: {e}"))?;
        Ok(Self { root, variables: Vec::new() })
    }

    /// A command that starts in the root.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// `cargo` with arguments, in the root.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut command = self.command("cargo");
        command.args(args);
        command
    }
}

/// The command as one would type it.
pub(crate) fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = |word: &std::ffi::OsStr| {
        let word = word.display().to_string();
        if word.is_empty() || word.contains([' ', '*', '"', '{']) {
            format!("'{word}'")
        } else {
            word
        }
    };
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// Runs to the end; what the program prints is seen.
///
/// # Errors
/// A sentence, if it does not start or does not succeed.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|e| format!("cannot start `{}`: {e}", typed(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}`: {status}", typed(command))) }
}

/// Runs to the end and returns what the program printed to standard output; its errors are seen.
///
/// # Errors
/// A sentence, if it does not start, does not succeed or prints no UTF-8.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|e| format!("cannot start `{}`: {e}", typed(command)))?;
    if !output.status.success() {
        return Err(format!("`{}`: {}", typed(command), output.status));
    }
    let utf8 = String::from_utf8(output.stdout);
    utf8.map_err(|e| format!("`{}` printed no UTF-8: {e}", typed(command)))
}

/// Does the program start and succeed? What it prints is not seen.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The time, for durations that are printed.
#[expect(clippy::disallowed_methods, reason = "a developer's command says how long its steps took")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// `2 min 5 s`, below a minute `3.2 s`.
pub(crate) fn spent(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        return format!("{seconds}.{} s", time.subsec_millis() / 100);
    }
    format!("{} min {} s", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests;
