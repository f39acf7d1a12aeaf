//! Budgets of calls: in Redis for several processes, or within this one.

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

/// Opens the configured limiter. `clock` serves the one in process.
pub async fn connect(config: Config, clock: Arc<dyn Clock>) -> Result<Arc<dyn Limiter>, ConnectError> {
    Ok(match config {
        Config::InProcess {} => Arc::new(inprocess::InProcessLimiter::new(clock)),
        Config::Redis(config) => Arc::new(redis::RedisLimiter::connect(&config).await?),
    })
}
