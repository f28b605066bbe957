//! Diagnostics of the process itself, on standard error; reports and access logs go to standard output.

use tracing_subscriber::EnvFilter;

use crate::terminal;

/// Starts logging; `RINGFORT_LOG` (e.g. `debug`, `ringfort_proxy=debug`) sets the level, default `info`.
pub(crate) fn start() {
    let filter =
        EnvFilter::try_from_env("RINGFORT_LOG").unwrap_or_else(|_unset| EnvFilter::new("info"));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal::stderr_is_coloured())
        .with_target(false)
        .try_init();
    if let Err(error) = started {
        eprintln!("warning: no log: {error}");
    }
}
