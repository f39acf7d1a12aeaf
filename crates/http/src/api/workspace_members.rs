//! Members of workspaces.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenon_app::workspace_members as members;
use tenon_core::{ids::UserId, members::WorkspaceMember, tokens::Scope};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{permissions::WorkspaceRoleView, workspaces::WorkspacePath};
use crate::{
    endpoint::{
        Api, Body, Caller, Ctx, Given, IfMatch, Json, NoContent, Page, Patch, Path, Query, Versioned,
        methods::{Delete, Get, Patch as PatchMethod, Post},
    },
    paging::{self, Paging},
    problem::Problem,
    views::PersonView,
};

pub(super) fn mount(api: &mut Api) {
    let mut group = api
        .group("workspace members", "People of a workspace.")
        .scopes(Scope::ReadWorkspaces, Scope::WriteWorkspaces);
    group
        .op(
            "list_workspace_members",
            Get,
            "/workspaces/{workspace_id}/members",
            "People of a workspace",
            list,
        )
        .describe("In order of arrival.");
    group.op(
        "get_workspace_member",
        Get,
        "/workspaces/{workspace_id}/members/{user_id}",
        "A person of a workspace",
        get,
    );
    group
        .op(
            "update_workspace_member",
            PatchMethod,
            "/workspaces/{workspace_id}/members/{user_id}",
            "Give a person another role",
            update,
        )
        .describe("You can give only permissions that you hold yourself. Only owners touch owners or make one, and a workspace keeps at least one owner whose account is active. Pending invitations that the person may no longer send are withdrawn.")
        .conflicts(&["last-owner"])
        .permission("create_modify_member");
    group
        .op(
            "remove_workspace_member",
            Delete,
            "/workspaces/{workspace_id}/members/{user_id}",
            "Take a person out of a workspace",
            remove,
        )
        .describe(
            "They leave all its projects, too, and their pending invitations are taken back. Projects that they alone own pass to you if you \
             own the workspace, else to the owner who has been there longest. Only owners touch owners, and a workspace keeps at least one.",
        )
        .conflicts(&["last-owner", "membership-changing", "no-active-owner"])
        .permission("delete_member");
    group
        .op("leave_workspace", Post, "/workspaces/{workspace_id}/leave", "Leave a workspace", leave)
        .describe(
            "You leave all its projects, too. Its only owner names a `successor` among its people, who then owns it. Projects that you alone own pass to \
             the successor, or to the owner who has been there longest.",
        )
        .conflicts(&["last-owner", "membership-changing", "no-active-owner"]);
}

/// A person of a workspace.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WorkspaceMember)]
pub(crate) struct WorkspaceMemberView {
    /// Who.
    user: PersonView,
    /// As what.
    role: WorkspaceRoleView,
    /// Since.
    created_at: DateTime<Utc>,
    /// Increases with every change.
    version: i64,
}

impl From<WorkspaceMember> for WorkspaceMemberView {
    fn from(m: WorkspaceMember) -> Self {
        Self {
            user: m.user.into(),
            role: WorkspaceRoleView(m.role),
            created_at: m.created_at,
            version: m.version,
        }
    }
}

impl Versioned for WorkspaceMemberView {
    fn version(&self) -> i64 {
        self.version
    }
}

#[derive(Debug, Deserialize, IntoParams)]
struct WorkspaceMemberPath {
    /// The workspace.
    workspace_id: Uuid,
    /// The person.
    user_id: Uuid,
}

/// A person's new role in a workspace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkspaceMemberPatch)]
struct WorkspaceMemberPatch {
    /// As what from now on.
    role: WorkspaceRoleView,
    /// The version you have seen, when there is no `If-Match`.
    #[serde(default)]
    #[schema(value_type = i64)]
    version: Given<i64>,
}

/// How to leave.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Leaving)]
pub(super) struct LeavingBody {
    /// Who owns it after you; needed when you are its only owner, and of no effect otherwise.
    #[serde(default)]
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0a02")]
    pub successor: Option<Uuid>,
}

async fn list(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspacePath>,
    Query(paging): Query<Paging>,
) -> Result<Page<WorkspaceMemberView>, Problem> {
    let page = paging.page(&ctx, "workspace-members")?;
    let (items, total) =
        members::list(&ctx, &caller, p.workspace_id.into(), page, paging.wants_count()).await?;
    Ok(paging::answer(&ctx, "workspace-members", items)?.with_total(total))
}

async fn get(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspaceMemberPath>,
) -> Result<Json<WorkspaceMemberView>, Problem> {
    Ok(Json(members::get(&ctx, &caller, p.workspace_id.into(), p.user_id.into()).await?.into()))
}

async fn update(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspaceMemberPath>,
    seen: IfMatch,
    Patch(patch): Patch<WorkspaceMemberPatch>,
) -> Result<Json<WorkspaceMemberView>, Problem> {
    let expected = seen.or(patch.version.into_option());
    let (workspace, person) = (p.workspace_id.into(), p.user_id.into());
    let member = members::change_role(&ctx, &caller, workspace, person, expected, patch.role.0).await?;
    Ok(Json(member.into()))
}

async fn remove(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspaceMemberPath>,
    seen: IfMatch,
) -> Result<NoContent, Problem> {
    members::remove(&ctx, &caller, p.workspace_id.into(), p.user_id.into(), seen.version()).await?;
    Ok(NoContent)
}

async fn leave(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspacePath>,
    Body(leaving): Body<LeavingBody>,
) -> Result<NoContent, Problem> {
    members::leave(&ctx, &caller, p.workspace_id.into(), leaving.successor.map(UserId::from)).await?;
    Ok(NoContent)
}
