//! The cache in Redis.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::AsyncCommands;
use tenon_core::{
    BoxError,
    ports::cache::{Cache, CacheError},
};

use crate::{
    ConnectError,
    breaker::Breaker,
    redis_pool::{Pool, RedisConfig},
};

pub(super) struct RedisCache {
    pool: Pool,
    prefix: String,
    breaker: Breaker,
}

impl RedisCache {
    /// Without looking whether Redis is there.
    pub(super) fn lazily(config: &RedisConfig) -> Result<Self, ConnectError> {
        let prefix = format!("{}cache:", config.prefix);
        Ok(Self { pool: config.lazy_pool()?, prefix, breaker: Breaker::default() })
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        let getting = async {
            let mut connection = self.pool.get().await?;
            let value: Option<Vec<u8>> = connection.get(self.key(key)).await?;
            Ok::<_, BoxError>(value.map(Bytes::from))
        };
        self.breaker.run(getting).await.map_err(CacheError)
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        // Redis refuses a life of no time at all.
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64 / 2);
        let putting = async {
            let mut connection = self.pool.get().await?;
            connection.pset_ex::<_, _, ()>(self.key(key), value.as_ref(), ttl).await?;
            Ok::<_, BoxError>(())
        };
        self.breaker.run(putting).await.map_err(CacheError)
    }

    async fn forget(&self, key: &str) -> Result<(), CacheError> {
        let forgetting = async {
            let mut connection = self.pool.get().await?;
            connection.del::<_, ()>(self.key(key)).await?;
            Ok::<_, BoxError>(())
        };
        self.breaker.run(forgetting).await.map_err(CacheError)
    }
}
