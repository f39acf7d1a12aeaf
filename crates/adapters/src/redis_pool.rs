//! Connections to Redis, for the queue, the bus, the limiter and the cache.

use std::time::Duration;

use bb8::ManageConnection;
use bb8_redis::RedisConnectionManager;
use redis::{AsyncConnectionConfig, ErrorKind, aio::MultiplexedConnection};
use schemars::JsonSchema;
use serde::Deserialize;
use tenon_core::{BoxError, secrets::Secret};
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

    /// Says what could never be connected to.
    pub(crate) fn check(&self) -> Result<(), ConnectError> {
        self.client().map(drop)
    }

    /// A client for dedicated connections.
    pub(crate) fn client(&self) -> Result<redis::Client, ConnectError> {
        install_tls_provider();
        redis::Client::open(self.url.expose().as_str()).map_err(|e| not_a_url(&e))
    }

    /// A pool that connects when it is asked for a connection.
    pub(crate) fn lazy_pool(&self) -> Result<Pool, ConnectError> {
        install_tls_provider();
        let manager = RedisConnectionManager::new(self.url.expose().as_str()).map_err(|e| not_a_url(&e))?;
        Ok(bb8::Pool::builder().max_size(4).connection_timeout(PATIENCE).build_unchecked(manager))
    }

    /// The same of connections that wait longer for an answer.
    pub(crate) fn patient_pool(&self) -> Result<PatientPool, ConnectError> {
        install_tls_provider();
        let manager = RedisConnectionManager::new(self.url.expose().as_str()).map_err(|e| not_a_url(&e))?;
        let pool = bb8::Pool::builder().max_size(4).connection_timeout(PATIENCE);
        Ok(pool.build_unchecked(Patient { manager, client: self.client()? }))
    }

    /// Makes a connection, to see whether that can be done.
    pub(crate) async fn probe(&self) -> Result<(), ConnectError> {
        let client = self.client()?;
        let address = client.get_connection_info().addr().to_string();
        let away = |e: BoxError| ConnectError::caused(format!("Redis at {address} cannot be reached."), e);
        match timeout(PATIENCE, client.get_multiplexed_async_connection()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) if e.kind() == ErrorKind::AuthenticationFailed => {
                Err(ConnectError::caused(format!("Redis at {address} refuses the user or the password."), e))
            }
            Ok(Err(e)) => Err(away(e.into())),
            Err(late) => Err(away(late.into())),
        }
    }
}

/// Never shows the URL, which may hold a password.
fn not_a_url(error: &redis::RedisError) -> ConnectError {
    ConnectError::new(format!(
        "url is not one of Redis, such as redis://host:6379, rediss://host:6379 or redis+unix:///path: {}.",
        error.detail().unwrap_or("it cannot be read")
    ))
}

/// Makes connections on which an answer may take a while: many jobs, or large ones.
pub(crate) struct Patient {
    manager: RedisConnectionManager,
    client: redis::Client,
}

/// A pool of such connections.
pub(crate) type PatientPool = bb8::Pool<Patient>;

impl ManageConnection for Patient {
    type Connection = MultiplexedConnection;
    type Error = redis::RedisError;

    async fn connect(&self) -> Result<Self::Connection, Self::Error> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(Duration::from_secs(10)));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    async fn is_valid(&self, connection: &mut Self::Connection) -> Result<(), Self::Error> {
        self.manager.is_valid(connection).await
    }

    fn has_broken(&self, connection: &mut Self::Connection) -> bool {
        self.manager.has_broken(connection)
    }
}
