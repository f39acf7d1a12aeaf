//! Every adapter under its port's laws, and what each does beyond them.

#![expect(clippy::unwrap_used, reason = "everything here is part of a test, which a panic fails")]

mod blob;
mod bus;
mod cache;
mod limiter;
mod mail;
mod matrix;
mod queue;
mod queue_model;
mod queue_redis;
#[cfg(feature = "sqlxmq")]
mod queue_sqlxmq;
mod saboteurs;
