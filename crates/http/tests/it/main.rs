//! The HTTP face: its frame over a small sample table, and the whole application behind it.
#![expect(unreachable_pub, clippy::unwrap_used, reason = "tests")]

mod archived;
mod attachments;
mod auth;
mod authorisation;
mod bodies;
mod browser;
mod budgets;
mod comments;
mod credentials;
mod delegations;
mod document;
mod edges;
mod events;
mod files;
mod grants;
mod harness;
mod invitations;
mod jobs;
mod live_jobs;
mod lives;
mod maintenance;
mod me;
mod members;
mod ownership;
mod pages;
mod preconditions;
mod projects;
mod statements;
mod stories;
mod system;
mod tokens;
mod two_processes;
mod users;
mod workflows;
mod workspaces;
