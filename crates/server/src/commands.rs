//! What each command does.

pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod migrate;
