//! Workspaces and projects without an active owner, for administrators of the instance.

use serde::Deserialize;
use tenon_app::{ownership, users::Operator};
use tenon_core::tokens::Scope;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    me::BelongingView, project_members::ProjectMemberView, users::UserPath, workflows::ProjectPath,
    workspace_members::WorkspaceMemberView, workspaces::WorkspacePath,
};
use crate::{
    endpoint::{
        Api, Body, Caller, Ctx, Json, Page, Path, Query,
        methods::{Get, Post},
    },
    paging::{self, Paging},
    problem::Problem,
};

/// The permission of this group, as the document says it.
const ADMIN: &str = "administrator";

pub(super) fn mount(api: &mut Api) {
    let mut group = api
        .group(
            "ownership",
            "Workspaces and projects without an active owner, for administrators of the instance.",
        )
        .scopes(Scope::Admin, Scope::Admin);
    group
        .op(
            "list_sole_ownerships",
            Get,
            "/users/{user_id}/sole-ownerships",
            "List what only this user owns",
            sole,
        )
        .describe("Workspaces and projects that others use, too: without this user they have no owner whose account is active.")
        .permission(ADMIN);
    group
        .op("list_ownerless", Get, "/ownerless", "List workspaces and projects without an active owner", list)
        .describe("Oldest first, without those in the trash. `count` is not known for this list.")
        .permission(ADMIN);
    group
        .op(
            "set_workspace_owner",
            Post,
            "/workspaces/{workspace_id}/set-owner",
            "Give a workspace a new owner",
            set_workspace_owner,
        )
        .describe(
            "Only for a workspace that no active account owns; it may be in the trash. The user becomes a member if need be. The change is in the logs of \
             the workspace and of the user, with you as its author.",
        )
        .conflicts(&["has-owner"])
        .permission(ADMIN);
    group
        .op(
            "set_project_owner",
            Post,
            "/projects/{project_id}/set-owner",
            "Give a project a new owner",
            set_project_owner,
        )
        .describe(
            "Only for a project that no active account owns; it may be archived or in the trash. The user becomes a member if need be, of its workspace \
             too. The change is in the logs of the project and of the user, with you as its author.",
        )
        .conflicts(&["has-owner"])
        .permission(ADMIN);
}

/// Who owns it from now on, too.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOwner)]
struct NewOwner {
    /// The user, whose account must be active.
    user_id: Uuid,
}

async fn sole(ctx: Ctx, caller: Caller, Path(p): Path<UserPath>) -> Result<Page<BelongingView>, Problem> {
    let places = ownership::sole(&ctx, Operator::Caller(&caller), p.user_id.into()).await?;
    Ok(Page::new(places.into_iter().map(Into::into).collect(), None))
}

async fn list(
    ctx: Ctx,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Page<BelongingView>, Problem> {
    let page = paging.page(&ctx, "ownerless")?;
    let items = ownership::ownerless(&ctx, Operator::Caller(&caller), &page).await?;
    Ok(paging::answer(&ctx, "ownerless", items)?)
}

async fn set_workspace_owner(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspacePath>,
    Body(new): Body<NewOwner>,
) -> Result<Json<WorkspaceMemberView>, Problem> {
    let (place, person) = (p.workspace_id.into(), new.user_id.into());
    let member = ownership::set_workspace_owner(&ctx, Operator::Caller(&caller), place, person).await?;
    Ok(Json(member.into()))
}

async fn set_project_owner(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
    Body(new): Body<NewOwner>,
) -> Result<Json<ProjectMemberView>, Problem> {
    let (place, person) = (p.project_id.into(), new.user_id.into());
    let member = ownership::set_project_owner(&ctx, Operator::Caller(&caller), place, person).await?;
    Ok(Json(member.into()))
}
