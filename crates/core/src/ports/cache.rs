//! Values that may vanish at any time.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::BoxError;

/// The cache could not answer; callers go on as if it were empty.
#[derive(Debug, thiserror::Error)]
#[error("the cache is not available")]
pub struct CacheError(#[source] pub BoxError);

/// Keeps values for a while. It never holds the only copy of anything.
#[async_trait]
pub trait Cache: Send + Sync {
    /// The value of `key`, if it is still there.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError>;
    /// Keeps `value` under `key` for at most `ttl`, replacing what was there.
    async fn put(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError>;
    /// Forgets `key`. Forgetting what is absent succeeds.
    async fn forget(&self, key: &str) -> Result<(), CacheError>;
}
