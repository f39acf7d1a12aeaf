//! Where files live.

use std::{ops::Range, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::{BoxError, text::TextError};

/// A write-once address of a blob: `<kind>/<uuid>`.
///
/// Segments are separated by `/`; no segment is empty, `.` or `..`; no control characters; at most
/// 512 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// Checks a key.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let bad = |detail: &str| Err(TextError::new("invalid-key", detail));
        if text.is_empty() || text.len() > 512 {
            return bad("a blob key is 1 to 512 bytes long");
        }
        if text.chars().any(|c| c.is_control() || c == '\\') {
            return bad("a blob key has no control characters and no backslash");
        }
        if text.split('/').any(|s| s.is_empty() || s == "." || s == "..") {
            return bad("a blob key has no empty, `.` or `..` segment");
        }
        Ok(Self(text.to_owned()))
    }
    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A body on its way in or out.
pub type ByteStream = BoxStream<'static, Result<Bytes, BoxError>>;

/// What is known of a stored blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobMeta {
    /// Length in bytes.
    pub size: u64,
    /// Media type, where the store keeps one.
    pub media_type: Option<String>,
}

/// What a store can do beyond the laws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Survives a restart of the process.
    pub durable: bool,
    /// Hands out URLs that let a browser fetch a blob without us.
    pub presign: bool,
    /// Remembers media types.
    pub media_type: bool,
}

/// Why a store refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// No blob has this key.
    #[error("blob not found")]
    NotFound,
    /// The store cannot do this at all; see [`Capabilities`].
    #[error("this store cannot do that")]
    Unsupported,
    /// The body broke off; nothing was stored.
    #[error("the upload broke off")]
    Aborted(#[source] BoxError),
    /// Worth trying again.
    #[error("the blob store is not available for now")]
    Transient(#[source] BoxError),
    /// Not worth trying again.
    #[error("the blob store refused")]
    Permanent(#[source] BoxError),
}

/// A place for bytes addressed by key.
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// What this store can do beyond the laws.
    fn capabilities(&self) -> Capabilities;
    /// Stores `body` under `key`, replacing what was there. Readers see the old or the new bytes,
    /// never a mix. When `body` yields an error nothing new becomes visible.
    async fn put(&self, key: &Key, media_type: &str, body: ByteStream) -> Result<BlobMeta, BlobError>;
    /// The bytes of `key`, or of `range` of it; a range past the end is cut to the end. A missing key is
    /// [`BlobError::NotFound`] before the first byte.
    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<ByteStream, BlobError>;
    /// Size and media type of `key`.
    async fn head(&self, key: &Key) -> Result<BlobMeta, BlobError>;
    /// Removes `key`. Removing what is absent succeeds.
    async fn delete(&self, key: &Key) -> Result<(), BlobError>;
    /// Keys that begin with `prefix`, in byte order, after `after`, at most `limit`.
    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Vec<Key>, BlobError>;
    /// A URL that lets its bearer read `key` for `ttl`, answered with `content_disposition`;
    /// [`BlobError::Unsupported`] where [`Capabilities::presign`] is false.
    async fn presign(&self, key: &Key, ttl: Duration, content_disposition: &str)
    -> Result<String, BlobError>;
}
