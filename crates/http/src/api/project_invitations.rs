//! Invitations into projects.

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
    workflows::ProjectPath,
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
        .group("project invitations", "Invitations into a project.")
        .scopes(Scope::ReadProjects, Scope::WriteProjects);
    group
        .op(
            "list_project_invitations",
            Get,
            "/projects/{project_id}/invitations",
            "Invitations into a project",
            list,
        )
        .describe("Oldest first.")
        .permission("create_modify_member");
    group
        .op(
            "create_project_invitations",
            Post,
            "/projects/{project_id}/invitations",
            "Invite people into a project",
            create,
        )
        .describe(
            "Up to 50 at once, each by address or by handle. Who is in already is counted and skipped; an invitation that is there already is opened \
             again with the new role. Each gets a mail with a link that works once and for four days, but at most one mail in ten minutes and ten in all. \
             Only owners invite owners. Who accepts becomes a member of the workspace, too.",
        )
        .permission("create_modify_member");
    group
        .op(
            "get_project_invitation",
            Get,
            "/projects/{project_id}/invitations/{invitation_id}",
            "An invitation into a project",
            get,
        )
        .permission("create_modify_member");
    group
        .op(
            "update_project_invitation",
            PatchMethod,
            "/projects/{project_id}/invitations/{invitation_id}",
            "Change the role an invitation gives",
            update,
        )
        .describe("Only while it is pending. Only owners invite owners.")
        .conflicts(&["invitation-not-pending"])
        .permission("create_modify_member");
    group
        .op(
            "resend_project_invitation",
            Post,
            "/projects/{project_id}/invitations/{invitation_id}/resend",
            "Mail an invitation again",
            resend,
        )
        .describe("The new mail has a new link; the old one opens nothing any more. At most one mail in ten minutes and ten in all.")
        .conflicts(&["invitation-not-pending", "mailed-recently", "too-many-mails"])
        .permission("create_modify_member");
    group
        .op(
            "revoke_project_invitation",
            Delete,
            "/projects/{project_id}/invitations/{invitation_id}",
            "Take an invitation back",
            revoke,
        )
        .conflicts(&["invitation-not-pending"])
        .permission("create_modify_member");
}

#[derive(Debug, Deserialize, IntoParams)]
struct ProjectInvitationPath {
    /// The project.
    project_id: Uuid,
    /// The invitation.
    invitation_id: Uuid,
}

/// People to invite into a project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProjectInvitations)]
struct NewProjectInvitations {
    /// Who, 1 to 50.
    #[schema(min_items = 1, max_items = 50)]
    invitations: Vec<NewProjectInvitation>,
}

/// Somebody to invite into a project, by `email` or by `username`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProjectInvitation)]
struct NewProjectInvitation {
    /// Address.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 254, example = "charles@example.org")]
    email: Option<Email>,
    /// Handle.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 50)]
    username: Option<Username>,
    /// As what.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0d01")]
    role_id: Uuid,
}

/// Another role for an invitation into a project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProjectInvitationPatch)]
struct ProjectInvitationPatch {
    /// As what.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0d01")]
    role_id: Uuid,
}

async fn list(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
    Query(query): Query<InvitationQuery>,
    Query(paging): Query<Paging>,
) -> Result<Page<InvitationView>, Problem> {
    let page = paging.page(&ctx, "invitations")?;
    let (place, count) = (Place::Project(p.project_id.into()), paging.wants_count());
    let (items, total) = invitations::list(&ctx, &caller, place, query.status(), page, count).await?;
    Ok(paging::answer(&ctx, "invitations", items)?.with_total(total))
}

async fn create(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
    Body(new): Body<NewProjectInvitations>,
) -> Result<Plain<InvitedView>, Problem> {
    let place = Place::Project(p.project_id.into());
    let wishes = new.invitations.into_iter().enumerate();
    let wishes = wishes
        .map(|(n, i)| invitation(n, i.email, i.username, GivenRole::Project(i.role_id.into())))
        .collect::<tenon_core::Result<_>>()?;
    Ok(Plain(invitations::create(&ctx, &caller, place, wishes).await?.into()))
}

async fn get(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectInvitationPath>,
) -> Result<Json<InvitationView>, Problem> {
    let place = Place::Project(p.project_id.into());
    Ok(Json(invitations::get(&ctx, &caller, place, p.invitation_id.into()).await?.into()))
}

async fn update(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectInvitationPath>,
    seen: IfMatch,
    Patch(patch): Patch<ProjectInvitationPatch>,
) -> Result<Json<InvitationView>, Problem> {
    let (place, id) = (Place::Project(p.project_id.into()), p.invitation_id.into());
    let given = GivenRole::Project(patch.role_id.into());
    Ok(Json(invitations::change_role(&ctx, &caller, place, id, seen.version(), given).await?.into()))
}

async fn resend(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectInvitationPath>,
) -> Result<Json<InvitationView>, Problem> {
    let place = Place::Project(p.project_id.into());
    Ok(Json(invitations::resend(&ctx, &caller, place, p.invitation_id.into()).await?.into()))
}

async fn revoke(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectInvitationPath>,
    seen: IfMatch,
) -> Result<NoContent, Problem> {
    let (place, id) = (Place::Project(p.project_id.into()), p.invitation_id.into());
    invitations::revoke(&ctx, &caller, place, id, seen.version()).await?;
    Ok(NoContent)
}
