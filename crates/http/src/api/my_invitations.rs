//! Invitations as those see them who are invited.

use serde::{Deserialize, Serialize};
use tenon_app::my_invitations;
use tenon_core::{invitations::Preview, secrets::Secret, tokens::Scope};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::invitations::InvitationView;
use crate::{
    endpoint::{
        Api, Body, Caller, Correlation, Ctx, Json, NoContent, Page, Path, Plain, Query,
        methods::{Get, Post},
    },
    paging::{self, Paging},
    problem::Problem,
};

/// When a mailed link opens nothing.
const GONE: &str = "The link was used, has expired, was replaced by a newer one, or was never mailed.";

pub(super) fn mount(api: &mut Api) {
    let mut group = api
        .group("my invitations", "Invitations to you.")
        .scopes(Scope::ReadWorkspaces, Scope::WriteWorkspaces);
    group
        .op("list_my_invitations", Get, "/me/invitations", "Invitations that wait for your answer", list)
        .describe("Those to your handle and those to your verified address, oldest first.");
    group
        .op("accept_invitation", Post, "/me/invitations/{invitation_id}/accept", "Accept an invitation", accept)
        .describe(
            "An invitation into a project makes you a member of its workspace, too: as read-only member, or as what a pending invitation into the workspace says, \
             which is then accepted with it.",
        )
        .conflicts(&["invitation-not-pending", "invitation-withdrawn", "project-archived"]);
    group
        .op("deny_invitation", Post, "/me/invitations/{invitation_id}/deny", "Decline an invitation", deny)
        .conflicts(&["invitation-not-pending", "invitation-withdrawn"]);
    group
        .op("preview_invitation_link", Post, "/invitations/preview", "What a mailed link is about", preview)
        .describe("Anybody who holds the link may ask; it takes no account. Nothing changes.")
        .problem(404, GONE)
        .conflicts(&["invitation-withdrawn"])
        .proof();
    group
        .op(
            "accept_invitation_link",
            Post,
            "/invitations/accept",
            "Accept the invitation of a mailed link",
            accept_link,
        )
        .describe("The link works once. It proves that its address is yours to read, be it that of your account or not.")
        .problem(404, GONE)
        .conflicts(&["invitation-not-pending", "invitation-withdrawn", "invitation-of-another", "project-archived"])
        .proof();
    group
        .op(
            "deny_invitation_link",
            Post,
            "/invitations/deny",
            "Decline the invitation of a mailed link",
            deny_link,
        )
        .describe("It takes no account to say no.")
        .problem(404, GONE)
        .conflicts(&["invitation-withdrawn"])
        .proof();
}

/// What a mailed link is about.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InvitationPreview)]
pub(crate) struct PreviewView {
    /// `workspace` or `project`.
    #[schema(example = "project")]
    kind: &'static str,
    /// Name of the workspace or project.
    #[schema(example = "Punched cards")]
    place_name: String,
    /// Name of who invites; null once their account is gone.
    #[schema(example = "Ada Lovelace")]
    inviter: Option<String>,
}

impl From<Preview> for PreviewView {
    fn from(preview: Preview) -> Self {
        Self {
            kind: if preview.is_project { "project" } else { "workspace" },
            place_name: preview.place_name,
            inviter: preview.inviter,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
struct InvitationPath {
    /// The invitation.
    invitation_id: Uuid,
}

/// A mailed link to an invitation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InvitationLink)]
struct LinkBody {
    /// The last part of the link.
    #[schema(value_type = String, max_length = 200, example = "Hc0zq2bq8cXkq0Zl1m3tqk5v6yJxg2b0o4gDq8m1J5s")]
    token: Secret,
}

async fn list(
    ctx: Ctx,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Page<InvitationView>, Problem> {
    let page = paging.page(&ctx, "my-invitations")?;
    let (items, total) = my_invitations::list(&ctx, &caller, page, paging.wants_count()).await?;
    Ok(paging::answer(&ctx, "my-invitations", items)?.with_total(total))
}

async fn accept(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<InvitationPath>,
) -> Result<Json<InvitationView>, Problem> {
    Ok(Json(my_invitations::accept(&ctx, &caller, p.invitation_id.into()).await?.into()))
}

async fn deny(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<InvitationPath>,
) -> Result<Json<InvitationView>, Problem> {
    Ok(Json(my_invitations::deny(&ctx, &caller, p.invitation_id.into()).await?.into()))
}

async fn preview(ctx: Ctx, Body(link): Body<LinkBody>) -> Result<Plain<PreviewView>, Problem> {
    Ok(Plain(my_invitations::preview(&ctx, link.token.expose()).await?.into()))
}

async fn accept_link(
    ctx: Ctx,
    caller: Caller,
    Body(link): Body<LinkBody>,
) -> Result<Json<InvitationView>, Problem> {
    Ok(Json(my_invitations::accept_link(&ctx, &caller, link.token.expose()).await?.into()))
}

async fn deny_link(
    ctx: Ctx,
    correlation: Correlation,
    Body(link): Body<LinkBody>,
) -> Result<NoContent, Problem> {
    my_invitations::deny_link(&ctx, &correlation.0, link.token.expose()).await?;
    Ok(NoContent)
}
