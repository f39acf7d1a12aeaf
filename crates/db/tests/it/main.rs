//! Against a real server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod encrypted;
mod managed;
mod schema;
