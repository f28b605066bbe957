//! The one place that reads the wall clock.

use std::time::Duration;

use ringfort_model::{WallClock, WallTime};

/// The host's wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl WallClock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "this is the one real clock"
    )]
    fn now(&self) -> WallTime {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        WallTime::from_unix(since.unwrap_or(Duration::ZERO))
    }
}
