//! Comments on stories.

use serde_json::json;
use tenon_core::{
    Error, Result,
    callers::Caller,
    changes::{Change, Kind, Stream},
    comments::{Comment, CommentBody},
    ids::{CommentId, ProjectId},
    page::{Items, Page, TimeKey},
    permissions::ProjectPermission as P,
    stories::StoryRef,
};
use tenon_db::comments as rows;

use crate::{App, Tx, access, stories::visible};

/// Comments of a story, oldest first, and how many there are in all when `count` asks for it.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    story: &StoryRef,
    page: Page<TimeKey>,
    count: bool,
) -> Result<(Items<Comment, TimeKey>, Option<i64>)> {
    let mut conn = app.read().await?;
    let access = access::project(app, &mut conn, caller, project).await?;
    access.see(P::ViewComment, "story")?;
    let story = visible(&mut conn, &access, story).await?.story;
    let items = rows::of_story(&mut conn, story.id, page).await?;
    let total = if count { Some(rows::count(&mut conn, story.id).await?) } else { None };
    Ok((items, total))
}

/// A comment of a story.
pub async fn get(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    story: &StoryRef,
    id: CommentId,
) -> Result<Comment> {
    let mut conn = app.read().await?;
    let access = access::project(app, &mut conn, caller, project).await?;
    access.see(P::ViewComment, "comment")?;
    let story = visible(&mut conn, &access, story).await?.story;
    rows::find(&mut conn, story.id, id).await?.ok_or(Error::NotFound("comment"))
}

/// Posts a comment.
pub async fn post(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    story: &StoryRef,
    body: CommentBody,
) -> Result<Comment> {
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        access.see(P::ViewComment, "story")?;
        let story = visible(tx.conn(), &access, story).await?.story;
        access.allow(P::CreateModifyDeleteComment)?;
        let now = tx.now();
        let comment = Comment {
            id: app.id(),
            story_id: story.id,
            body: body.as_str().to_owned(),
            created_by: Some(access.person.as_ref()),
            created_at: now,
            edited_at: None,
            deleted_at: None,
            version: 1,
        };
        rows::insert(tx.conn(), comment.id, story.id, &body, access.person.id, now).await?;
        tx.record(stream, Change::new(Kind::CommentCreated, story.id, &comment))?;
        Ok(comment)
    })
    .await
}

/// Edits one's own comment; what it said before is kept.
pub async fn edit(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    story: &StoryRef,
    id: CommentId,
    expected: Option<i64>,
    body: CommentBody,
) -> Result<Comment> {
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let (access, old) = own(tx, caller, project, story, id, expected).await?;
        access.allow(P::CreateModifyDeleteComment)?;
        if old.created_by.as_ref().map(|u| u.id) != Some(access.person.id) {
            return Err(Error::Forbidden("edit somebody else's comment"));
        }
        if old.deleted_at.is_some() {
            return Err(Error::conflict("comment-deleted", "A deleted comment cannot be edited."));
        }
        if old.body == body.as_str() {
            return Ok(old);
        }
        let now = tx.now();
        rows::edit(tx.conn(), &old, &body, access.person.id, now).await?;
        let comment = Comment {
            body: body.as_str().to_owned(),
            edited_at: Some(now),
            version: old.version + 1,
            ..old.clone()
        };
        let change = Change::new(Kind::CommentUpdated, comment.story_id, &comment);
        tx.record(stream, change.with_before(json!({ "body": old.body })))?;
        Ok(comment)
    })
    .await
}

/// Deletes one's own comment, or anybody's with `moderate_comment`. Doing so again changes nothing.
pub async fn delete(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    story: &StoryRef,
    id: CommentId,
    expected: Option<i64>,
) -> Result<()> {
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let (access, old) = own(tx, caller, project, story, id, expected).await?;
        let mine = old.created_by.as_ref().map(|u| u.id) == Some(access.person.id);
        access.allow(if mine { P::CreateModifyDeleteComment } else { P::ModerateComment })?;
        if old.deleted_at.is_some() {
            return Ok(());
        }
        let now = tx.now();
        rows::delete(tx.conn(), &old, access.person.id, now).await?;
        let data = json!({ "id": old.id, "story_id": old.story_id, "version": old.version + 1 });
        tx.record(stream, Change::new(Kind::CommentDeleted, old.story_id, data))
    })
    .await
}

async fn own(
    tx: &mut Tx<'_>,
    caller: &Caller,
    project: ProjectId,
    story: &StoryRef,
    id: CommentId,
    expected: Option<i64>,
) -> Result<(access::ProjectAccess, Comment)> {
    let access = tx.project(caller, project).await?;
    access.see(P::ViewComment, "comment")?;
    let story = visible(tx.conn(), &access, story).await?.story;
    let old = rows::find(tx.conn(), story.id, id).await?.ok_or(Error::NotFound("comment"))?;
    if let Some(expected) = expected.filter(|v| *v != old.version && old.deleted_at.is_none()) {
        return Err(Error::Stale {
            what: "comment",
            expected,
            current: old.version,
            representation: serde_json::to_value(&old).ok(),
        });
    }
    Ok((access, old))
}
