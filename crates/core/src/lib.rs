//! Tenon's language: ids, domain types, rules, permissions, changes, job payloads and ports.
//!
//! Nothing here does I/O. A value of a type in this crate has already been checked: an
//! [`emails::Email`] is a plausible, lower-cased address, a [`stories::StoryTitle`] is never empty.

pub mod emails;
pub mod error;
pub mod ids;
pub mod ports;
pub mod secrets;
pub mod text;

pub use error::{BoxError, Error, FieldError, Result};

/// An instant in UTC. The wall clock is read only through [`ports::clock::Clock`].
pub type Time = chrono::DateTime<chrono::Utc>;
