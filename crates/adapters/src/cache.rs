//! Values that may vanish: in Redis, or within this process.

mod inprocess;
mod redis;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use tenon_core::ports::{cache::Cache, clock::Clock};

pub use inprocess::InProcessConfig;

use crate::ConnectError;
pub use crate::redis_pool::RedisConfig;

/// Where values are kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "backend", rename_all = "lowercase", deny_unknown_fields)]
pub enum Config {
    /// Within this process.
    InProcess(InProcessConfig),
    /// In Redis, shared by all processes.
    Redis(RedisConfig),
}

impl Default for Config {
    fn default() -> Self {
        Self::InProcess(InProcessConfig::default())
    }
}

impl Config {
    /// Says what could never be connected to, without connecting.
    pub fn check(&self) -> Result<(), ConnectError> {
        match self {
            Self::InProcess(_) => Ok(()),
            Self::Redis(config) => config.check(),
        }
    }
}

/// Opens the configured cache. `clock` serves the one in process.
pub async fn connect(config: Config, clock: Arc<dyn Clock>) -> Result<Arc<dyn Cache>, ConnectError> {
    Ok(match config {
        Config::InProcess(config) => Arc::new(inprocess::InProcessCache::new(&config, clock)),
        Config::Redis(config) => {
            config.probe().await?;
            Arc::new(redis::RedisCache::lazily(&config)?)
        }
    })
}

/// The same for a process that does its work without the cache: it need not be there yet.
pub fn connect_lazily(config: Config, clock: Arc<dyn Clock>) -> Result<Arc<dyn Cache>, ConnectError> {
    Ok(match config {
        Config::InProcess(config) => Arc::new(inprocess::InProcessCache::new(&config, clock)),
        Config::Redis(config) => Arc::new(redis::RedisCache::lazily(&config)?),
    })
}
