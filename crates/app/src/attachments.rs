//! Files attached to stories.
//!
//! The content is stored first, under a key that nobody has, and only then written down: an upload that breaks off leaves
//! at most an unreferenced blob, never a file that is not there.

use std::{ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use serde_json::json;
use sha2::{Digest, Sha256};
use tenon_core::{
    BoxError, Error, Result,
    attachments::{Attachment, FileName},
    callers::Caller,
    changes::{Change, Kind, Stream},
    ids::{AttachmentId, ProjectId},
    page::{Items, Page, TimeKey},
    permissions::ProjectPermission as P,
    ports::blob::{BlobError, ByteStream, Key},
    stories::StoryRef,
};
use tenon_db::attachments as rows;
use tokio::sync::Mutex;

use crate::{App, access, stories::visible};

/// How much of a file is looked at to tell its type.
const SNIFFED: usize = 8 * 1024;

/// Files of a story, oldest first.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    story: &StoryRef,
    page: Page<TimeKey>,
) -> Result<Items<Attachment, TimeKey>> {
    let mut conn = app.read().await?;
    let access = access::project(app, &mut conn, caller, project).await?;
    let story = visible(&mut conn, &access, story).await?.story;
    Ok(rows::of_story(&mut conn, story.id, page).await?)
}

/// A file of a story, without its content.
pub async fn get(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    story: &StoryRef,
    id: AttachmentId,
) -> Result<Attachment> {
    let mut conn = app.read().await?;
    let access = access::project(app, &mut conn, caller, project).await?;
    let story = visible(&mut conn, &access, story).await?.story;
    rows::find(&mut conn, story.id, id).await?.ok_or(Error::NotFound("attachment"))
}

/// The content of a file, or a range of it.
pub async fn open(app: &App, file: &Attachment, range: Option<Range<u64>>) -> Result<ByteStream> {
    let key = Key::parse(&file.blob_key).map_err(Error::internal)?;
    app.blobs.get(&key, range).await.map_err(storage)
}

/// Attaches a file: streams it to the store while it is counted, hashed and its type told from its content.
pub async fn upload(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    story: &StoryRef,
    name: FileName,
    body: ByteStream,
) -> Result<Attachment> {
    may_attach(app, caller, project, story).await?;
    let id: AttachmentId = app.id();
    let blob_key = format!("attachments/{id}");
    let key = Key::parse(&blob_key).map_err(Error::internal)?;
    let stored = store(app, &key, body).await?;
    let stream = Stream::Project(project);
    let written = app
        .write(&[stream], &caller.correlation_id, async |tx| {
            let access = tx.project(caller, project).await?;
            let story = visible(tx.conn(), &access, story).await?.story;
            access.allow(P::ModifyStory)?;
            let now = tx.now();
            let row = rows::Insert {
                id,
                story: story.id,
                name: &name,
                media_type: &stored.media_type,
                blob_key: &blob_key,
                size: stored.size,
                sha256: &stored.sha256,
                author: access.person.id,
                at: now,
            };
            rows::insert(tx.conn(), &row).await?;
            let file = rows::find(tx.conn(), story.id, id).await?.ok_or(Error::NotFound("attachment"))?;
            tx.record(stream, Change::new(Kind::AttachmentCreated, story.id, &file))?;
            Ok(file)
        })
        .await;
    if written.is_err() {
        // Nothing refers to it; what cannot be removed now is swept later.
        if let Err(error) = app.blobs.delete(&key).await {
            tracing::debug!(%error, "an upload that was not written down could not be removed");
        }
    }
    written
}

/// Removes a file. Doing so again is not found.
pub async fn delete(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    story: &StoryRef,
    id: AttachmentId,
) -> Result<()> {
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        let story = visible(tx.conn(), &access, story).await?.story;
        access.allow(P::ModifyStory)?;
        let file = rows::find(tx.conn(), story.id, id).await?.ok_or(Error::NotFound("attachment"))?;
        let now = tx.now();
        rows::delete(tx.conn(), &file, now).await?;
        let data = json!({ "id": file.id, "story_id": story.id, "name": file.name });
        tx.record(stream, Change::new(Kind::AttachmentDeleted, story.id, data))
    })
    .await
}

/// Refuses before the first byte is taken.
async fn may_attach(app: &App, caller: &Caller, project: ProjectId, story: &StoryRef) -> Result<()> {
    let mut conn = app.read().await?;
    let access = access::project(app, &mut conn, caller, project).await?;
    visible(&mut conn, &access, story).await?;
    access.allow(P::ModifyStory)?;
    access.refuse_archived()
}

/// What is known of a file whose content is stored.
pub(crate) struct StoredFile {
    pub(crate) media_type: String,
    pub(crate) size: i64,
    pub(crate) sha256: Vec<u8>,
}

/// Stores a content under a key that nobody has.
pub(crate) async fn store(app: &App, key: &Key, mut body: ByteStream) -> Result<StoredFile> {
    let limit = app.settings.attachment_bytes;
    let mut head = BytesMut::new();
    while head.len() < SNIFFED {
        match body.next().await {
            Some(chunk) => head.extend_from_slice(&chunk.map_err(broken_off)?),
            None => break,
        }
    }
    let media_type = sniff(&head);
    let tally = Arc::new(Mutex::new((0_u64, Sha256::new())));
    let counted = {
        let tally = Arc::clone(&tally);
        stream::iter([Ok::<Bytes, BoxError>(head.freeze())]).chain(body).then(move |chunk| {
            let tally = Arc::clone(&tally);
            async move {
                let chunk = chunk?;
                let mut tally = tally.lock().await;
                tally.0 += chunk.len() as u64;
                tally.1.update(&chunk);
                if tally.0 > limit { Err(BoxError::from(Error::TooLarge { limit })) } else { Ok(chunk) }
            }
        })
    };
    app.blobs.put(key, &media_type, counted.boxed()).await.map_err(|e| match e {
        BlobError::Aborted(cause) => broken_off(cause),
        other => storage(other),
    })?;
    let tally = tally.lock().await;
    Ok(StoredFile {
        media_type,
        size: i64::try_from(tally.0).map_err(Error::internal)?,
        sha256: tally.1.clone().finalize().to_vec(),
    })
}

/// Why a body ended early: it went over a limit on the way, or it broke off.
fn broken_off(cause: BoxError) -> Error {
    match cause.downcast::<Error>() {
        Ok(error) => *error,
        Err(_) => Error::invalid("", "incomplete-body", "The upload broke off before its end."),
    }
}

fn storage(error: BlobError) -> Error {
    match error {
        BlobError::Transient(source) => Error::Unavailable { component: "storage", source },
        other => Error::internal(other),
    }
}

/// The media type of a file by its first bytes: what a client says of it is not believed.
fn sniff(head: &[u8]) -> String {
    if let Some(kind) = infer::get(head) {
        return kind.mime_type().to_owned();
    }
    let text = match std::str::from_utf8(head) {
        Ok(_) => true,
        // A character cut in two at the end of the part looked at.
        Err(e) => e.error_len().is_none() && !head.is_empty(),
    };
    if text && !head.contains(&0) { "text/plain".to_owned() } else { "application/octet-stream".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_told_by_content() {
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n...."), "image/png");
        assert_eq!(sniff("grüße".as_bytes()), "text/plain");
        assert_eq!(sniff(&"grüße".as_bytes()[..3]), "text/plain");
        assert_eq!(sniff(b"\x00\x01\x02"), "application/octet-stream");
        assert_ne!(sniff(b"<html><script>"), "image/png");
    }
}
