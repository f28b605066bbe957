//! Numbers, times and digests as SQLite keeps them: 64-bit signed integers and blobs.

use std::time::Duration;

use ringfort_model::{Digest, WallTime};

use crate::query::foreign;

/// A number that does not fit the other side.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is out of range")]
struct OutOfRange(i128);

pub(crate) fn to_sql(number: u64) -> Result<i64, sqlx::Error> {
    i64::try_from(number)
        .map_err(|_too_large| sqlx::Error::Encode(Box::new(OutOfRange(number.into()))))
}

pub(crate) fn from_sql(number: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(number).map_err(|_negative| foreign(OutOfRange(number.into())))
}

/// Milliseconds since the epoch, capped at the largest.
pub(crate) fn millis(time: WallTime) -> i64 {
    i64::try_from(time.since_unix().as_millis()).unwrap_or(i64::MAX)
}

pub(crate) fn time(millis: i64) -> Result<WallTime, sqlx::Error> {
    Ok(WallTime::from_unix(Duration::from_millis(from_sql(millis)?)))
}

pub(crate) fn digest(bytes: &[u8]) -> Result<Digest, sqlx::Error> {
    let length = i128::try_from(bytes.len()).unwrap_or(i128::MAX);
    let bytes = <[u8; 32]>::try_from(bytes);
    bytes.map(Digest::new).map_err(|_length| foreign(OutOfRange(length)))
}
