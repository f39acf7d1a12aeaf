//! Members of projects.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenon_app::project_members as members;
use tenon_core::{ids::UserId, members::ProjectMember, tokens::Scope};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{workflows::ProjectPath, workspace_members::LeavingBody};
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
        .group("project members", "People of a project.")
        .scopes(Scope::ReadProjects, Scope::WriteProjects);
    group
        .op("list_project_members", Get, "/projects/{project_id}/members", "People of a project", list)
        .describe("In order of arrival.");
    group.op(
        "get_project_member",
        Get,
        "/projects/{project_id}/members/{user_id}",
        "A person of a project",
        get,
    );
    group
        .op(
            "update_project_member",
            PatchMethod,
            "/projects/{project_id}/members/{user_id}",
            "Give a person another role",
            update,
        )
        .describe("You can give only permissions that you hold yourself. Only owners touch owners or make one, and a project keeps at least one owner whose account is active. Pending invitations that the person may no longer send are withdrawn.")
        .conflicts(&["last-owner"])
        .permission("create_modify_member");
    group
        .op(
            "remove_project_member",
            Delete,
            "/projects/{project_id}/members/{user_id}",
            "Take a person out of a project",
            remove,
        )
        .describe(
            "They stay in the workspace. Only owners touch owners, and a project keeps at least one owner.",
        )
        .conflicts(&["last-owner"])
        .permission("delete_member");
    group
        .op("leave_project", Post, "/projects/{project_id}/leave", "Leave a project", leave)
        .describe("Its only owner names a `successor` among its people, who then owns it.")
        .conflicts(&["last-owner"]);
}

/// A person of a project.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectMember)]
pub(crate) struct ProjectMemberView {
    /// Who.
    user: PersonView,
    /// As what.
    role_id: Uuid,
    /// The role's stable word.
    #[schema(example = "member")]
    role: String,
    /// Since.
    created_at: DateTime<Utc>,
    /// Increases with every change.
    version: i64,
}

impl From<ProjectMember> for ProjectMemberView {
    fn from(m: ProjectMember) -> Self {
        Self {
            user: m.user.into(),
            role_id: m.role_id.uuid(),
            role: m.role,
            created_at: m.created_at,
            version: m.version,
        }
    }
}

impl Versioned for ProjectMemberView {
    fn version(&self) -> i64 {
        self.version
    }
}

#[derive(Debug, Deserialize, IntoParams)]
struct ProjectMemberPath {
    /// The project.
    project_id: Uuid,
    /// The person.
    user_id: Uuid,
}

/// A person's new role in a project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProjectMemberPatch)]
struct ProjectMemberPatch {
    /// As what from now on.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0d01")]
    role_id: Uuid,
    /// The version you have seen, when there is no `If-Match`.
    #[serde(default)]
    #[schema(value_type = i64)]
    version: Given<i64>,
}

async fn list(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
    Query(paging): Query<Paging>,
) -> Result<Page<ProjectMemberView>, Problem> {
    let page = paging.page(&ctx, "project-members")?;
    let (items, total) =
        members::list(&ctx, &caller, p.project_id.into(), page, paging.wants_count()).await?;
    Ok(paging::answer(&ctx, "project-members", items)?.with_total(total))
}

async fn get(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectMemberPath>,
) -> Result<Json<ProjectMemberView>, Problem> {
    Ok(Json(members::get(&ctx, &caller, p.project_id.into(), p.user_id.into()).await?.into()))
}

async fn update(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectMemberPath>,
    seen: IfMatch,
    Patch(patch): Patch<ProjectMemberPatch>,
) -> Result<Json<ProjectMemberView>, Problem> {
    let expected = seen.or(patch.version.into_option());
    let (project, person) = (p.project_id.into(), p.user_id.into());
    let member = members::change_role(&ctx, &caller, project, person, expected, patch.role_id.into()).await?;
    Ok(Json(member.into()))
}

async fn remove(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectMemberPath>,
    seen: IfMatch,
) -> Result<NoContent, Problem> {
    members::remove(&ctx, &caller, p.project_id.into(), p.user_id.into(), seen.version()).await?;
    Ok(NoContent)
}

async fn leave(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
    Body(leaving): Body<LeavingBody>,
) -> Result<NoContent, Problem> {
    members::leave(&ctx, &caller, p.project_id.into(), leaving.successor.map(UserId::from)).await?;
    Ok(NoContent)
}
