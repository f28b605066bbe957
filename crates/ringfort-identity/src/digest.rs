//! SHA-256 for the digests of the model.

use aws_lc_rs::digest::{Context, SHA256};
use ringfort_model::{ContentDigester, Digest, Digester};

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

/// Computes the plain SHA-256 of content that arrives in pieces.
#[derive(Clone)]
pub struct ContentSha256 {
    context: Context,
}

impl ContentSha256 {
    /// Of nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self { context: Context::new(&SHA256) }
    }
}

impl std::fmt::Debug for ContentSha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContentSha256")
    }
}

impl Default for ContentSha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl ContentDigester for ContentSha256 {
    fn update(&mut self, piece: &[u8]) {
        self.context.update(piece);
    }

    fn finish(self: Box<Self>) -> Digest {
        finish(self.context)
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
