//! Tests of the crate as a whole: every diagnostic, and every field of a shop mutated.

pub(crate) mod fixture;

mod diagnostics;
mod mutation;
