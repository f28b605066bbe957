//! When a certificate is renewed.

use std::time::Duration;

use ringfort_model::{Percent, SecureRandom, WallTime};

/// Jitter around the renewal point, in millionths of the time from `not_before` to it: 10 % either way, so that a
/// fleet started at once does not renew at once.
const JITTER_PPM: u32 = 100_000;

/// Latest renewal, in percent of the life: retries need room before the end.
const LATEST_PERCENT: u32 = 95;

const MILLION: u32 = 1_000_000;

/// The time at which a certificate is renewed: `renew_at` of its life, 10 % earlier or later, never after 95 % of it.
#[must_use]
pub fn renewal_time(
    not_before: WallTime,
    not_after: WallTime,
    renew_at: Percent,
    random: &mut dyn SecureRandom,
) -> WallTime {
    let life = not_after.since(not_before);
    let mut drawn = [0_u8; 4];
    random.fill(&mut drawn);
    // 2^32 is no multiple of the range; the bias is below 0.005 % and only shifts load.
    let jitter = u32::from_be_bytes(drawn) % (2 * JITTER_PPM + 1);
    let wished = share(life, u32::from(renew_at.as_u8()), 100);
    let wished = share(wished, MILLION - JITTER_PPM + jitter, MILLION);
    not_before.plus(wished.min(share(life, LATEST_PERCENT, 100)))
}

/// `numerator / denominator` of a duration; `denominator` is never 0.
fn share(whole: Duration, numerator: u32, denominator: u32) -> Duration {
    whole.saturating_mul(numerator).checked_div(denominator).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests;
