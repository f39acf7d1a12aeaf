//! Files attached to stories.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenon_app::attachments;
use tenon_core::{
    Error,
    attachments::{Attachment, FileName},
    stories::StoryRef,
    tokens::Scope,
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::stories::StoryPath;
use crate::{
    endpoint::{
        Api, Caller, Created, Ctx, File, Json, NoContent, Page, Path, Query, Upload, Versioned,
        methods::{Delete, Get, Post},
    },
    paging::{self, Paging},
    problem::Problem,
    views::AuthorView,
};

const ALL: &str = "/projects/{project_id}/stories/{ref}/attachments";
const ONE: &str = "/projects/{project_id}/stories/{ref}/attachments/{attachment_id}";
const CONTENT: &str = "/projects/{project_id}/stories/{ref}/attachments/{attachment_id}/content";

pub(super) fn mount(api: &mut Api) {
    let mut group = api
        .group("attachments", "Files attached to stories.")
        .scopes(Scope::ReadProjects, Scope::WriteProjects);
    group
        .op("list_attachments", Get, ALL, "Files of a story", list)
        .describe("Oldest first.")
        .permission("view_story");
    group
        .op("create_attachment", Post, ALL, "Attach a file", create)
        .describe("The body is the file's bytes. Its media type is told from the content, whatever the request says.")
        .permission("modify_story");
    group.op("get_attachment", Get, ONE, "A file, without its content", get).permission("view_story");
    group
        .op("download_attachment", Get, CONTENT, "The content of a file", content)
        .describe("Supports one range of bytes. With `inline=true` a browser may show an image in place; everything else is saved.")
        .permission("view_story");
    group.op("delete_attachment", Delete, ONE, "Remove a file", delete).permission("modify_story");
}

/// A file attached to a story.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Attachment)]
pub(crate) struct AttachmentView {
    /// Id.
    id: Uuid,
    /// Story.
    story_id: Uuid,
    /// Name.
    #[schema(example = "plan.pdf")]
    name: String,
    /// Media type, told from the content.
    #[schema(example = "application/pdf")]
    media_type: String,
    /// Length in bytes.
    #[schema(example = 48213)]
    size: i64,
    /// SHA-256 of the content, hexadecimal.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    sha256: String,
    /// Who attached it.
    created_by: AuthorView,
    /// When.
    created_at: DateTime<Utc>,
}

impl From<Attachment> for AttachmentView {
    fn from(file: Attachment) -> Self {
        Self {
            id: file.id.uuid(),
            story_id: file.story_id.uuid(),
            name: file.name.into(),
            media_type: file.media_type,
            size: file.size,
            sha256: file.sha256,
            created_by: file.created_by.into(),
            created_at: file.created_at,
        }
    }
}

/// A file never changes.
impl Versioned for AttachmentView {
    fn version(&self) -> i64 {
        1
    }
}

#[derive(Debug, Deserialize, IntoParams)]
struct AttachmentPath {
    /// The project.
    project_id: Uuid,
    /// Number of the story, or `KEY-number`.
    #[param(example = "42")]
    r#ref: String,
    /// The file.
    attachment_id: Uuid,
}

impl AttachmentPath {
    fn story(&self) -> Result<StoryRef, Error> {
        self.r#ref.parse().map_err(|_| Error::NotFound("attachment"))
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Showing {
    /// Let a browser show it in place, if that is harmless.
    inline: Option<bool>,
}

async fn list(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<StoryPath>,
    Query(paging): Query<Paging>,
) -> Result<Page<AttachmentView>, Problem> {
    let page = paging.page(&ctx, "attachments")?;
    let items = attachments::list(&ctx, &caller, p.project_id.into(), &p.story()?, page).await?;
    Ok(paging::answer(&ctx, "attachments", items)?)
}

async fn create(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<StoryPath>,
    upload: Upload,
) -> Result<Created<AttachmentView>, Problem> {
    let name =
        upload.name.as_deref().ok_or_else(|| Error::invalid("name", "missing", "Give the file a name."))?;
    let name = FileName::parse(name).map_err(|e| Error::invalid("name", e.code, e.detail))?;
    let body = upload.limited(ctx.settings.attachment_bytes)?;
    let file = attachments::upload(&ctx, &caller, p.project_id.into(), &p.story()?, name, body).await?;
    let location = format!("/projects/{}/stories/{}/attachments/{}", p.project_id, p.r#ref, file.id);
    Ok(Created::at(location, file.into()))
}

async fn get(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<AttachmentPath>,
) -> Result<Json<AttachmentView>, Problem> {
    let (project, id) = (p.project_id.into(), p.attachment_id.into());
    Ok(Json(attachments::get(&ctx, &caller, project, &p.story()?, id).await?.into()))
}

async fn content(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<AttachmentPath>,
    Query(showing): Query<Showing>,
) -> Result<File, Problem> {
    let (project, id) = (p.project_id.into(), p.attachment_id.into());
    let attachment = attachments::get(&ctx, &caller, project, &p.story()?, id).await?;
    let size = u64::try_from(attachment.size).map_err(Error::internal)?;
    let (name, media_type) = (String::from(attachment.name.clone()), attachment.media_type.clone());
    let tag = attachment.sha256.clone();
    let file = File::new(name, media_type, size, move |range| async move {
        attachments::open(&ctx, &attachment, range).await
    });
    let file = file.tagged(&tag);
    Ok(if showing.inline.unwrap_or(false) { file.inline() } else { file })
}

async fn delete(ctx: Ctx, caller: Caller, Path(p): Path<AttachmentPath>) -> Result<NoContent, Problem> {
    let (project, id) = (p.project_id.into(), p.attachment_id.into());
    attachments::delete(&ctx, &caller, project, &p.story()?, id).await?;
    Ok(NoContent)
}
