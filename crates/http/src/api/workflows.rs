//! Boards.

use chrono::{DateTime, Utc};
use salvo::{
    Request, Response,
    http::{StatusCode, header},
};
use serde::{Deserialize, Serialize};
use tenon_app::workflows::{self, Board, StoriesOfBoard, WorkflowRef};
use tenon_core::{
    ids::WorkflowId,
    tokens::Scope,
    workflows::{Workflow, WorkflowName},
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{statuses::BoardStatusView, stories::StorySummaryView};
use crate::{
    endpoint::{
        Api, Body, Caller, Created, Ctx, Given, IfMatch, Json, NoContent, OpDoc, Output, PREFIX, Page, Patch,
        Path, Query, Tagged, Versioned,
        methods::{Delete, Get, Patch as PatchMethod, Post},
    },
    problem::Problem,
};

pub(super) fn mount(api: &mut Api) {
    let mut group =
        api.group("workflows", "Boards of a project.").scopes(Scope::ReadProjects, Scope::WriteProjects);
    group
        .op("list_workflows", Get, "/projects/{project_id}/workflows", "Boards of a project", list)
        .permission("view_workflow");
    group
        .op("create_workflow", Post, "/projects/{project_id}/workflows", "Make a board", create)
        .describe("The board gets the columns of the project's template and comes last.")
        .conflicts(&["too-many-workflows"])
        .permission("create_workflow");
    group
        .op("get_board", Get, "/projects/{project_id}/workflows/{workflow}", "A board with everything on it", board)
        .describe(
            "One request opens a board: its columns in their order, and the summaries of all its stories by column, rank and id. \
             `workflow` is an id or a slug; a slug the board had before redirects (308) to the present one.",
        )
        .permission("view_workflow");
    group
        .op(
            "update_workflow",
            PatchMethod,
            "/projects/{project_id}/workflows/{workflow}",
            "Rename or move a board",
            update,
        )
        .describe("A new name brings a new slug; the old one keeps leading here.")
        .permission("modify_workflow");
    group
        .op("delete_workflow", Delete, "/projects/{project_id}/workflows/{workflow}", "Delete a board", delete)
        .describe("Say where its stories go: `move_to` another board of the project, or `delete_stories=true` for the trash. The last board stays.")
        .conflicts(&["has-stories", "last-workflow", "no-columns"])
        .permission("delete_workflow");
}

/// A board.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Workflow)]
pub(crate) struct WorkflowView {
    /// Id.
    id: Uuid,
    /// Project.
    project_id: Uuid,
    /// Name.
    #[schema(example = "Main")]
    name: String,
    /// Word in addresses.
    #[schema(example = "main")]
    slug: String,
    /// Place among the project's boards, from 0.
    position: i32,
    /// Made at.
    created_at: DateTime<Utc>,
    /// Increases with every change.
    version: i64,
}

impl From<Workflow> for WorkflowView {
    fn from(w: Workflow) -> Self {
        Self {
            id: w.id.uuid(),
            project_id: w.project_id.uuid(),
            name: w.name.into(),
            slug: w.slug,
            position: w.position,
            created_at: w.created_at,
            version: w.version,
        }
    }
}

impl Versioned for WorkflowView {
    fn version(&self) -> i64 {
        self.version
    }
}

/// A board with everything on it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Board)]
pub(crate) struct BoardView {
    /// The board.
    workflow: WorkflowView,
    /// Its columns, in their order.
    statuses: Vec<BoardStatusView>,
    /// Its stories, by column, rank and id.
    stories: Vec<StorySummaryView>,
}

impl From<Board> for BoardView {
    fn from(board: Board) -> Self {
        let statuses = board
            .statuses
            .into_iter()
            .map(|status| {
                let stories = board.stories.iter().filter(|s| s.status_id == status.id).count();
                BoardStatusView::new(status, stories)
            })
            .collect();
        Self {
            workflow: board.workflow.into(),
            statuses,
            stories: board.stories.into_iter().map(Into::into).collect(),
        }
    }
}

/// A board may not be changed as a whole; its version is that of its own fields.
impl Versioned for BoardView {
    fn version(&self) -> i64 {
        self.workflow.version
    }
}

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct ProjectPath {
    /// The project.
    pub project_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct WorkflowPath {
    /// The project.
    pub project_id: Uuid,
    /// Id or slug of the board.
    #[param(example = "main")]
    pub workflow: String,
}

impl WorkflowPath {
    pub(super) fn workflow(&self) -> WorkflowRef {
        match self.workflow.parse() {
            Ok(workflow) => workflow,
            Err(never) => match never {},
        }
    }
}

/// A wish for a board.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWorkflow)]
struct NewWorkflow {
    /// Name.
    #[schema(value_type = String, min_length = 1, max_length = 250, example = "Bugs")]
    name: WorkflowName,
}

/// A changed board; absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkflowPatch)]
struct WorkflowPatch {
    /// New name.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 250)]
    name: Given<WorkflowName>,
    /// New place among the project's boards, from 0.
    #[serde(default)]
    #[schema(value_type = u16, minimum = 0)]
    position: Given<u16>,
    /// The version you have seen, when there is no `If-Match`.
    #[serde(default)]
    #[schema(value_type = i64)]
    version: Given<i64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct WorkflowFate {
    /// The board of this project that its stories move to.
    move_to: Option<Uuid>,
    /// Move its stories to the trash.
    delete_stories: Option<bool>,
}

async fn list(ctx: Ctx, caller: Caller, Path(p): Path<ProjectPath>) -> Result<Page<WorkflowView>, Problem> {
    let boards = workflows::list(&ctx, &caller, p.project_id.into()).await?;
    Ok(Page::new(boards.into_iter().map(Into::into).collect(), None))
}

async fn create(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
    Body(new): Body<NewWorkflow>,
) -> Result<Created<BoardView>, Problem> {
    let board = workflows::create(&ctx, &caller, p.project_id.into(), new.name).await?;
    let location = format!("/projects/{}/workflows/{}", p.project_id, board.workflow.slug);
    Ok(Created::at(location, board.into()))
}

async fn board(ctx: Ctx, caller: Caller, Path(p): Path<WorkflowPath>) -> Result<BoardAnswer, Problem> {
    let asked = p.workflow();
    let board = workflows::board(&ctx, &caller, p.project_id.into(), &asked).await?;
    match asked {
        WorkflowRef::Slug(slug) if slug != board.workflow.slug => {
            let location = format!("{PREFIX}/projects/{}/workflows/{}", p.project_id, board.workflow.slug);
            Ok(BoardAnswer::Elsewhere(location))
        }
        _ => Ok(BoardAnswer::Here(Tagged(board.into()))),
    }
}

async fn update(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkflowPath>,
    seen: IfMatch,
    Patch(patch): Patch<WorkflowPatch>,
) -> Result<Json<WorkflowView>, Problem> {
    let expected = seen.or(patch.version.into_option());
    let (name, position) = (patch.name.into_option(), patch.position.into_option().map(usize::from));
    let workflow =
        workflows::patch(&ctx, &caller, p.project_id.into(), &p.workflow(), expected, name, position).await?;
    Ok(Json(workflow.into()))
}

async fn delete(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkflowPath>,
    Query(fate): Query<WorkflowFate>,
    seen: IfMatch,
) -> Result<NoContent, Problem> {
    let fate = match (fate.move_to, fate.delete_stories.unwrap_or(false)) {
        (Some(id), _) => StoriesOfBoard::MoveTo(WorkflowId::from(id)),
        (None, true) => StoriesOfBoard::Delete,
        (None, false) => StoriesOfBoard::Unsaid,
    };
    workflows::delete(&ctx, &caller, p.project_id.into(), &p.workflow(), seen.version(), fate).await?;
    Ok(NoContent)
}

/// 200 with the board, or 308 to its present slug.
enum BoardAnswer {
    Here(Tagged<BoardView>),
    Elsewhere(String),
}

impl Output for BoardAnswer {
    fn describe(doc: &mut OpDoc) {
        Tagged::<BoardView>::describe(doc);
        doc.empty(
            StatusCode::PERMANENT_REDIRECT,
            "The board has another slug now.",
            &[("Location", "Where it is.")],
        );
    }
    async fn write(self, req: &mut Request, res: &mut Response) -> Result<(), Problem> {
        match self {
            Self::Here(board) => board.write(req, res).await,
            Self::Elsewhere(location) => {
                let location = salvo::http::HeaderValue::from_str(&location).map_err(Problem::internal)?;
                res.status_code(StatusCode::PERMANENT_REDIRECT);
                res.headers_mut().insert(header::LOCATION, location);
                Ok(())
            }
        }
    }
}
