//! Invitations into workspaces.

use serde::Deserialize;
use tenon_app::invitations;
use tenon_core::{
    emails::Email,
    invitations::{GivenRole, Place},
    tokens::Scope,
    users::Username,
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    invitations::{InvitationQuery, InvitationView, InvitedView, invitation},
    permissions::WorkspaceRoleView,
    workspaces::WorkspacePath,
};
use crate::{
    endpoint::{
        Api, Body, Caller, Ctx, IfMatch, Json, NoContent, Page, Patch, Path, Plain, Query,
        methods::{Delete, Get, Patch as PatchMethod, Post},
    },
    paging::{self, Paging},
    problem::Problem,
};

pub(super) fn mount(api: &mut Api) {
    let mut group = api
        .group("workspace invitations", "Invitations into a workspace.")
        .scopes(Scope::ReadWorkspaces, Scope::WriteWorkspaces);
    group
        .op(
            "list_workspace_invitations",
            Get,
            "/workspaces/{workspace_id}/invitations",
            "Invitations into a workspace",
            list,
        )
        .describe("Oldest first.")
        .permission("create_modify_member");
    group
        .op(
            "create_workspace_invitations",
            Post,
            "/workspaces/{workspace_id}/invitations",
            "Invite people into a workspace",
            create,
        )
        .describe(
            "Up to 50 at once, each by address or by handle. Who is in already is counted and skipped; an invitation that is there already is opened \
             again with the new role. Each gets a mail with a link that works once and for four days, but at most one mail in ten minutes and ten in all. \
             Only owners invite owners.",
        )
        .permission("create_modify_member");
    group
        .op(
            "get_workspace_invitation",
            Get,
            "/workspaces/{workspace_id}/invitations/{invitation_id}",
            "An invitation into a workspace",
            get,
        )
        .permission("create_modify_member");
    group
        .op(
            "update_workspace_invitation",
            PatchMethod,
            "/workspaces/{workspace_id}/invitations/{invitation_id}",
            "Change the role an invitation gives",
            update,
        )
        .describe("Only while it is pending. Only owners invite owners.")
        .conflicts(&["invitation-not-pending"])
        .permission("create_modify_member");
    group
        .op(
            "resend_workspace_invitation",
            Post,
            "/workspaces/{workspace_id}/invitations/{invitation_id}/resend",
            "Mail an invitation again",
            resend,
        )
        .describe("The new mail has a new link; the old one opens nothing any more. At most one mail in ten minutes and ten in all.")
        .conflicts(&["invitation-not-pending", "mailed-recently", "too-many-mails"])
        .permission("create_modify_member");
    group
        .op(
            "revoke_workspace_invitation",
            Delete,
            "/workspaces/{workspace_id}/invitations/{invitation_id}",
            "Take an invitation back",
            revoke,
        )
        .conflicts(&["invitation-not-pending"])
        .permission("create_modify_member");
}

#[derive(Debug, Deserialize, IntoParams)]
struct WorkspaceInvitationPath {
    /// The workspace.
    workspace_id: Uuid,
    /// The invitation.
    invitation_id: Uuid,
}

/// People to invite into a workspace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWorkspaceInvitations)]
struct NewWorkspaceInvitations {
    /// Who, 1 to 50.
    #[schema(min_items = 1, max_items = 50)]
    invitations: Vec<NewWorkspaceInvitation>,
}

/// Somebody to invite into a workspace, by `email` or by `username`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWorkspaceInvitation)]
struct NewWorkspaceInvitation {
    /// Address.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 254, example = "charles@example.org")]
    email: Option<Email>,
    /// Handle.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 50)]
    username: Option<Username>,
    /// As what.
    role: WorkspaceRoleView,
}

/// Another role for an invitation into a workspace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkspaceInvitationPatch)]
struct WorkspaceInvitationPatch {
    /// As what.
    role: WorkspaceRoleView,
}

async fn list(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspacePath>,
    Query(query): Query<InvitationQuery>,
    Query(paging): Query<Paging>,
) -> Result<Page<InvitationView>, Problem> {
    let page = paging.page(&ctx, "invitations")?;
    let (place, count) = (Place::Workspace(p.workspace_id.into()), paging.wants_count());
    let (items, total) = invitations::list(&ctx, &caller, place, query.status(), page, count).await?;
    Ok(paging::answer(&ctx, "invitations", items)?.with_total(total))
}

async fn create(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspacePath>,
    Body(new): Body<NewWorkspaceInvitations>,
) -> Result<Plain<InvitedView>, Problem> {
    let place = Place::Workspace(p.workspace_id.into());
    let wishes = new.invitations.into_iter().enumerate();
    let wishes = wishes
        .map(|(n, i)| invitation(n, i.email, i.username, GivenRole::Workspace(i.role.0)))
        .collect::<tenon_core::Result<_>>()?;
    Ok(Plain(invitations::create(&ctx, &caller, place, wishes).await?.into()))
}

async fn get(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspaceInvitationPath>,
) -> Result<Json<InvitationView>, Problem> {
    let place = Place::Workspace(p.workspace_id.into());
    Ok(Json(invitations::get(&ctx, &caller, place, p.invitation_id.into()).await?.into()))
}

async fn update(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspaceInvitationPath>,
    seen: IfMatch,
    Patch(patch): Patch<WorkspaceInvitationPatch>,
) -> Result<Json<InvitationView>, Problem> {
    let (place, id) = (Place::Workspace(p.workspace_id.into()), p.invitation_id.into());
    let given = GivenRole::Workspace(patch.role.0);
    Ok(Json(invitations::change_role(&ctx, &caller, place, id, seen.version(), given).await?.into()))
}

async fn resend(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspaceInvitationPath>,
) -> Result<Json<InvitationView>, Problem> {
    let place = Place::Workspace(p.workspace_id.into());
    Ok(Json(invitations::resend(&ctx, &caller, place, p.invitation_id.into()).await?.into()))
}

async fn revoke(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspaceInvitationPath>,
    seen: IfMatch,
) -> Result<NoContent, Problem> {
    let (place, id) = (Place::Workspace(p.workspace_id.into()), p.invitation_id.into());
    invitations::revoke(&ctx, &caller, place, id, seen.version()).await?;
    Ok(NoContent)
}
