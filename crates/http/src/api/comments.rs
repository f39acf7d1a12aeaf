//! Comments on stories.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenon_app::comments;
use tenon_core::{
    Error,
    comments::{Comment, CommentBody},
    stories::StoryRef,
    tokens::Scope,
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::stories::StoryPath;
use crate::{
    endpoint::{
        Api, Body, Caller, Created, Ctx, Given, IfMatch, Json, NoContent, Page, Patch, Path, Query,
        Versioned,
        methods::{Delete, Get, Patch as PatchMethod, Post},
    },
    paging::{self, Paging},
    problem::Problem,
    views::AuthorView,
};

const ALL: &str = "/projects/{project_id}/stories/{ref}/comments";
const ONE: &str = "/projects/{project_id}/stories/{ref}/comments/{comment_id}";

pub(super) fn mount(api: &mut Api) {
    let mut group =
        api.group("comments", "Comments on stories.").scopes(Scope::ReadProjects, Scope::WriteProjects);
    group
        .op("list_comments", Get, ALL, "Comments of a story", list)
        .describe("Oldest first. Deleted comments are included with an empty body so that threads keep their shape.")
        .permission("view_comment");
    group
        .op("create_comment", Post, ALL, "Post a comment", create)
        .permission("create_modify_delete_comment");
    group.op("get_comment", Get, ONE, "A comment", get).permission("view_comment");
    group
        .op("update_comment", PatchMethod, ONE, "Edit one's own comment", update)
        .describe("What it said before is kept in the story's history.")
        .conflicts(&["comment-deleted"])
        .permission("create_modify_delete_comment");
    group
        .op("delete_comment", Delete, ONE, "Delete a comment", delete)
        .describe("One's own, or anybody's with `moderate_comment`.")
        .permission("create_modify_delete_comment");
}

/// A comment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Comment)]
pub(crate) struct CommentView {
    /// Id.
    id: Uuid,
    /// Story.
    story_id: Uuid,
    /// Markdown; empty once deleted.
    #[schema(example = "Looks good to me.")]
    body: String,
    /// Who wrote it.
    created_by: AuthorView,
    /// When.
    created_at: DateTime<Utc>,
    /// Latest edit.
    edited_at: Option<DateTime<Utc>>,
    /// Whether it was deleted.
    deleted: bool,
    /// Increases with every change.
    version: i64,
}

impl From<Comment> for CommentView {
    fn from(comment: Comment) -> Self {
        Self {
            id: comment.id.uuid(),
            story_id: comment.story_id.uuid(),
            body: comment.body,
            created_by: comment.created_by.into(),
            created_at: comment.created_at,
            edited_at: comment.edited_at,
            deleted: comment.deleted_at.is_some(),
            version: comment.version,
        }
    }
}

impl Versioned for CommentView {
    fn version(&self) -> i64 {
        self.version
    }
}

#[derive(Debug, Deserialize, IntoParams)]
struct CommentPath {
    /// The project.
    project_id: Uuid,
    /// Number of the story, or `KEY-number`.
    #[param(example = "42")]
    r#ref: String,
    /// The comment.
    comment_id: Uuid,
}

impl CommentPath {
    fn story(&self) -> Result<StoryRef, Error> {
        self.r#ref.parse().map_err(|_| Error::NotFound("comment"))
    }
}

/// A comment to be posted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewComment)]
struct NewComment {
    /// Markdown.
    #[schema(value_type = String, min_length = 1, max_length = 20_000, example = "Looks good to me.")]
    body: CommentBody,
}

/// A changed comment; absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CommentPatch)]
struct CommentPatch {
    /// New body, Markdown.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 20_000)]
    body: Given<CommentBody>,
    /// The version you have seen, when there is no `If-Match`.
    #[serde(default)]
    #[schema(value_type = i64)]
    version: Given<i64>,
}

async fn list(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<StoryPath>,
    Query(paging): Query<Paging>,
) -> Result<Page<CommentView>, Problem> {
    let page = paging.page(&ctx, "comments")?;
    let (project, story) = (p.project_id.into(), p.story()?);
    let (items, total) = comments::list(&ctx, &caller, project, &story, page, paging.wants_count()).await?;
    Ok(paging::answer(&ctx, "comments", items)?.with_total(total))
}

async fn create(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<StoryPath>,
    Body(new): Body<NewComment>,
) -> Result<Created<CommentView>, Problem> {
    let comment = comments::post(&ctx, &caller, p.project_id.into(), &p.story()?, new.body).await?;
    let location = format!("/projects/{}/stories/{}/comments/{}", p.project_id, p.r#ref, comment.id);
    Ok(Created::at(location, comment.into()))
}

async fn get(ctx: Ctx, caller: Caller, Path(p): Path<CommentPath>) -> Result<Json<CommentView>, Problem> {
    let (project, id) = (p.project_id.into(), p.comment_id.into());
    Ok(Json(comments::get(&ctx, &caller, project, &p.story()?, id).await?.into()))
}

async fn update(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<CommentPath>,
    seen: IfMatch,
    Patch(patch): Patch<CommentPatch>,
) -> Result<Json<CommentView>, Problem> {
    let expected = seen.or(patch.version.into_option());
    let (project, story, id) = (p.project_id.into(), p.story()?, p.comment_id.into());
    let comment = match patch.body.into_option() {
        Some(body) => comments::edit(&ctx, &caller, project, &story, id, expected, body).await?,
        None => comments::get(&ctx, &caller, project, &story, id).await?,
    };
    Ok(Json(comment.into()))
}

async fn delete(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<CommentPath>,
    seen: IfMatch,
) -> Result<NoContent, Problem> {
    let (project, id) = (p.project_id.into(), p.comment_id.into());
    comments::delete(&ctx, &caller, project, &p.story()?, id, seen.version()).await?;
    Ok(NoContent)
}
