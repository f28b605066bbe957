//! How much one caller may have at once, and how often it may ask.
//!
//! A caller is a user; a child of the supervisor is its own caller, so that programs of one user do not starve each
//! other. Counts of callers that hold nothing are dropped: the tables are no larger than what is in use.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ringfort_model::{Name, Selectors, selectors::Part};

/// Whom a count belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// A user.
    User(u32),
    /// A program of the supervisor, or the proxy in front of it.
    Child(Name, bool),
}

/// Limits how much callers hold at once: each for itself and all together.
#[derive(Debug, Clone)]
pub(crate) struct Quota<K: Ord> {
    each_max: u32,
    all_max: u32,
    held: Arc<Mutex<Counts<K>>>,
}

#[derive(Debug)]
struct Counts<K> {
    by_caller: BTreeMap<K, u32>,
    all: u32,
}

/// One piece of a quota; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Held<K: Ord> {
    quota: Quota<K>,
    caller: Option<K>,
}

/// Limits how often callers ask: a bucket of one second's worth each.
#[derive(Debug, Clone)]
pub(crate) struct Rate {
    per_second: u32,
    buckets: Arc<Mutex<BTreeMap<Who, Bucket>>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u32,
    refilled: Instant,
}

impl Who {
    /// Whom an attested process counts for.
    pub(crate) fn of(facts: &Selectors) -> Self {
        match &facts.started_as {
            Some(started) => Self::Child(started.workload.clone(), started.part == Part::Proxy),
            None => Self::User(facts.uid),
        }
    }
}

impl<K: Ord + Clone> Quota<K> {
    /// A quota of `each_max` per caller and `all_max` together.
    pub(crate) fn new(each_max: u32, all_max: u32) -> Self {
        let counts = Counts { by_caller: BTreeMap::new(), all: 0 };
        Self { each_max, all_max, held: Arc::new(Mutex::new(counts)) }
    }

    /// Takes a piece; `None` when the caller, or everyone together, holds all there is.
    pub(crate) fn take(&self, caller: K) -> Option<Held<K>> {
        let mut counts = lock(&self.held);
        let own = counts.by_caller.get(&caller).copied().unwrap_or(0);
        if own >= self.each_max || counts.all >= self.all_max {
            return None;
        }
        counts.by_caller.insert(caller.clone(), own.saturating_add(1));
        counts.all = counts.all.saturating_add(1);
        drop(counts);
        Some(Held { quota: self.clone(), caller: Some(caller) })
    }
}

impl<K: Ord> Drop for Held<K> {
    fn drop(&mut self) {
        let Some(caller) = self.caller.take() else { return };
        let mut counts = lock(&self.quota.held);
        counts.all = counts.all.saturating_sub(1);
        match counts.by_caller.get(&caller).copied().unwrap_or(0) {
            0 | 1 => drop(counts.by_caller.remove(&caller)),
            more => drop(counts.by_caller.insert(caller, more.saturating_sub(1))),
        }
    }
}

impl Rate {
    /// `per_second` questions a second, as many at once.
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second, buckets: Arc::default() }
    }

    /// Whether the caller may ask now.
    pub(crate) fn admits(&self, caller: &Who, now: Instant) -> bool {
        let mut buckets = lock(&self.buckets);
        // A bucket that is full again says nothing: without it the table is bounded by who asked within a second.
        buckets.retain(|_caller, bucket| now.duration_since(bucket.refilled) < SECOND);
        let full = Bucket { left: self.per_second, refilled: now };
        let bucket = buckets.entry(caller.clone()).or_insert(full);
        let passed = now.duration_since(bucket.refilled);
        let refill = passed.as_millis().saturating_mul(self.per_second.into()) / SECOND.as_millis();
        if let (Ok(refill), true) = (u32::try_from(refill), refill > 0) {
            bucket.left = bucket.left.saturating_add(refill).min(self.per_second);
            bucket.refilled = now;
        }
        let admitted = bucket.left > 0;
        bucket.left = bucket.left.saturating_sub(1);
        admitted
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
