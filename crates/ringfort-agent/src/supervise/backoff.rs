//! How long to wait before a child is started again.

use std::time::Duration;

/// First wait: a proxy killed by force serves again well within 2 s.
pub(super) const FIRST: Duration = Duration::from_millis(100);
/// Longest wait.
pub(super) const LONGEST: Duration = Duration::from_secs(5);
/// A child that lived this long starts from [`FIRST`] again.
pub(super) const STEADY_AFTER: Duration = Duration::from_secs(10);

/// Doubles the wait with each early death.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) const fn new() -> Self {
        Self { next: FIRST }
    }

    /// The wait after a child that lived for `lived`.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= STEADY_AFTER {
            self.next = FIRST;
        }
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(LONGEST);
        wait
    }
}

#[cfg(test)]
mod tests;
