//! Connections to Redis, shared by the bus, the limiter and the cache.

use std::time::Duration;

use bb8_redis::RedisConnectionManager;
use schemars::JsonSchema;
use serde::Deserialize;
use tenon_core::secrets::Secret;
use tokio::time::timeout;

use crate::connect::{ConnectError, install_tls_provider};

/// A pool of multiplexed connections.
pub(crate) type Pool = bb8::Pool<RedisConnectionManager>;

/// The longest that connecting may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// Where Redis is, and which part of its key space is ours.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// Where Redis is: `redis://user:password@host:6379/0`, `rediss://…` for TLS, or `redis+unix:///path`.
    pub url: Secret,
    /// Begins every key and channel, so that several installations can share one Redis.
    #[serde(default = "default_prefix")]
    pub prefix: String,
}

fn default_prefix() -> String {
    "tenon:".to_owned()
}

impl RedisConfig {
    /// A configuration with the usual prefix.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: Secret::new(url.into()), prefix: default_prefix() }
    }

    /// A client for dedicated connections.
    pub(crate) fn client(&self) -> Result<redis::Client, ConnectError> {
        install_tls_provider();
        redis::Client::open(self.url.expose().as_str())
            .map_err(|e| ConnectError::caused("The Redis URL is not valid.", e))
    }

    /// A pool, after one connection was made.
    pub(crate) async fn pool(&self) -> Result<Pool, ConnectError> {
        let client = self.client()?;
        let address = client.get_connection_info().addr().to_string();
        let away = |e: tenon_core::BoxError| {
            ConnectError::caused(format!("Redis at {address} cannot be reached."), e)
        };
        match timeout(PATIENCE, client.get_multiplexed_async_connection()).await {
            Ok(connected) => connected.map(drop).map_err(|e| away(e.into()))?,
            Err(late) => return Err(away(late.into())),
        }
        let manager = RedisConnectionManager::new(self.url.expose().as_str())
            .map_err(|e| ConnectError::caused("The Redis URL is not valid.", e))?;
        let pool = bb8::Pool::builder().max_size(4).connection_timeout(PATIENCE);
        pool.build(manager).await.map_err(|e| away(e.into()))
    }
}
