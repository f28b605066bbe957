//! Fixtures for tests above the pure crates: whole fleets, a certificate authority, a clock that tests set.
//!
//! Makes ready-made values and folders; decides nothing about the product and is never part of it. A fixture that
//! cannot be made is a broken test run, so everything here panics instead of returning errors.
#![expect(clippy::expect_used, reason = "a fixture that cannot be made ends the test")]

pub mod authority;
pub mod clock;
pub mod fleets;

pub use authority::TestAuthority;
pub use clock::TestClock;
