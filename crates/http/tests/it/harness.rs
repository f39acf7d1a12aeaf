//! What the tests of this crate stand on.

pub mod app;
pub mod call;
pub mod exchange;
pub mod people;
pub mod sample;
pub mod socket;
