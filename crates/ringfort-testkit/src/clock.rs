//! A wall clock that stands still until a test moves it; clones share one time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ringfort_model::{WallClock, WallTime};

/// A clock set by the test.
#[derive(Debug, Clone)]
pub struct TestClock {
    /// Milliseconds since 1970-01-01.
    now_ms: Arc<AtomicU64>,
}

impl TestClock {
    /// A clock that shows noon of 2026-11-22.
    #[must_use]
    pub fn new() -> Self {
        Self { now_ms: Arc::new(AtomicU64::new(1_795_348_800_000)) }
    }

    /// Moves the clock, and all its clones, ahead.
    pub fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.now_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl WallClock for TestClock {
    fn now(&self) -> WallTime {
        WallTime::from_unix(Duration::from_millis(self.now_ms.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests;
