//! Roles of projects.

use serde::{Deserialize, Serialize};
use tenon_app::project_roles as roles;
use tenon_core::{
    ids::RoleId,
    roles::{NewRole, ProjectRole, RoleName, RolePatch},
    tokens::Scope,
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    permissions::{ProjectPermissionView, of_project, set},
    workflows::ProjectPath,
};
use crate::{
    endpoint::{
        Api, Body, Caller, Created, Ctx, Given, IfMatch, Json, NoContent, Page, Patch, Path, Query,
        Versioned,
        methods::{Delete, Get, Patch as PatchMethod, Post},
    },
    problem::Problem,
};

pub(super) fn mount(api: &mut Api) {
    let mut group = api
        .group("project roles", "Roles of a project, and what they may do.")
        .scopes(Scope::ReadProjects, Scope::WriteProjects);
    group.op("list_project_roles", Get, "/projects/{project_id}/roles", "Roles of a project", list);
    group
        .op("create_project_role", Post, "/projects/{project_id}/roles", "Make a role", create)
        .describe(
            "Some permissions make sense only together with another (`delete_story` with `create_story`, and so on); a set that lacks one is refused (422, \
             `missing-permission`). You can give only permissions that you hold yourself, unless you own the project.",
        )
        .permission("create_modify_delete_role");
    group.op("get_project_role", Get, "/projects/{project_id}/roles/{role_id}", "A role", get);
    group
        .op(
            "update_project_role",
            PatchMethod,
            "/projects/{project_id}/roles/{role_id}",
            "Change a role",
            update,
        )
        .describe(
            "The roles owner, admin and read-only member are the same in every project and stay as they are. You can add only permissions that you \
             hold yourself, so nobody raises their own role. Pending invitations whose senders may no longer send them are withdrawn.",
        )
        .conflicts(&["role-not-editable"])
        .permission("create_modify_delete_role");
    group
        .op("delete_project_role", Delete, "/projects/{project_id}/roles/{role_id}", "Delete a role", delete)
        .describe("Whoever holds it or is invited to it gets the role `move_to` instead, which must not hold permissions that you lack and the deleted one lacked.")
        .conflicts(&["role-not-editable", "role-in-use"])
        .permission("create_modify_delete_role");
}

/// A role of a project.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectRole)]
pub(crate) struct ProjectRoleView {
    /// Id.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0d01")]
    id: Uuid,
    /// Project.
    project_id: Uuid,
    /// What the project calls it.
    #[schema(example = "Member")]
    name: String,
    /// Stable word, unique in the project.
    #[schema(example = "member")]
    slug: String,
    /// Its holders may do all, and only they touch other owners.
    is_owner: bool,
    /// Whether it may be changed and deleted.
    editable: bool,
    /// Place in lists, from 0.
    position: i32,
    /// What it may do.
    permissions: Vec<ProjectPermissionView>,
    /// Increases with every change.
    version: i64,
}

impl From<ProjectRole> for ProjectRoleView {
    fn from(r: ProjectRole) -> Self {
        Self {
            id: r.id.uuid(),
            project_id: r.project_id.uuid(),
            name: r.name.into(),
            slug: r.slug,
            is_owner: r.is_owner,
            editable: r.editable,
            position: r.position,
            permissions: of_project(r.permissions),
            version: r.version,
        }
    }
}

impl Versioned for ProjectRoleView {
    fn version(&self) -> i64 {
        self.version
    }
}

#[derive(Debug, Deserialize, IntoParams)]
struct RolePath {
    /// The project.
    project_id: Uuid,
    /// The role.
    role_id: Uuid,
}

/// A wish for a role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProjectRole)]
struct NewRoleBody {
    /// What to call it.
    #[schema(value_type = String, min_length = 1, max_length = 80, example = "Tester")]
    name: RoleName,
    /// What it may do.
    #[schema(example = json!(["view_story", "modify_story", "view_comment"]))]
    permissions: Vec<ProjectPermissionView>,
}

/// A changed role; absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProjectRolePatch)]
struct RolePatchBody {
    /// New name.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 80, example = "Reviewer")]
    name: Given<RoleName>,
    /// What it may do from now on.
    #[serde(default)]
    #[schema(value_type = Vec<ProjectPermissionView>, example = json!(["view_story", "view_comment"]))]
    permissions: Given<Vec<ProjectPermissionView>>,
    /// The version you have seen, when there is no `If-Match`.
    #[serde(default)]
    #[schema(value_type = i64)]
    version: Given<i64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RoleFate {
    /// The role that its holders get.
    move_to: Option<Uuid>,
}

async fn list(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
) -> Result<Page<ProjectRoleView>, Problem> {
    let roles = roles::list(&ctx, &caller, p.project_id.into()).await?;
    Ok(Page::new(roles.into_iter().map(Into::into).collect(), None))
}

async fn create(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
    Body(new): Body<NewRoleBody>,
) -> Result<Created<ProjectRoleView>, Problem> {
    let new = NewRole { name: new.name, permissions: set(&new.permissions) };
    let role = roles::create(&ctx, &caller, p.project_id.into(), new).await?;
    Ok(Created::at(format!("/projects/{}/roles/{}", p.project_id, role.id), role.into()))
}

async fn get(ctx: Ctx, caller: Caller, Path(p): Path<RolePath>) -> Result<Json<ProjectRoleView>, Problem> {
    Ok(Json(roles::get(&ctx, &caller, p.project_id.into(), p.role_id.into()).await?.into()))
}

async fn update(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<RolePath>,
    seen: IfMatch,
    Patch(patch): Patch<RolePatchBody>,
) -> Result<Json<ProjectRoleView>, Problem> {
    let expected = seen.or(patch.version.into_option());
    let patch = RolePatch {
        name: patch.name.into_option(),
        permissions: patch.permissions.into_option().map(|words| set(&words)),
    };
    let (project, id) = (p.project_id.into(), p.role_id.into());
    Ok(Json(roles::patch(&ctx, &caller, project, id, expected, patch).await?.into()))
}

async fn delete(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<RolePath>,
    Query(fate): Query<RoleFate>,
    seen: IfMatch,
) -> Result<NoContent, Problem> {
    let (project, id) = (p.project_id.into(), p.role_id.into());
    roles::delete(&ctx, &caller, project, id, seen.version(), fate.move_to.map(RoleId::from)).await?;
    Ok(NoContent)
}
