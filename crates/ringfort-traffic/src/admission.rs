//! Whether a service has room for one more request from this proxy.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use ringfort_model::{Refusal, Ring};

/// The requests in flight from one proxy to one service; shared by all data threads.
#[derive(Debug)]
pub struct Concurrency {
    in_flight: AtomicU32,
    max: AtomicU32,
}

/// The answer to one request.
#[derive(Debug)]
pub enum Admission {
    /// There is room; it is taken until the permit is dropped.
    Admitted(Permit),
    /// There is none.
    Full {
        /// The limit that was reached.
        max: u32,
    },
}

/// One request's room; given back on drop.
#[derive(Debug)]
#[must_use = "dropping the permit gives the room back"]
pub struct Permit(Arc<Concurrency>);

impl Concurrency {
    /// A gate for at most `max` requests at once.
    #[must_use]
    pub fn new(max: u32) -> Arc<Self> {
        Arc::new(Self { in_flight: AtomicU32::new(0), max: AtomicU32::new(max) })
    }

    /// Takes room for one request, if there is any.
    #[must_use]
    pub fn admit(self: &Arc<Self>) -> Admission {
        let max = self.max.load(Ordering::Relaxed);
        let one_more = |now: u32| (now < max).then(|| now.saturating_add(1));
        // Relaxed: the count orders nothing but itself.
        match self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Admission::Admitted(Permit(Arc::clone(self))),
            Err(_) => Admission::Full { max },
        }
    }

    /// Requests in flight now.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Changes the limit. Requests in flight stay; new ones wait for the count to fall below it.
    pub fn resize(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "each permit was counted in");
    }
}

impl Admission {
    /// The permit, or the refusal the caller sees: 503, nothing about the callee recorded.
    ///
    /// # Errors
    /// The refusal of a full service.
    pub fn into_permit(self) -> Result<Permit, Refusal> {
        match self {
            Self::Admitted(permit) => Ok(permit),
            Self::Full { max } => Err(Refusal::new(
                Ring::Load,
                503,
                "concurrency",
                format!("{max} requests to the service are in flight, which is the limit"),
            )),
        }
    }
}

#[cfg(test)]
mod tests;
