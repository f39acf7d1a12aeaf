//! The frame of the HTTP face, exercised over a small sample table.
#![expect(unreachable_pub, clippy::unwrap_used, reason = "tests")]

mod bodies;
mod budgets;
mod credentials;
mod document;
mod edges;
mod files;
mod harness;
mod pages;
mod preconditions;
mod system;
