//! Moving files from one store to another while the installation runs.
//!
//! Files are written once, so a copy never goes stale: what was copied and compared stays right, and what is uploaded
//! meanwhile is copied by another run. The source is only read.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use tenon_core::{
    BoxError,
    ports::blob::{BlobError, BlobStore, ByteStream, Key},
};
use tenon_db::{
    Db,
    backups::{File, Snapshot},
};

use crate::backup;

/// Files on their way at once.
const AT_ONCE: usize = 4;
/// Most names of files that are told.
const MOST_NAMES: usize = 100;

/// What became of the files that the database knows.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    /// They were there, and are what was uploaded.
    pub(crate) present: u64,
    pub(crate) copied: u64,
    pub(crate) bytes: u64,
    /// The source does not have them, or has something else.
    pub(crate) lost: Vec<String>,
}

enum Outcome {
    Present,
    Copied(u64),
    Gone,
    Lost(String),
}

/// Copies every file that `db` knows to `to`, unless it is there, and reads each back to compare it with its hash.
pub(crate) async fn copy(
    db: &Db,
    from: &Arc<dyn BlobStore>,
    to: &Arc<dyn BlobStore>,
) -> anyhow::Result<Moved> {
    let mut snapshot = Snapshot::take(db).await.context("the database could not be reached")?;
    let known = backup::known_files(snapshot.conn()).await?;
    drop(snapshot);
    let outcomes = stream::iter(known.read()?).map(|file| async move { copy_one(from, to, file?).await });
    let mut outcomes = outcomes.buffer_unordered(AT_ONCE).boxed();
    let mut moved = Moved::default();
    while let Some(outcome) = outcomes.try_next().await? {
        match outcome {
            Outcome::Present => moved.present += 1,
            Outcome::Copied(bytes) => {
                moved.copied += 1;
                moved.bytes += bytes;
            }
            Outcome::Lost(key) if moved.lost.len() < MOST_NAMES => moved.lost.push(key),
            Outcome::Lost(_) | Outcome::Gone => {}
        }
    }
    Ok(moved)
}

async fn copy_one(from: &Arc<dyn BlobStore>, to: &Arc<dyn BlobStore>, file: File) -> anyhow::Result<Outcome> {
    let key = Key::parse(&file.key).map_err(|e| anyhow!("{}: {}", file.key, e.detail))?;
    if is_there(to, &key, &file).await? {
        return Ok(Outcome::Present);
    }
    let body = match from.get(&key, None).await {
        Ok(body) => body,
        // It was to be removed, and meanwhile has been.
        Err(BlobError::NotFound) if !file.referenced => return Ok(Outcome::Gone),
        Err(BlobError::NotFound) => return Ok(Outcome::Lost(file.key)),
        Err(error) => return Err(anyhow!(error).context(format!("cannot read the file {}", file.key))),
    };
    match to.put(&key, &file.media_type, checked(body, &file)).await {
        Ok(_) => {}
        Err(BlobError::Aborted(cause)) if cause.is::<Differs>() => return Ok(Outcome::Lost(file.key)),
        Err(error) => return Err(anyhow!(error).context(format!("cannot store the file {}", file.key))),
    }
    anyhow::ensure!(
        is_there(to, &key, &file).await?,
        "the file {} was stored, and what is read back is something else",
        file.key
    );
    Ok(Outcome::Copied(u64::try_from(file.size).unwrap_or_default()))
}

/// Whether a store has a file, to the last byte.
async fn is_there(store: &Arc<dyn BlobStore>, key: &Key, file: &File) -> anyhow::Result<bool> {
    let cannot = || format!("cannot read the file {}", file.key);
    let body = match store.get(key, None).await {
        Ok(body) => body,
        Err(BlobError::NotFound) => return Ok(false),
        Err(error) => return Err(anyhow!(error).context(cannot())),
    };
    let mut body = checked(body, file);
    while let Some(part) = body.next().await {
        match part {
            Ok(_) => {}
            Err(cause) if cause.is::<Differs>() => return Ok(false),
            Err(cause) => return Err(anyhow::Error::from_boxed(cause).context(cannot())),
        }
    }
    Ok(true)
}

/// The bytes are not those that were uploaded.
#[derive(Debug, thiserror::Error)]
#[error("the bytes are not those that were uploaded")]
struct Differs;

/// `body`, with an error at its end when it was not `file`.
fn checked(body: ByteStream, file: &File) -> ByteStream {
    let wanted = (u64::try_from(file.size).ok(), file.sha256.clone());
    let state = Some((body, Sha256::new(), 0_u64));
    stream::unfold((state, wanted), |(state, wanted)| async move {
        let (mut body, mut hash, size) = state?;
        match body.next().await {
            Some(Ok(part)) => {
                hash.update(&part);
                let size = size + part.len() as u64;
                Some((Ok(part), (Some((body, hash, size)), wanted)))
            }
            Some(Err(error)) => Some((Err(error), (None, wanted))),
            None if wanted == (Some(size), backup::hex(&hash.finalize())) => None,
            None => Some((Err(BoxError::from(Differs)), (None, wanted))),
        }
    })
    .boxed()
}
