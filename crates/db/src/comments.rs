//! Comments on stories.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    comments::{Comment, CommentBody},
    ids::{CommentId, StoryId, UserId},
    page::{Items, Page, TimeKey},
};
use uuid::Uuid;

use crate::{
    error::Result,
    people::PersonRow,
    schema::{comment_edits, comments, users},
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = comments)]
struct CommentRow {
    id: Uuid,
    story_id: Uuid,
    body: String,
    created_at: Time,
    edited_at: Option<Time>,
    deleted_at: Option<Time>,
    version: i64,
}

fn comment((row, author): (CommentRow, Option<PersonRow>)) -> Comment {
    Comment {
        id: row.id.into(),
        story_id: row.story_id.into(),
        body: row.body,
        created_by: author.map(Into::into),
        created_at: row.created_at,
        edited_at: row.edited_at,
        deleted_at: row.deleted_at,
        version: row.version,
    }
}

/// Adds a comment.
pub async fn insert(
    conn: &mut AsyncPgConnection,
    id: CommentId,
    story: StoryId,
    body: &CommentBody,
    author: UserId,
    at: Time,
) -> Result<()> {
    diesel::insert_into(comments::table)
        .values((
            comments::id.eq(id.uuid()),
            comments::story_id.eq(story.uuid()),
            comments::body.eq(body.as_str()),
            comments::created_by.eq(author.uuid()),
            comments::created_at.eq(at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Comments of `story`, oldest first, a page at a time.
///
/// Deleted comments are included with an empty body so that threads keep their shape.
pub async fn of_story(
    conn: &mut AsyncPgConnection,
    story: StoryId,
    page: Page<TimeKey>,
) -> Result<Items<Comment, TimeKey>> {
    let mut query = comments::table
        .left_join(users::table.on(comments::created_by.eq(users::id.nullable())))
        .filter(comments::story_id.eq(story.uuid()))
        .order((comments::created_at, comments::id))
        .limit(page.fetch())
        .select((CommentRow::as_select(), Option::<PersonRow>::as_select()))
        .into_boxed();
    if let Some((at, id)) = page.after {
        query = query
            .filter(comments::created_at.gt(at).or(comments::created_at.eq(at).and(comments::id.gt(id))));
    }
    let rows: Vec<(CommentRow, Option<PersonRow>)> = query.load(conn).await?;
    let items = rows.into_iter().map(comment).collect();
    Ok(Items::cut(items, &page, |c: &Comment| (c.created_at, c.id.uuid())))
}

/// How many comments a story has, deleted ones included.
pub async fn count(conn: &mut AsyncPgConnection, story: StoryId) -> Result<i64> {
    Ok(comments::table.filter(comments::story_id.eq(story.uuid())).count().get_result(conn).await?)
}

/// A comment of a story.
pub async fn find(conn: &mut AsyncPgConnection, story: StoryId, id: CommentId) -> Result<Option<Comment>> {
    let row: Option<(CommentRow, Option<PersonRow>)> = comments::table
        .left_join(users::table.on(comments::created_by.eq(users::id.nullable())))
        .filter(comments::id.eq(id.uuid()))
        .filter(comments::story_id.eq(story.uuid()))
        .select((CommentRow::as_select(), Option::<PersonRow>::as_select()))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(comment))
}

/// Gives a comment another body and keeps the old one; its version increases by one.
pub async fn edit(
    conn: &mut AsyncPgConnection,
    old: &Comment,
    body: &CommentBody,
    by: UserId,
    at: Time,
) -> Result<()> {
    diesel::insert_into(comment_edits::table)
        .values((
            comment_edits::comment_id.eq(old.id.uuid()),
            comment_edits::version.eq(old.version),
            comment_edits::body.eq(&old.body),
            comment_edits::edited_by.eq(by.uuid()),
            comment_edits::edited_at.eq(at),
        ))
        .execute(conn)
        .await?;
    diesel::update(comments::table.find(old.id.uuid()))
        .set((
            comments::body.eq(body.as_str()),
            comments::edited_at.eq(at),
            comments::version.eq(old.version + 1),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Empties a comment, its history too; its version increases by one.
pub async fn delete(conn: &mut AsyncPgConnection, old: &Comment, by: UserId, at: Time) -> Result<()> {
    diesel::delete(comment_edits::table.filter(comment_edits::comment_id.eq(old.id.uuid())))
        .execute(conn)
        .await?;
    diesel::update(comments::table.find(old.id.uuid()))
        .set((
            comments::body.eq(""),
            comments::deleted_at.eq(at),
            comments::deleted_by.eq(by.uuid()),
            comments::version.eq(old.version + 1),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
