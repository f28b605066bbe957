//! Diagnostics of the process itself, on standard error; reports and access logs go to standard output.

use tracing::Level;
use tracing_subscriber::{
    Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::terminal;

/// Starts logging; `RINGFORT_LOG` (e.g. `debug`, `warn,ringfort_proxy=debug`) sets the level, default `info`.
pub(crate) fn start() {
    let written = level();
    let wanted = written.as_deref().map(str::parse::<Targets>);
    let standard = Targets::new().with_default(Level::INFO);
    let filter = match &wanted {
        Some(Ok(filter)) => filter.clone(),
        Some(Err(_)) | None => standard,
    };
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(terminal::stderr_is_coloured())
        .with_target(false)
        .with_filter(filter);
    if let Err(error) = tracing_subscriber::registry().with(layer).try_init() {
        eprintln!("warning: no log: {error}");
    }
    if let Some(Err(error)) = wanted {
        tracing::warn!("`RINGFORT_LOG` is not understood, so `info` holds: {error}");
    }
}

#[expect(clippy::disallowed_methods, reason = "the command is where the environment is read (I7)")]
fn level() -> Option<String> {
    std::env::var("RINGFORT_LOG").ok()
}
