//! A stored snapshot as the bytes of one file: magic, digest, message.
//!
//! The digest finds damage; who made the content is proven by the manifest's signature, which
//! [`crate::assemble::Assembly::restore`] checks.
#![warn(missing_docs, unreachable_pub, unused_qualifications, missing_debug_implementations)]
#![warn(clippy::missing_errors_doc, clippy::wildcard_imports)]

use prost::Message as _;
use ringfort_model::Digester;

use crate::v1;

/// Largest file: room for 10 000 peers of 4 KiB, and what [`crate::assemble`] may hold.
pub const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Format 1.
const MAGIC: &[u8; 8] = b"RFSNAP01";

/// Why bytes are no stored snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadSnapshotError {
    /// More than [`FILE_BYTES_MAX`] bytes.
    #[error("larger than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// The bytes do not begin as a stored snapshot does.
    #[error("not a stored snapshot of this format")]
    Format,
    /// The content differs from what was written.
    #[error("damaged: the content differs from its digest")]
    Damaged,
    /// The content is no message.
    #[error("the content does not decode")]
    Encoding(#[source] prost::DecodeError),
}

/// The bytes of the file that stores `snapshot`; `None` when they exceed [`FILE_BYTES_MAX`].
#[must_use]
pub fn write(snapshot: &v1::StoredSnapshot, digester: &dyn Digester) -> Option<Vec<u8>> {
    let body = snapshot.encode_to_vec();
    let digest = digester.digest(&[&body]);
    let file = [MAGIC.as_slice(), digest.as_bytes(), &body].concat();
    (file.len() <= FILE_BYTES_MAX).then_some(file)
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// [`ReadSnapshotError`]: nothing of the file can be used.
pub fn read(file: &[u8], digester: &dyn Digester) -> Result<v1::StoredSnapshot, ReadSnapshotError> {
    if file.len() > FILE_BYTES_MAX {
        return Err(ReadSnapshotError::TooLarge);
    }
    let rest = file.strip_prefix(MAGIC).ok_or(ReadSnapshotError::Format)?;
    let (digest, body) = rest.split_first_chunk::<32>().ok_or(ReadSnapshotError::Format)?;
    if digester.digest(&[body]).as_bytes() != digest {
        return Err(ReadSnapshotError::Damaged);
    }
    v1::StoredSnapshot::decode(body).map_err(ReadSnapshotError::Encoding)
}

#[cfg(test)]
mod tests;
