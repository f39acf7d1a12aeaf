//! Columns of a board.

use serde::{Deserialize, Serialize};
use tenon_app::statuses;
use tenon_core::{
    Error,
    ids::StatusId,
    statuses::{Category, NewStatus, Status, StatusName, StatusPatch, StoriesOfDeleted},
    text::Color,
    tokens::Scope,
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::workflows::WorkflowPath;
use crate::{
    endpoint::{
        Api, Body, Caller, Created, Ctx, Field, Given, IfMatch, Json, NoContent, Page, Patch, Path, Query,
        Versioned,
        methods::{Delete, Get, Patch as PatchMethod, Post},
    },
    problem::Problem,
};

const BASE: &str = "/projects/{project_id}/workflows/{workflow}/statuses";
const ONE: &str = "/projects/{project_id}/workflows/{workflow}/statuses/{status_id}";
const REORDER: &str = "/projects/{project_id}/workflows/{workflow}/statuses/reorder";

pub(super) fn mount(api: &mut Api) {
    let mut group =
        api.group("statuses", "Columns of a board.").scopes(Scope::ReadProjects, Scope::WriteProjects);
    group.op("list_statuses", Get, BASE, "Columns of a board", list).permission("view_workflow");
    group
        .op("create_status", Post, BASE, "Add a column", create)
        .describe("The column comes last.")
        .conflicts(&["too-many-statuses"])
        .permission("modify_workflow");
    group
        .op("reorder_statuses", Post, REORDER, "Put the columns in another order", reorder)
        .describe("Name every column of the board exactly once.")
        .permission("modify_workflow");
    group.op("update_status", PatchMethod, ONE, "Change a column", update).permission("modify_workflow");
    group
        .op("delete_status", Delete, ONE, "Delete a column", delete)
        .describe("Say where its stories go: `move_to` another column of the same board, or `delete_stories=true` for the trash. The last column stays.")
        .conflicts(&["has-stories", "last-status"])
        .permission("modify_workflow");
}

/// What being in a column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Category)]
pub(crate) enum CategoryView {
    /// Not begun.
    Todo,
    /// Begun.
    Doing,
    /// Finished.
    Done,
}

impl From<Category> for CategoryView {
    fn from(category: Category) -> Self {
        match category {
            Category::Todo => Self::Todo,
            Category::Doing => Self::Doing,
            Category::Done => Self::Done,
        }
    }
}

impl From<CategoryView> for Category {
    fn from(category: CategoryView) -> Self {
        match category {
            CategoryView::Todo => Self::Todo,
            CategoryView::Doing => Self::Doing,
            CategoryView::Done => Self::Done,
        }
    }
}

/// A column.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Status)]
pub(crate) struct StatusView {
    /// Id.
    id: Uuid,
    /// Board.
    workflow_id: Uuid,
    /// Name.
    #[schema(example = "In progress")]
    name: String,
    /// Shade, 1 to 20.
    #[schema(example = 3)]
    color: i16,
    /// Place on the board, from 0.
    position: i32,
    /// What being in it means.
    category: CategoryView,
    /// More stories than this are flagged, never refused.
    #[schema(example = 5)]
    wip_limit: Option<i32>,
    /// Increases with every change.
    version: i64,
}

impl From<Status> for StatusView {
    fn from(status: Status) -> Self {
        Self {
            id: status.id.uuid(),
            workflow_id: status.workflow_id.uuid(),
            name: status.name.into(),
            color: status.color.get(),
            position: status.position,
            category: status.category.into(),
            wip_limit: status.wip_limit,
            version: status.version,
        }
    }
}

impl Versioned for StatusView {
    fn version(&self) -> i64 {
        self.version
    }
}

/// A column on an opened board.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BoardStatus)]
pub(crate) struct BoardStatusView {
    /// Id.
    id: Uuid,
    /// Name.
    name: String,
    /// Shade, 1 to 20.
    color: i16,
    /// What being in it means.
    category: CategoryView,
    /// More stories than this are flagged, never refused.
    wip_limit: Option<i32>,
    /// Stories in it.
    story_count: usize,
    /// Whether there are more stories than its limit.
    over_limit: bool,
    /// Increases with every change.
    version: i64,
}

impl BoardStatusView {
    pub(super) fn new(status: Status, stories: usize) -> Self {
        let over = |limit| i32::try_from(stories).is_ok_and(|n| n > limit);
        Self {
            id: status.id.uuid(),
            name: status.name.into(),
            color: status.color.get(),
            category: status.category.into(),
            wip_limit: status.wip_limit,
            story_count: stories,
            over_limit: status.wip_limit.is_some_and(over),
            version: status.version,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
struct StatusPath {
    /// The project.
    project_id: Uuid,
    /// Id or slug of the board.
    #[param(example = "main")]
    workflow: String,
    /// The column.
    status_id: Uuid,
}

impl StatusPath {
    fn board(&self) -> WorkflowPath {
        WorkflowPath { project_id: self.project_id, workflow: self.workflow.clone() }
    }
}

/// A wish for a column.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewStatus)]
struct NewStatusBody {
    /// Name.
    #[schema(value_type = String, min_length = 1, max_length = 30, example = "Review")]
    name: StatusName,
    /// Shade; chosen when absent.
    #[schema(value_type = Option<i16>, minimum = 1, maximum = 20)]
    color: Option<Color>,
    /// What being in it means.
    category: CategoryView,
    /// More stories than this are flagged.
    #[schema(minimum = 1, maximum = 10000)]
    wip_limit: Option<i32>,
}

/// A changed column; absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StatusPatch)]
struct StatusPatchBody {
    /// New name.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 30)]
    name: Given<StatusName>,
    /// New shade.
    #[serde(default)]
    #[schema(value_type = i16, minimum = 1, maximum = 20)]
    color: Given<Color>,
    /// New meaning.
    #[serde(default)]
    #[schema(value_type = CategoryView)]
    category: Given<CategoryView>,
    /// New limit; null removes it.
    #[serde(default)]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 10000)]
    wip_limit: Field<i32>,
    /// The version you have seen, when there is no `If-Match`.
    #[serde(default)]
    #[schema(value_type = i64)]
    version: Given<i64>,
}

/// The columns of a board, in the order wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StatusOrder)]
struct StatusOrder {
    /// Every column once.
    status_ids: Vec<Uuid>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StatusFate {
    /// The column of this board that its stories move to.
    move_to: Option<Uuid>,
    /// Move its stories to the trash.
    delete_stories: Option<bool>,
}

async fn list(ctx: Ctx, caller: Caller, Path(p): Path<WorkflowPath>) -> Result<Page<StatusView>, Problem> {
    let columns = statuses::list(&ctx, &caller, p.project_id.into(), &p.workflow()).await?;
    Ok(Page::new(columns.into_iter().map(Into::into).collect(), None))
}

async fn create(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkflowPath>,
    Body(new): Body<NewStatusBody>,
) -> Result<Created<StatusView>, Problem> {
    let new = NewStatus {
        name: new.name,
        color: new.color,
        category: new.category.into(),
        wip_limit: limit(new.wip_limit)?,
    };
    let status = statuses::create(&ctx, &caller, p.project_id.into(), &p.workflow(), new).await?;
    let location = format!("/projects/{}/workflows/{}/statuses/{}", p.project_id, p.workflow, status.id);
    Ok(Created::at(location, status.into()))
}

async fn reorder(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkflowPath>,
    Body(order): Body<StatusOrder>,
) -> Result<Page<StatusView>, Problem> {
    let order: Vec<StatusId> = order.status_ids.into_iter().map(Into::into).collect();
    let columns = statuses::reorder(&ctx, &caller, p.project_id.into(), &p.workflow(), &order).await?;
    Ok(Page::new(columns.into_iter().map(Into::into).collect(), None))
}

async fn update(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<StatusPath>,
    seen: IfMatch,
    Patch(patch): Patch<StatusPatchBody>,
) -> Result<Json<StatusView>, Problem> {
    let expected = seen.or(patch.version.into_option());
    let wip_limit = match patch.wip_limit.into_option() {
        Some(wanted) => Some(limit(wanted)?),
        None => None,
    };
    let patch = StatusPatch {
        name: patch.name.into_option(),
        color: patch.color.into_option(),
        category: patch.category.into_option().map(Into::into),
        wip_limit,
    };
    let (project, board, id) = (p.project_id.into(), p.board().workflow(), p.status_id.into());
    let status = statuses::patch(&ctx, &caller, project, &board, id, expected, patch).await?;
    Ok(Json(status.into()))
}

async fn delete(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<StatusPath>,
    Query(fate): Query<StatusFate>,
    seen: IfMatch,
) -> Result<NoContent, Problem> {
    let fate = match (fate.move_to, fate.delete_stories.unwrap_or(false)) {
        (Some(id), _) => StoriesOfDeleted::MoveTo(id.into()),
        (None, true) => StoriesOfDeleted::Delete,
        (None, false) => StoriesOfDeleted::Unsaid,
    };
    let (project, board, id) = (p.project_id.into(), p.board().workflow(), p.status_id.into());
    statuses::delete(&ctx, &caller, project, &board, id, seen.version(), fate).await?;
    Ok(NoContent)
}

fn limit(wanted: Option<i32>) -> Result<Option<i32>, Error> {
    match wanted {
        Some(n) if !(1..=10_000).contains(&n) => {
            Err(Error::invalid("/wip_limit", "out-of-range", "must be a number from 1 to 10000"))
        }
        other => Ok(other),
    }
}
