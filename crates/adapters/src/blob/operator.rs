//! The blob port over any opendal operator.

use std::{ops::Range, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use opendal::{Buffer, ErrorKind, Operator};
use tenon_core::{
    BoxError,
    ports::blob::{BlobError, BlobMeta, BlobStore, ByteStream, Capabilities, Key},
};

/// Size of the first parts of an upload, bytes: what is held back before it goes out. S3 takes none below 5 MiB.
const SMALLEST_PART: usize = 8 << 20;
/// Size of the last parts of a large one.
const LARGEST_PART: usize = 128 << 20;

/// Size of the part of this number: S3 takes 10 000, so those of large objects grow, and 860 GiB fit.
const fn part_size(number: usize) -> usize {
    let grown = SMALLEST_PART << if number < 4000 { number / 1000 } else { 4 };
    if grown < LARGEST_PART { grown } else { LARGEST_PART }
}

/// A part that is being put together.
#[derive(Default)]
struct Part {
    number: usize,
    pieces: Vec<Bytes>,
    size: usize,
}

impl Part {
    /// Adds to it; answers it when it is large enough, and begins the next.
    fn add(&mut self, bytes: Bytes) -> Option<Buffer> {
        self.size += bytes.len();
        self.pieces.push(bytes);
        (self.size >= part_size(self.number)).then(|| self.take())
    }

    fn take(&mut self) -> Buffer {
        self.number += 1;
        self.size = 0;
        Buffer::from(std::mem::take(&mut self.pieces))
    }
}

/// An opendal operator that keeps the laws of the port.
pub(super) struct OperatorStore {
    operator: Operator,
    capabilities: Capabilities,
}

impl OperatorStore {
    pub(super) const fn new(operator: Operator, capabilities: Capabilities) -> Self {
        Self { operator, capabilities }
    }

    async fn open(&self, key: &Key, range: Option<Range<u64>>) -> opendal::Result<opendal::BufferStream> {
        let reader = self.operator.reader(key.as_str()).await?;
        match range {
            Some(range) => reader.into_stream(range).await,
            None => reader.into_stream(..).await,
        }
    }
}

#[async_trait]
impl BlobStore for OperatorStore {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn put(&self, key: &Key, media_type: &str, mut body: ByteStream) -> Result<BlobMeta, BlobError> {
        let mut options = self.operator.writer_with(key.as_str());
        if self.capabilities.media_type {
            options = options.content_type(media_type);
        }
        let mut writer = options.await.map_err(from_opendal)?;
        let (mut size, mut part) = (0, Part::default());
        loop {
            let written = match body.next().await {
                Some(Ok(bytes)) => {
                    size += bytes.len() as u64;
                    match part.add(bytes) {
                        Some(whole) => writer.write(whole).await.map_err(from_opendal),
                        None => Ok(()),
                    }
                }
                Some(Err(e)) => Err(BlobError::Aborted(e)),
                None => match writer.write(part.take()).await {
                    Ok(()) => break,
                    Err(e) => Err(from_opendal(e)),
                },
            };
            if let Err(e) = written {
                // What cannot be cleaned up now was never visible either.
                let _ = writer.abort().await;
                return Err(e);
            }
        }
        if let Err(e) = writer.close().await {
            let _ = writer.abort().await;
            return Err(from_opendal(e));
        }
        let media_type = self.capabilities.media_type.then(|| media_type.to_owned());
        Ok(BlobMeta { size, media_type })
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<ByteStream, BlobError> {
        let range = match range {
            None => None,
            Some(range) => {
                let size = self.head(key).await?.size;
                let clipped = range.start.min(size)..range.end.min(size);
                if clipped.is_empty() {
                    return Ok(stream::empty().boxed());
                }
                Some(clipped)
            }
        };
        let mut rest = self.open(key, range).await.map_err(from_opendal)?;
        // Only the first read tells whether the key is there.
        let first = rest.next().await.transpose().map_err(from_opendal)?;
        Ok(stream::iter(first.map(Ok))
            .chain(rest)
            .map_ok(|buffer| buffer.to_bytes())
            .map_err(|e| Box::new(e) as BoxError)
            .boxed())
    }

    async fn head(&self, key: &Key) -> Result<BlobMeta, BlobError> {
        let meta = self.operator.stat(key.as_str()).await.map_err(from_opendal)?;
        if !meta.is_file() {
            return Err(BlobError::NotFound);
        }
        let media_type = meta.content_type().filter(|_| self.capabilities.media_type).map(str::to_owned);
        Ok(BlobMeta { size: meta.content_length(), media_type })
    }

    async fn delete(&self, key: &Key) -> Result<(), BlobError> {
        self.operator.delete(key.as_str()).await.map_err(from_opendal)
    }

    async fn list(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Vec<Key>, BlobError> {
        let sorted_by_store = self.operator.info().capability().list_with_start_after;
        let mut options = self.operator.lister_with(prefix).recursive(true);
        if sorted_by_store {
            options = options.limit(limit.clamp(1, 1000));
            if let Some(after) = after {
                options = options.start_after(after.as_str());
            }
        }
        let mut keys = Vec::new();
        let mut entries = match options.await {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(keys),
            Err(e) => return Err(from_opendal(e)),
        };
        while let Some(entry) = entries.try_next().await.map_err(from_opendal)? {
            if sorted_by_store && keys.len() >= limit {
                break;
            }
            // What is no key of ours (a directory, a stranger's file) is not listed.
            if let Ok(key) = Key::parse(entry.path())
                && key.as_str().starts_with(prefix)
                && after.is_none_or(|after| key > *after)
            {
                keys.push(key);
            }
        }
        keys.sort_unstable();
        keys.truncate(limit);
        Ok(keys)
    }

    async fn presign(
        &self,
        key: &Key,
        ttl: Duration,
        content_disposition: &str,
    ) -> Result<String, BlobError> {
        if !self.capabilities.presign {
            return Err(BlobError::Unsupported);
        }
        let request = self
            .operator
            .presign_read_with(key.as_str(), ttl)
            .override_content_disposition(content_disposition)
            .await
            .map_err(from_opendal)?;
        Ok(request.uri().to_string())
    }
}

fn from_opendal(e: opendal::Error) -> BlobError {
    match e.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => BlobError::NotFound,
        ErrorKind::RateLimited => BlobError::Transient(e.into()),
        _ if e.is_temporary() => BlobError::Transient(e.into()),
        _ => BlobError::Permanent(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::part_size;

    #[test]
    fn ten_thousand_parts_are_enough_for_large_objects_and_small_ones_hold_little_back() {
        let sizes: Vec<usize> = (0..10_000).map(part_size).collect();
        assert!(sizes.iter().sum::<usize>() > 860 << 30);
        assert!(sizes.is_sorted());
        assert_eq!((sizes[0], sizes[9_999]), (8 << 20, 128 << 20));
    }
}
