//! Live events: sockets, the streams they subscribe to, and the frames between.
//!
//! The log is the only source of a change. Bells on the bus say that there is something new and bring it along; when
//! one is missing, the gap is read from the log, and heads are polled in case the last bell was the one lost.

mod allowance;
mod board;
mod channel;
mod close;
pub mod frames;
mod hub;
mod mailbox;
mod outbox;
mod presence;
mod reference;
mod replay;
mod socket;
mod subscription;

pub(crate) use allowance::Allowance;
pub use hub::Hub;
pub(crate) use socket::{Holder, Introduce, READ, serve};
