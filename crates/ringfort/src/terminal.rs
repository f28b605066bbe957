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
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

/// A line of a child with its name in front, in a colour of its own on a terminal.
pub(crate) fn prefixed(name: &str, line: &str, coloured: bool) -> String {
    let line = escape(line);
    if !coloured {
        return format!("{name:<18} | {line}");
    }
    let sum = name.bytes().fold(0_u8, |sum, byte| sum.wrapping_add(byte));
    let colour = 31_u8.saturating_add(sum % 6);
    format!("\x1b[{colour}m{name:<18} |\x1b[0m {line}")
}
