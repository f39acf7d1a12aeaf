//! Budgets of calls in a window of time.

use std::time::Duration;

use async_trait::async_trait;

use crate::BoxError;

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Calls per window.
    pub calls: u32,
    /// The window.
    pub window: Duration,
}

/// What the limiter says of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the call may go on.
    pub allowed: bool,
    /// Calls left in the window.
    pub remaining: u32,
    /// When a refused caller may come back; when the whole budget is there again, for an allowed one.
    pub reset_after: Duration,
}

/// The limiter could not answer.
#[derive(Debug, thiserror::Error)]
#[error("the limiter is not available")]
pub struct LimiterError(#[source] pub BoxError);

/// Counts calls per key, over every instance that shares it.
#[async_trait]
pub trait Limiter: Send + Sync {
    /// Takes one call from the budget of `key`. Never more than the budget is allowed in any window;
    /// a refused call costs nothing; the answer says when to come back.
    async fn take(&self, key: &str, budget: Budget) -> Result<Verdict, LimiterError>;
    /// Gives back the newest call that was allowed to `key`, as if it had not been made. Giving back what nobody took
    /// changes nothing.
    async fn give_back(&self, key: &str, budget: Budget) -> Result<(), LimiterError>;
    /// Succeeds when calls are counted where they were configured to be counted.
    async fn check(&self) -> Result<(), LimiterError> {
        Ok(())
    }
}
