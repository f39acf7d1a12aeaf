//! The ports' implementations.
//!
//! Each port has a module with a tagged `Config` and a `connect` that fails in one sentence an
//! operator can act on; each adapter has a file. Adapters neither log, retry nor measure: decorators
//! around the port do.

pub mod blob;
pub mod bus;
pub mod cache;
pub mod clock;
pub mod limiter;
pub mod mail;
pub mod queue;
pub mod randomness;

mod breaker;
mod connect;
mod redis_pool;

pub use connect::ConnectError;
