//! Tenon's language: ids, domain types, rules, permissions, changes, job payloads and ports.
//!
//! Nothing here does I/O. A value of a type in this crate has already been checked: an
//! [`emails::Email`] is a plausible, lower-cased address, a [`stories::StoryTitle`] is never empty.

pub mod accounts;
pub mod activity;
pub mod attachments;
pub mod callers;
pub mod changes;
pub mod comments;
pub mod emails;
pub mod error;
pub mod ids;
pub mod invitations;
pub mod jobs;
pub mod maintenance;
pub mod members;
pub mod names;
pub mod outside;
pub mod page;
pub mod permissions;
pub mod ports;
pub mod projects;
pub mod rank;
pub mod roles;
pub mod secrets;
pub mod sessions;
pub mod statuses;
pub mod stories;
pub mod templates;
pub mod text;
pub mod tokens;
pub mod users;
pub mod workflows;
pub mod workspaces;

pub use error::{BoxError, Error, FieldError, Result};

/// An instant in UTC. The wall clock is read only through [`ports::clock::Clock`].
pub type Time = chrono::DateTime<chrono::Utc>;
