//! Everything Postgres: schema, query functions, the log, migrations.
//!
//! A query function takes the connection first, never a pool, and speaks domain types. What it
//! answers is what the database says; whether that is allowed is asked in `app`.

pub mod access;
pub mod address;
pub mod attachments;
pub mod backups;
pub mod belongings;
pub mod comments;
pub mod databases;
pub mod delegations;
pub mod erasure;
pub mod error;
pub mod idempotency;
pub mod invitations;
pub mod jobs;
pub mod leader;
pub mod links;
mod locks;
pub mod log;
pub mod mails;
pub mod maintenance;
pub mod managed;
pub mod migrations;
pub mod people;
pub mod pool;
pub mod project_members;
pub mod project_roles;
pub mod projects;
pub mod purge;
pub mod ranks;
pub mod schedules;
pub mod schema;
pub mod sessions;
pub mod sql;
pub mod statuses;
pub mod stories;
pub mod tokens;
pub mod transaction;
pub mod users;
pub mod workflows;
pub mod workspace_members;
pub mod workspaces;

pub use diesel_async::AsyncPgConnection as Connection;
pub use error::{Error, Result};
pub use pool::{Db, DbConfig, PooledConnection};
