//! SHA-256 for the digests of the model.

use aws_lc_rs::digest::{Context, SHA256};
use ringfort_model::{Digest, Digester};

/// Computes SHA-256.
#[derive(Debug, Clone, Copy)]
pub struct Sha256Digester;

impl Sha256Digester {
    /// The plain SHA-256 of some bytes, as `sha256sum` prints it.
    #[must_use]
    pub fn plain(self, bytes: &[u8]) -> Digest {
        let mut context = Context::new(&SHA256);
        context.update(bytes);
        finish(context)
    }
}

impl Digester for Sha256Digester {
    fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut context = Context::new(&SHA256);
        for part in parts {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            context.update(&length.to_be_bytes());
            context.update(part);
        }
        finish(context)
    }
}

fn finish(context: Context) -> Digest {
    let mut bytes = [0_u8; 32];
    for (byte, digested) in bytes.iter_mut().zip(context.finish().as_ref()) {
        *byte = *digested;
    }
    Digest::new(bytes)
}

#[cfg(test)]
mod tests;
