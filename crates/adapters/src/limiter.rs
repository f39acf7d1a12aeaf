//! Budgets of calls: in Redis for several processes, or within this one.

mod fallback;
mod inprocess;
mod redis;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use tenon_core::ports::{clock::Clock, limiter::Limiter};

use crate::ConnectError;
pub use crate::redis_pool::RedisConfig;

/// Where calls are counted.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "backend", rename_all = "lowercase", deny_unknown_fields)]
pub enum Config {
    /// Within this process; each process then has budgets of its own.
    InProcess {},
    /// In Redis, by Redis' clock.
    Redis(RedisConfig),
}

impl Default for Config {
    fn default() -> Self {
        Self::InProcess {}
    }
}

impl Config {
    /// Says what could never be connected to, without connecting.
    pub fn check(&self) -> Result<(), ConnectError> {
        match self {
            Self::InProcess {} => Ok(()),
            Self::Redis(config) => config.check(),
        }
    }
}

/// Opens the configured limiter. `clock` serves the one in process.
pub async fn connect(config: Config, clock: Arc<dyn Clock>) -> Result<Arc<dyn Limiter>, ConnectError> {
    Ok(match config {
        Config::InProcess {} => Arc::new(inprocess::InProcessLimiter::new(clock)),
        Config::Redis(config) => {
            config.probe().await?;
            Arc::new(redis::RedisLimiter::lazily(config)?)
        }
    })
}

/// The same for a process that must work without Redis: it need not be there yet, and while it is away calls are counted
/// in this process.
pub fn connect_lazily(config: Config, clock: Arc<dyn Clock>) -> Result<Arc<dyn Limiter>, ConnectError> {
    Ok(match config {
        Config::InProcess {} => Arc::new(inprocess::InProcessLimiter::new(clock)),
        Config::Redis(config) => Arc::new(fallback::FallbackLimiter::new(
            Arc::new(redis::RedisLimiter::lazily(config)?),
            Arc::new(inprocess::InProcessLimiter::new(clock)),
        )),
    })
}
