//! The program as its user meets it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command_line;
mod greeting;
mod people;
mod processes;
mod readme;
mod refusals;
mod tour;
