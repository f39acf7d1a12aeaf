//! Files attached to stories, and the blobs they refer to.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    attachments::{Attachment, FileName},
    ids::{AttachmentId, StoryId, UserId},
    page::{Items, Page, TimeKey},
};
use uuid::Uuid;

use crate::{
    error::Result,
    people::PersonRow,
    schema::{attachments, blobs, users},
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = attachments)]
struct AttachmentRow {
    id: Uuid,
    story_id: Uuid,
    name: String,
    media_type: String,
    blob_key: String,
    created_at: Time,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = blobs)]
struct BlobRow {
    size: i64,
    sha256: Vec<u8>,
}

fn attachment((row, blob, author): (AttachmentRow, BlobRow, Option<PersonRow>)) -> Attachment {
    Attachment {
        id: row.id.into(),
        story_id: row.story_id.into(),
        name: FileName::stored(&row.name),
        media_type: row.media_type,
        size: blob.size,
        sha256: hex(&blob.sha256),
        created_by: author.map(Into::into),
        created_at: row.created_at,
        blob_key: row.blob_key,
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

/// A file whose content is stored, to be attached.
#[derive(Debug)]
pub struct Insert<'a> {
    /// Id.
    pub id: AttachmentId,
    /// Story.
    pub story: StoryId,
    /// Name.
    pub name: &'a FileName,
    /// Media type, sniffed.
    pub media_type: &'a str,
    /// Where the content is.
    pub blob_key: &'a str,
    /// Length in bytes.
    pub size: i64,
    /// SHA-256 of the content.
    pub sha256: &'a [u8],
    /// Who attaches it.
    pub author: UserId,
    /// When.
    pub at: Time,
}

/// Adds a file and its blob.
pub async fn insert(conn: &mut AsyncPgConnection, new: &Insert<'_>) -> Result<()> {
    diesel::insert_into(blobs::table)
        .values((
            blobs::key.eq(new.blob_key),
            blobs::size.eq(new.size),
            blobs::sha256.eq(new.sha256),
            blobs::created_at.eq(new.at),
        ))
        .execute(conn)
        .await?;
    diesel::insert_into(attachments::table)
        .values((
            attachments::id.eq(new.id.uuid()),
            attachments::story_id.eq(new.story.uuid()),
            attachments::name.eq(new.name.as_str()),
            attachments::media_type.eq(new.media_type),
            attachments::blob_key.eq(new.blob_key),
            attachments::created_by.eq(new.author.uuid()),
            attachments::created_at.eq(new.at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Files of a story, oldest first, a page at a time.
pub async fn of_story(
    conn: &mut AsyncPgConnection,
    story: StoryId,
    page: Page<TimeKey>,
) -> Result<Items<Attachment, TimeKey>> {
    let mut query = attachments::table
        .inner_join(blobs::table)
        .left_join(users::table.on(attachments::created_by.eq(users::id.nullable())))
        .filter(attachments::story_id.eq(story.uuid()))
        .order((attachments::created_at, attachments::id))
        .limit(page.fetch())
        .select((AttachmentRow::as_select(), BlobRow::as_select(), Option::<PersonRow>::as_select()))
        .into_boxed();
    if let Some((at, id)) = page.after {
        query = query.filter(
            attachments::created_at.gt(at).or(attachments::created_at.eq(at).and(attachments::id.gt(id))),
        );
    }
    let rows: Vec<(AttachmentRow, BlobRow, Option<PersonRow>)> = query.load(conn).await?;
    let items: Vec<Attachment> = rows.into_iter().map(attachment).collect();
    Ok(Items::cut(items, &page, |a| (a.created_at, a.id.uuid())))
}

/// A file of a story.
pub async fn find(
    conn: &mut AsyncPgConnection,
    story: StoryId,
    id: AttachmentId,
) -> Result<Option<Attachment>> {
    let row: Option<(AttachmentRow, BlobRow, Option<PersonRow>)> = attachments::table
        .inner_join(blobs::table)
        .left_join(users::table.on(attachments::created_by.eq(users::id.nullable())))
        .filter(attachments::id.eq(id.uuid()))
        .filter(attachments::story_id.eq(story.uuid()))
        .select((AttachmentRow::as_select(), BlobRow::as_select(), Option::<PersonRow>::as_select()))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(attachment))
}

/// Removes a file. Its content stays until the backup window is over.
pub async fn delete(conn: &mut AsyncPgConnection, old: &Attachment, at: Time) -> Result<()> {
    diesel::delete(attachments::table.find(old.id.uuid())).execute(conn).await?;
    diesel::update(blobs::table.find(&old.blob_key)).set(blobs::unreferenced_at.eq(at)).execute(conn).await?;
    Ok(())
}
