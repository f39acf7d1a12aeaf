//! What tests share: time that stands still, services started on the spot, and the ports' laws.

#![expect(
    clippy::unwrap_used,
    clippy::unchecked_time_subtraction,
    reason = "everything here is part of a test, which a panic fails"
)]

pub mod clock;
pub mod laws;
pub mod postgres;
pub mod services;

pub use postgres::TestDb;
pub use services::{redis, s3, sendmail, smtp};
