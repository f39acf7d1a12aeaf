//! The use-cases against real adapters.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod enqueue;
mod faults;
mod harness;
mod idempotency;
mod mail;
mod purge;
mod queue_move;
mod relay;
mod scheduler;
mod settling;
mod soak;
mod tidings;
mod toil;
mod worker;
