//! Messages between processes: over Redis, or within this one.

mod inprocess;
mod redis;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use tenon_core::ports::bus::Bus;

use crate::ConnectError;
pub use crate::redis_pool::RedisConfig;

/// Which bus.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "backend", rename_all = "lowercase", deny_unknown_fields)]
pub enum Config {
    /// Within this process; right for a single one.
    InProcess {},
    /// Over Redis' publish and subscribe.
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

/// Opens the configured bus.
pub async fn connect(config: Config) -> Result<Arc<dyn Bus>, ConnectError> {
    Ok(match config {
        Config::InProcess {} => Arc::new(inprocess::InProcessBus::default()),
        Config::Redis(config) => {
            config.probe().await?;
            Arc::new(redis::RedisBus::lazily(config)?)
        }
    })
}

/// The same for a process that does its work without the bus: it need not be there yet.
pub fn connect_lazily(config: Config) -> Result<Arc<dyn Bus>, ConnectError> {
    Ok(match config {
        Config::InProcess {} => Arc::new(inprocess::InProcessBus::default()),
        Config::Redis(config) => Arc::new(redis::RedisBus::lazily(config)?),
    })
}
