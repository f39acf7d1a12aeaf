//! The cache in Redis.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::AsyncCommands;
use tenon_core::ports::cache::{Cache, CacheError};

use crate::{
    ConnectError,
    redis_pool::{Pool, RedisConfig},
};

pub(super) struct RedisCache {
    pool: Pool,
    prefix: String,
}

impl RedisCache {
    pub(super) async fn connect(config: &RedisConfig) -> Result<Self, ConnectError> {
        Ok(Self { pool: config.pool().await?, prefix: format!("{}cache:", config.prefix) })
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        let mut connection = self.pool.get().await.map_err(cache_error)?;
        let value: Option<Vec<u8>> = connection.get(self.key(key)).await.map_err(cache_error)?;
        Ok(value.map(Bytes::from))
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        let mut connection = self.pool.get().await.map_err(cache_error)?;
        // Redis refuses a life of no time at all.
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64 / 2);
        connection.pset_ex::<_, _, ()>(self.key(key), value.as_ref(), ttl).await.map_err(cache_error)
    }

    async fn forget(&self, key: &str) -> Result<(), CacheError> {
        let mut connection = self.pool.get().await.map_err(cache_error)?;
        connection.del::<_, ()>(self.key(key)).await.map_err(cache_error)
    }
}

fn cache_error(e: impl Into<tenon_core::BoxError>) -> CacheError {
    CacheError(e.into())
}
