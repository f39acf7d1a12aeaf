//! What the tests of this crate stand on.

pub mod exchange;
pub mod sample;
