//! How things look on a terminal: colours only there, and the one printer of error chains.

use std::io::IsTerminal;

/// Whether to colour standard output: a terminal, and `NO_COLOR` not set.
///
/// # Source
/// <https://no-color.org>
pub(crate) fn stdout_is_coloured() -> bool {
    std::io::stdout().is_terminal() && !no_color()
}

/// Whether to colour standard error.
pub(crate) fn stderr_is_coloured() -> bool {
    std::io::stderr().is_terminal() && !no_color()
}

#[expect(clippy::disallowed_methods, reason = "the command is where the environment is read (I7)")]
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// The whole chain of causes in one line: `error: what: why: why`.
pub(crate) fn error_chain(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    format!("error: {}", causes.join(": "))
}

/// Makes text from outside safe to print: control characters are escaped.
pub(crate) fn escape(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}
