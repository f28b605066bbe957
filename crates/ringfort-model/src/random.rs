//! Randomness as an argument.

/// A source of cryptographically secure random bytes; the real one lives in `ringfort-identity`.
pub trait SecureRandom {
    /// Fills `bytes` with random bytes.
    fn fill(&mut self, bytes: &mut [u8]);
}
