//! Workspaces.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenon_app::workspaces;
use tenon_core::{
    text::Color,
    tokens::Scope,
    workspaces::{NewWorkspace, WorkspaceName, WorkspacePatch, WorkspaceWithRole},
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::permissions::{WorkspacePermissionView, WorkspaceRoleView, of_workspace};
use crate::{
    endpoint::{
        Api, Body, Caller, Created, Ctx, Given, IfMatch, Json, NoContent, Page, Patch, Path, Query,
        Versioned,
        methods::{Delete, Get, Patch as PatchMethod, Post},
    },
    paging::{self, Paging},
    problem::Problem,
};

pub(super) fn mount(api: &mut Api) {
    let mut group = api
        .group("workspaces", "Workspaces: where people share projects.")
        .scopes(Scope::ReadWorkspaces, Scope::WriteWorkspaces);
    group
        .op("list_workspaces", Get, "/workspaces", "Workspaces you are in", list)
        .describe("Oldest first. With `trashed=true`, those in the trash instead.");
    group
        .op("create_workspace", Post, "/workspaces", "Make a workspace", create)
        .describe("You become its owner.");
    group.op("get_workspace", Get, "/workspaces/{workspace_id}", "A workspace", get);
    group
        .op("update_workspace", PatchMethod, "/workspaces/{workspace_id}", "Change a workspace", update)
        .permission("modify_workspace");
    group
        .op("delete_workspace", Delete, "/workspaces/{workspace_id}", "Move a workspace to the trash", delete)
        .describe("It must hold no projects but such as are in the trash.")
        .conflicts(&["workspace-has-projects"])
        .permission("delete_workspace");
    group
        .op(
            "restore_workspace",
            Post,
            "/workspaces/{workspace_id}/restore",
            "Take a workspace back from the trash",
            restore,
        )
        .describe("One that is not in the trash stays as it is.")
        .permission("delete_workspace");
}

/// A workspace, and your place in it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Workspace)]
pub(crate) struct WorkspaceView {
    /// Id.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0b01")]
    id: Uuid,
    /// Name.
    #[schema(example = "Analytical Engines")]
    name: String,
    /// Shade, 1 to 20.
    #[schema(minimum = 1, maximum = 20, example = 4)]
    color: i16,
    /// Your role.
    role: WorkspaceRoleView,
    /// What you may do.
    permissions: Vec<WorkspacePermissionView>,
    /// How many people are in it.
    #[schema(example = 12)]
    members: i64,
    /// How many of its projects you are in; those in the trash do not count.
    #[schema(example = 3)]
    projects: i64,
    /// Made at.
    created_at: DateTime<Utc>,
    /// Moved to the trash at; null when it is not there.
    deleted_at: Option<DateTime<Utc>>,
    /// Increases with every change.
    version: i64,
}

impl From<WorkspaceWithRole> for WorkspaceView {
    fn from(view: WorkspaceWithRole) -> Self {
        let w = view.workspace;
        Self {
            id: w.id.uuid(),
            name: w.name.into(),
            color: w.color.get(),
            role: WorkspaceRoleView(view.role),
            permissions: of_workspace(view.role.permissions()),
            members: view.members,
            projects: view.projects,
            created_at: w.created_at,
            deleted_at: w.deleted_at,
            version: w.version,
        }
    }
}

impl Versioned for WorkspaceView {
    fn version(&self) -> i64 {
        self.version
    }
}

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct WorkspacePath {
    /// The workspace.
    pub workspace_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct WorkspaceFilter {
    /// Those in the trash instead of those that are not.
    #[param(default = false)]
    trashed: Option<bool>,
}

/// A wish for a workspace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWorkspace)]
struct NewWorkspaceBody {
    /// Name.
    #[schema(value_type = String, min_length = 1, max_length = 40, example = "Analytical Engines")]
    name: WorkspaceName,
    /// Shade, 1 to 20; chosen when absent.
    #[serde(default)]
    #[schema(value_type = Option<i16>, minimum = 1, maximum = 20, example = 4)]
    color: Option<Color>,
}

/// A changed workspace; absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkspacePatch)]
struct WorkspacePatchBody {
    /// New name.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 40, example = "Difference Engines")]
    name: Given<WorkspaceName>,
    /// New shade, 1 to 20.
    #[serde(default)]
    #[schema(value_type = i16, minimum = 1, maximum = 20, example = 5)]
    color: Given<Color>,
    /// The version you have seen, when there is no `If-Match`.
    #[serde(default)]
    #[schema(value_type = i64)]
    version: Given<i64>,
}

async fn list(
    ctx: Ctx,
    caller: Caller,
    Query(filter): Query<WorkspaceFilter>,
    Query(paging): Query<Paging>,
) -> Result<Page<WorkspaceView>, Problem> {
    let page = paging.page(&ctx, "workspaces")?;
    let trashed = filter.trashed.unwrap_or(false);
    let (items, total) = workspaces::list(&ctx, &caller, trashed, page, paging.wants_count()).await?;
    Ok(paging::answer(&ctx, "workspaces", items)?.with_total(total))
}

async fn create(
    ctx: Ctx,
    caller: Caller,
    Body(new): Body<NewWorkspaceBody>,
) -> Result<Created<WorkspaceView>, Problem> {
    let new = NewWorkspace { name: new.name, color: new.color };
    let made = workspaces::create(&ctx, &caller, new).await?;
    Ok(Created::at(format!("/workspaces/{}", made.workspace.id), made.into()))
}

async fn get(ctx: Ctx, caller: Caller, Path(p): Path<WorkspacePath>) -> Result<Json<WorkspaceView>, Problem> {
    Ok(Json(workspaces::get(&ctx, &caller, p.workspace_id.into()).await?.into()))
}

async fn update(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspacePath>,
    seen: IfMatch,
    Patch(patch): Patch<WorkspacePatchBody>,
) -> Result<Json<WorkspaceView>, Problem> {
    let expected = seen.or(patch.version.into_option());
    let patch = WorkspacePatch { name: patch.name.into_option(), color: patch.color.into_option() };
    let id = p.workspace_id.into();
    Ok(Json(workspaces::patch(&ctx, &caller, id, expected, patch).await?.into()))
}

async fn delete(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspacePath>,
    seen: IfMatch,
) -> Result<NoContent, Problem> {
    workspaces::delete(&ctx, &caller, p.workspace_id.into(), seen.version()).await?;
    Ok(NoContent)
}

async fn restore(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspacePath>,
) -> Result<Json<WorkspaceView>, Problem> {
    Ok(Json(workspaces::restore(&ctx, &caller, p.workspace_id.into()).await?.into()))
}
