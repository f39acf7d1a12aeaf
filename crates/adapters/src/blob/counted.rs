//! A store whose operations are counted.

use std::{ops::Range, time::Duration};

use async_trait::async_trait;
use tenon_core::ports::blob::{BlobError, BlobMeta, BlobStore, ByteStream, Capabilities, Key};

/// Counts what is asked of `S`, and how that ended. A body that breaks off after its first byte counts as read.
pub(super) struct Counted<S>(pub(super) S);

fn note<T>(op: &'static str, result: Result<T, BlobError>) -> Result<T, BlobError> {
    let outcome = match &result {
        Ok(_) => "ok",
        Err(BlobError::NotFound) => "not_found",
        Err(BlobError::Unsupported) => "unsupported",
        Err(BlobError::Aborted(_)) => "aborted",
        Err(_) => "failed",
    };
    metrics::counter!("storage_operations_total", "op" => op, "outcome" => outcome).increment(1);
    result
}

#[async_trait]
impl<S: BlobStore> BlobStore for Counted<S> {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn put(&self, key: &Key, media_type: &str, body: ByteStream) -> Result<BlobMeta, BlobError> {
        note("put", self.0.put(key, media_type, body).await)
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<ByteStream, BlobError> {
        note("get", self.0.get(key, range).await)
    }

    async fn head(&self, key: &Key) -> Result<BlobMeta, BlobError> {
        note("head", self.0.head(key).await)
    }

    async fn delete(&self, key: &Key) -> Result<(), BlobError> {
        note("delete", self.0.delete(key).await)
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Vec<Key>, BlobError> {
        note("list", self.0.list(prefix, after, limit).await)
    }

    async fn presign(
        &self,
        key: &Key,
        ttl: Duration,
        content_disposition: &str,
    ) -> Result<String, BlobError> {
        note("presign", self.0.presign(key, ttl, content_disposition).await)
    }
}
