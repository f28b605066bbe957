//! What the five programs do, one module each; they know nothing of walls.

mod inventory;
mod ledger;
mod orders;
mod payments;
mod web;

pub(crate) use inventory::Inventory;
pub(crate) use ledger::Ledger;
pub(crate) use orders::Orders;
pub(crate) use payments::Payments;
pub(crate) use web::Web;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most entries a program keeps in memory: orders, charges, lines.
const ENTRIES_MAX: usize = 10_000;

/// Locks a list. A request that panicked while it held the lock left the list as it was.
fn lock<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
