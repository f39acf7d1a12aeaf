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
const LARGEST_PART: usize = 64 << 20;

/// How large the parts of an upload are, exactly.
#[derive(Debug, Clone, Copy)]
pub(super) enum Parts {
    /// S3 takes 10 000 of them, so those of large objects grow, and 480 GiB fit.
    Growing,
    /// All but the last the same number of bytes, as some stores demand.
    Of(usize),
}

impl Parts {
    const fn size(self, number: usize) -> usize {
        match self {
            Self::Of(size) => size,
            Self::Growing if number < 3000 => SMALLEST_PART << (number / 1000),
            Self::Growing => LARGEST_PART,
        }
    }
}

/// A part that is being put together.
struct Part {
    sizes: Parts,
    number: usize,
    pieces: Vec<Bytes>,
    size: usize,
}

impl Part {
    const fn first(sizes: Parts) -> Self {
        Self { sizes, number: 0, pieces: Vec::new(), size: 0 }
    }

    /// Takes as much of `bytes` as it has room for; answers it when it is whole, and begins the next.
    fn fill(&mut self, bytes: &mut Bytes) -> Option<Buffer> {
        let room = self.sizes.size(self.number) - self.size;
        let piece = bytes.split_to(room.min(bytes.len()));
        self.size += piece.len();
        self.pieces.push(piece);
        (self.size == self.sizes.size(self.number)).then(|| self.take())
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
    parts: Parts,
}

impl OperatorStore {
    pub(super) const fn new(operator: Operator, capabilities: Capabilities) -> Self {
        Self { operator, capabilities, parts: Parts::Growing }
    }

    pub(super) fn with_parts(self, parts: Parts) -> Self {
        Self { parts, ..self }
    }

    async fn open(&self, key: &Key, range: Option<Range<u64>>) -> opendal::Result<opendal::BufferStream> {
        let reader = self.operator.reader(key.as_str()).await?;
        match range {
            Some(range) => reader.into_stream(range).await,
            None => reader.into_stream(..).await,
        }
    }
}

/// Writes `bytes` in whole parts, as far as there are any.
async fn write_parts(
    writer: &mut opendal::Writer,
    part: &mut Part,
    mut bytes: Bytes,
) -> Result<(), BlobError> {
    while !bytes.is_empty() {
        if let Some(whole) = part.fill(&mut bytes) {
            writer.write(whole).await.map_err(from_opendal)?;
        }
    }
    Ok(())
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
        let (mut size, mut part) = (0, Part::first(self.parts));
        loop {
            let written = match body.next().await {
                Some(Ok(bytes)) => {
                    size += bytes.len() as u64;
                    write_parts(&mut writer, &mut part, bytes).await
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
            .map_err(|e| Box::new(from_opendal(e)) as BoxError)
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
    use bytes::Bytes;

    use super::{Part, Parts};

    #[test]
    fn ten_thousand_parts_are_enough_for_large_objects_and_small_ones_hold_little_back() {
        let sizes: Vec<usize> = (0..10_000).map(|number| Parts::Growing.size(number)).collect();
        assert!(sizes.iter().sum::<usize>() > 480 << 30);
        assert!(sizes.is_sorted());
        assert_eq!((sizes[0], sizes[9_999]), (8 << 20, 64 << 20));
    }

    #[test]
    fn parts_are_cut_exactly_wherever_the_pieces_end() {
        let mut part = Part::first(Parts::Of(10));
        let mut whole = Vec::new();
        for piece in [&b"0123456"[..], b"", b"789abcdefghijklmno", b"p"] {
            let mut bytes = Bytes::copy_from_slice(piece);
            while !bytes.is_empty() {
                whole.extend(part.fill(&mut bytes).map(|buffer| buffer.to_vec()));
            }
        }
        assert_eq!(whole, [b"0123456789", b"abcdefghij"]);
        assert_eq!(part.take().to_vec(), b"klmnop");
    }
}
