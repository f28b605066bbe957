//! The real source of randomness: the library's own generator, seeded by the kernel.

use aws_lc_rs::rand::{self, SecureRandom as _};
use ringfort_model::SecureRandom;

/// Random bytes from AWS-LC's generator.
#[derive(Debug, Clone, Copy)]
pub struct SystemRandom;

impl SecureRandom for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        // AWS-LC ends the process rather than fail; should it ever report a failure, waiting is the only safe answer,
        // since going on would mean predictable serials and nonces.
        let generator = rand::SystemRandom::new();
        while generator.fill(bytes).is_err() {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests;
