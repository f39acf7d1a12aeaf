//! Time, handed in.

use crate::Time;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The present instant, truncated to microseconds as Postgres keeps it.
    fn now(&self) -> Time;
}
