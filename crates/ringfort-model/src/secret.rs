//! Values that must never be printed, logged or left in memory.

use std::fmt;

use zeroize::Zeroize;

/// A secret: `Debug` prints `***`, there is no `Display`, and the memory is zeroed on drop.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Wraps a secret; the caller drops or zeroes every other copy.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The one way to read the secret: visible in review.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// Lets a secret be made, or taken apart, in the place where it will be zeroed.
    pub const fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
