//! What tests share: time that stands still, services started on the spot, and the ports' laws.

#![expect(clippy::unwrap_used, reason = "everything here is part of a test, which a panic fails")]

pub mod postgres;

pub use postgres::TestDb;
