//! Stories.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenon_app::stories;
use tenon_core::{
    Error,
    stories::{Anchor, NewStory, Story, StoryDescription, StoryPatch, StoryRef, StorySummary, StoryTitle},
    tokens::Scope,
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::workflows::ProjectPath;
use crate::{
    endpoint::{
        Api, Body, Caller, Created, Ctx, Given, IfMatch, Json, NoContent, Page, Patch, Path, Query,
        Versioned,
        methods::{Delete, Get, Patch as PatchMethod, Post},
    },
    paging::{self, Paging},
    problem::Problem,
    views::{AuthorView, TouchView},
};

const ALL: &str = "/projects/{project_id}/stories";
const ONE: &str = "/projects/{project_id}/stories/{ref}";

pub(super) fn mount(api: &mut Api) {
    let mut group = api
        .group("stories", "Stories: what people write on cards, move, discuss and finish.")
        .scopes(Scope::ReadProjects, Scope::WriteProjects);
    group
        .op("list_stories", Get, ALL, "Stories of a project", list)
        .describe("By number. Several `status` or `workflow` parameters mean any of them.")
        .permission("view_story");
    group
        .op("create_story", Post, ALL, "Write a story", create)
        .describe("It gets the project's next number and comes last in its column.")
        .permission("create_story");
    group
        .op("move_stories", Post, "/projects/{project_id}/stories/move", "Move stories", move_many)
        .describe(
            "Puts the stories, in the order given, into a column: last, or right `before` or `after` the story of that number there. \
             All move or none does.",
        )
        .permission("modify_story");
    group
        .op("get_story", Get, ONE, "A story by its number", get)
        .describe("`ref` is the number, or the project's key and the number: `42` or `KEY-42`.")
        .permission("view_story");
    group
        .op("update_story", PatchMethod, ONE, "Change a story", update)
        .describe(
            "Say which version you have seen, with `If-Match` or `version`; otherwise 428. A stale change is accepted as long as the fields it touches \
             have not changed since that version; otherwise 412, with the story as it is now in `current`. A new `status_id` puts the story last there.",
        )
        .problem(428, "Say which version you have seen.")
        .permission("modify_story");
    group
        .op("delete_story", Delete, ONE, "Move a story to the trash", delete)
        .describe("It can be restored until the trash is emptied.")
        .permission("delete_story");
    group
        .op(
            "restore_story",
            Post,
            "/projects/{project_id}/stories/{ref}/restore",
            "Take a story back from the trash",
            restore,
        )
        .permission("delete_story");
    group
        .op(
            "list_trashed_stories",
            Get,
            "/projects/{project_id}/trash/stories",
            "Stories in the trash",
            trash,
        )
        .describe("Latest first.")
        .permission("delete_story");
    group
        .op("get_story_by_id", Get, "/stories/{story_id}", "A story by its id", get_by_id)
        .permission("view_story");
}

/// A story.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Story)]
pub(crate) struct StoryView {
    /// Id.
    id: Uuid,
    /// Project.
    project_id: Uuid,
    /// The project's key: `KEY-42` is the story's name.
    #[schema(example = "WEB")]
    key: String,
    /// Number in the project, without gaps.
    #[schema(example = 42)]
    r#ref: i64,
    /// Title.
    #[schema(example = "Sign in with a passkey")]
    title: String,
    /// Markdown.
    #[schema(example = "As a *member* I want …")]
    description: String,
    /// Board.
    workflow_id: Uuid,
    /// Column.
    status_id: Uuid,
    /// Order in the column: compare as bytes, then by id.
    #[schema(example = "a1")]
    rank: String,
    /// Increases with every change, moves included.
    version: i64,
    /// Who wrote it.
    created_by: AuthorView,
    /// When.
    created_at: DateTime<Utc>,
    /// Latest change of the title, or its creation.
    title_updated: TouchView,
    /// Latest change of the description, or its creation.
    description_updated: TouchView,
    /// Latest move, or its creation.
    moved: TouchView,
    /// In the trash since.
    deleted_at: Option<DateTime<Utc>>,
}

impl From<Story> for StoryView {
    fn from(story: Story) -> Self {
        let (by, at) = (AuthorView::from(story.created_by), story.created_at);
        Self {
            id: story.id.uuid(),
            project_id: story.project_id.uuid(),
            key: story.key,
            r#ref: story.number,
            title: story.title.into(),
            description: story.description.into(),
            workflow_id: story.workflow_id.uuid(),
            status_id: story.status_id.uuid(),
            rank: story.rank,
            version: story.version,
            title_updated: TouchView::or_creation(story.title_updated, &by, at),
            description_updated: TouchView::or_creation(story.description_updated, &by, at),
            moved: TouchView::or_creation(story.moved, &by, at),
            created_by: by,
            created_at: at,
            deleted_at: story.deleted_at,
        }
    }
}

impl Versioned for StoryView {
    fn version(&self) -> i64 {
        self.version
    }
}

/// A story on a board.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StorySummary)]
pub(crate) struct StorySummaryView {
    /// Id.
    id: Uuid,
    /// Number in the project.
    #[schema(example = 42)]
    r#ref: i64,
    /// Title.
    #[schema(example = "Sign in with a passkey")]
    title: String,
    /// Column.
    status_id: Uuid,
    /// Order in the column: compare as bytes, then by id.
    #[schema(example = "a1")]
    rank: String,
    /// Increases with every change.
    version: i64,
}

impl From<StorySummary> for StorySummaryView {
    fn from(story: StorySummary) -> Self {
        Self {
            id: story.id.uuid(),
            r#ref: story.number,
            title: story.title,
            status_id: story.status_id.uuid(),
            rank: story.rank,
            version: story.version,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct StoryPath {
    /// The project.
    pub project_id: Uuid,
    /// Number of the story, or `KEY-number`.
    #[param(example = "42")]
    pub r#ref: String,
}

impl StoryPath {
    /// The story named; what cannot be a story's number names none.
    pub(super) fn story(&self) -> Result<StoryRef, Error> {
        self.r#ref.parse().map_err(|_| Error::NotFound("story"))
    }
}

#[derive(Debug, Deserialize, IntoParams)]
struct StoryIdPath {
    /// The story.
    story_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StoryFilter {
    /// Only stories in this column; may be repeated.
    #[serde(default)]
    status: Vec<Uuid>,
    /// Only stories on this board; may be repeated.
    #[serde(default)]
    workflow: Vec<Uuid>,
}

/// A wish for a story.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewStory)]
struct NewStoryBody {
    /// Title.
    #[schema(value_type = String, min_length = 1, max_length = 500, example = "Sign in with a passkey")]
    title: StoryTitle,
    /// Markdown.
    #[schema(value_type = Option<String>, max_length = 200_000)]
    description: Option<StoryDescription>,
    /// Column.
    status_id: Uuid,
}

/// A changed story; absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoryPatch)]
struct StoryPatchBody {
    /// New title.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    title: Given<StoryTitle>,
    /// New description, Markdown.
    #[serde(default)]
    #[schema(value_type = String, max_length = 200_000)]
    description: Given<StoryDescription>,
    /// New column; the story comes last there.
    #[serde(default)]
    #[schema(value_type = Uuid)]
    status_id: Given<Uuid>,
    /// The version you have seen, when there is no `If-Match`.
    #[serde(default)]
    #[schema(value_type = i64)]
    version: Given<i64>,
}

/// Stories to be moved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoryMove)]
struct StoryMove {
    /// Numbers of the stories, in the order wanted.
    #[schema(min_items = 1, max_items = 200, example = json!([42, 7]))]
    refs: Vec<i64>,
    /// Column they go to.
    status_id: Uuid,
    /// Put them right before the story of this number.
    before: Option<i64>,
    /// Put them right after the story of this number.
    after: Option<i64>,
}

async fn list(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
    Query(filter): Query<StoryFilter>,
    Query(paging): Query<Paging>,
) -> Result<Page<StorySummaryView>, Problem> {
    let filter = stories_filter(filter);
    let page = paging.page(&ctx, "stories")?;
    let (items, total) =
        stories::list(&ctx, &caller, p.project_id.into(), &filter, page, paging.wants_count()).await?;
    Ok(paging::answer(&ctx, "stories", items)?.with_total(total))
}

fn stories_filter(filter: StoryFilter) -> tenon_app::stories::Filter {
    tenon_app::stories::Filter {
        statuses: filter.status.into_iter().map(Into::into).collect(),
        workflows: filter.workflow.into_iter().map(Into::into).collect(),
    }
}

async fn create(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
    Body(new): Body<NewStoryBody>,
) -> Result<Created<StoryView>, Problem> {
    let description = match new.description {
        Some(description) => description,
        None => StoryDescription::parse("").map_err(Error::internal)?,
    };
    let new = NewStory { title: new.title, description, status_id: new.status_id.into() };
    let story = stories::create(&ctx, &caller, p.project_id.into(), new).await?;
    Ok(Created::at(format!("/projects/{}/stories/{}", p.project_id, story.number), story.into()))
}

async fn move_many(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
    Body(wanted): Body<StoryMove>,
) -> Result<Page<StoryView>, Problem> {
    let anchor = match (wanted.before, wanted.after) {
        (None, None) => Anchor::Last,
        (Some(number), None) => Anchor::Before(number),
        (None, Some(number)) => Anchor::After(number),
        (Some(_), Some(_)) => {
            return Err(Error::invalid("/after", "ambiguous", "Give before or after, not both.").into());
        }
    };
    let (project, status) = (p.project_id.into(), wanted.status_id.into());
    let moved = stories::move_many(&ctx, &caller, project, &wanted.refs, status, anchor).await?;
    Ok(Page::new(moved.into_iter().map(Into::into).collect(), None))
}

async fn get(ctx: Ctx, caller: Caller, Path(p): Path<StoryPath>) -> Result<Json<StoryView>, Problem> {
    let story = stories::get(&ctx, &caller, p.project_id.into(), &p.story()?).await?;
    Ok(Json(story.into()))
}

async fn get_by_id(ctx: Ctx, caller: Caller, Path(p): Path<StoryIdPath>) -> Result<Json<StoryView>, Problem> {
    Ok(Json(stories::get_by_id(&ctx, &caller, p.story_id.into()).await?.into()))
}

async fn update(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<StoryPath>,
    seen: IfMatch,
    Patch(patch): Patch<StoryPatchBody>,
) -> Result<Json<StoryView>, Problem> {
    let expected = if let Some(version) = patch.version.into_option() {
        Some(version)
    } else {
        let story = p.story()?;
        seen.required(stories::get(&ctx, &caller, p.project_id.into(), &story)).await?.version()
    };
    let patch = StoryPatch {
        title: patch.title.into_option(),
        description: patch.description.into_option(),
        status_id: patch.status_id.into_option().map(Into::into),
    };
    let story = stories::patch(&ctx, &caller, p.project_id.into(), &p.story()?, expected, patch).await?;
    Ok(Json(story.into()))
}

async fn delete(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<StoryPath>,
    seen: IfMatch,
) -> Result<NoContent, Problem> {
    stories::delete(&ctx, &caller, p.project_id.into(), &p.story()?, seen.version()).await?;
    Ok(NoContent)
}

async fn restore(ctx: Ctx, caller: Caller, Path(p): Path<StoryPath>) -> Result<Json<StoryView>, Problem> {
    Ok(Json(stories::restore(&ctx, &caller, p.project_id.into(), &p.story()?).await?.into()))
}

async fn trash(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
    Query(paging): Query<Paging>,
) -> Result<Page<StoryView>, Problem> {
    let page = paging.page(&ctx, "trashed-stories")?;
    let items = stories::trash(&ctx, &caller, p.project_id.into(), page).await?;
    Ok(paging::answer(&ctx, "trashed-stories", items)?)
}
