//! Answers given before, one memory per thread: a repeated question costs a look-up.
//!
//! Remembers only what depends on principal, resource and operation alone, because these are few. A memory belongs to
//! one authorizer; it forgets everything when it meets another, so that no answer outlives the policies that gave it.

use std::{collections::HashMap, sync::Arc};

use crate::Verdict;

/// Most operations remembered, over all pairs: callers choose the names of gRPC operations.
const ANSWERS_MAX: usize = 4096;
/// Most pairs of principal and resource remembered.
const PAIRS_MAX: usize = 4096;

/// Answers of one authorizer. Not shared: each thread has its own.
#[derive(Debug, Default)]
pub struct Memo {
    authorizer: Option<Arc<()>>,
    pairs: HashMap<Key, Option<Answers>>,
    count: usize,
}

/// Whether it is a visit, and the numbers of principal and resource.
pub(crate) type Key = (bool, usize, usize);

/// The answers for one pair.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    without: Option<Verdict>,
    by_operation: HashMap<String, Verdict>,
}

impl Memo {
    /// An empty memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// This memory, emptied unless it is already the one of `authorizer`.
    pub(crate) fn of(&mut self, authorizer: &Arc<()>) -> &mut Self {
        if !self.authorizer.as_ref().is_some_and(|known| Arc::ptr_eq(known, authorizer)) {
            *self = Self { authorizer: Some(Arc::clone(authorizer)), ..Self::default() };
        }
        self
    }

    /// The answers for a pair; `None` if `may_remember` says that its answers depend on more.
    pub(crate) fn pair(
        &mut self,
        key: Key,
        may_remember: impl FnOnce() -> bool,
    ) -> Option<&Answers> {
        if self.pairs.len() >= PAIRS_MAX && !self.pairs.contains_key(&key) {
            self.pairs.clear();
            self.count = 0;
        }
        self.pairs.entry(key).or_insert_with(|| may_remember().then(Answers::default)).as_ref()
    }

    /// Remembers an answer. Failures are not remembered: their text may quote the request.
    pub(crate) fn put(&mut self, key: Key, operation: Option<&str>, verdict: &Verdict) {
        if matches!(verdict, Verdict::Failed { .. }) {
            return;
        }
        if self.count >= ANSWERS_MAX {
            self.pairs.clear();
            self.count = 0;
        }
        let Some(Some(answers)) = self.pairs.get_mut(&key) else { return };
        match operation {
            None => answers.without = Some(verdict.clone()),
            Some(operation) => {
                answers.by_operation.insert(operation.to_owned(), verdict.clone());
                self.count = self.count.saturating_add(1);
            }
        }
    }
}

impl Answers {
    pub(crate) fn of(&self, operation: Option<&str>) -> Option<&Verdict> {
        match operation {
            None => self.without.as_ref(),
            Some(operation) => self.by_operation.get(operation),
        }
    }
}

#[cfg(test)]
mod tests;
