//! What invitations into workspaces and projects have in common.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenon_app::invitations;
use tenon_core::{
    Error, Result,
    emails::Email,
    ids::InvitationId,
    invitations::{
        GivenRole, Invitation, InvitationStatus, Invited, Invitee, NewInvitation, Place, RefusedInvitation,
    },
    users::Username,
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    endpoint::{Body, Caller, Ctx, IfMatch, Json, NoContent, Page, Patch, Path, Plain, Query, Versioned},
    paging::{self, Paging},
    problem::Problem,
    views::AuthorView,
};

/// A path that names a workspace or a project.
pub(super) trait PlacePath {
    /// Which.
    fn place(&self) -> Place;
}

/// A path that names an invitation into a workspace or a project.
pub(super) trait InvitationPath {
    /// Which, and where.
    fn invitation(&self) -> (Place, InvitationId);
}

/// A body that names people to invite.
pub(super) trait InvitationsBody {
    /// Who, and as what.
    fn wishes(self) -> Result<Vec<NewInvitation>>;
}

/// A body that names another role for an invitation.
pub(super) trait RoleBody {
    /// Which.
    fn role(&self) -> GivenRole;
    /// The version that the caller has seen, if it says so.
    fn version(&self) -> Option<i64>;
}

pub(super) async fn list<P: PlacePath>(
    ctx: Ctx,
    caller: Caller,
    Path(path): Path<P>,
    Query(query): Query<InvitationQuery>,
    Query(paging): Query<Paging>,
) -> Result<Page<InvitationView>, Problem> {
    let (page, count) = (paging.page(&ctx, "invitations")?, paging.wants_count());
    let (items, total) = invitations::list(&ctx, &caller, path.place(), query.status(), page, count).await?;
    Ok(paging::answer(&ctx, "invitations", items)?.with_total(total))
}

pub(super) async fn create<P: PlacePath, B: InvitationsBody>(
    ctx: Ctx,
    caller: Caller,
    Path(path): Path<P>,
    Body(new): Body<B>,
) -> Result<Plain<InvitedView>, Problem> {
    Ok(Plain(invitations::create(&ctx, &caller, path.place(), new.wishes()?).await?.into()))
}

pub(super) async fn get<P: InvitationPath>(
    ctx: Ctx,
    caller: Caller,
    Path(path): Path<P>,
) -> Result<Json<InvitationView>, Problem> {
    let (place, id) = path.invitation();
    Ok(Json(invitations::get(&ctx, &caller, place, id).await?.into()))
}

pub(super) async fn update<P: InvitationPath, B: RoleBody>(
    ctx: Ctx,
    caller: Caller,
    Path(path): Path<P>,
    seen: IfMatch,
    Patch(wish): Patch<B>,
) -> Result<Json<InvitationView>, Problem> {
    let (place, id) = path.invitation();
    Ok(Json(
        invitations::change_role(&ctx, &caller, place, id, seen.or(wish.version()), wish.role())
            .await?
            .into(),
    ))
}

pub(super) async fn resend<P: InvitationPath>(
    ctx: Ctx,
    caller: Caller,
    Path(path): Path<P>,
) -> Result<Json<InvitationView>, Problem> {
    let (place, id) = path.invitation();
    Ok(Json(invitations::resend(&ctx, &caller, place, id).await?.into()))
}

pub(super) async fn revoke<P: InvitationPath>(
    ctx: Ctx,
    caller: Caller,
    Path(path): Path<P>,
    seen: IfMatch,
) -> Result<NoContent, Problem> {
    let (place, id) = path.invitation();
    invitations::revoke(&ctx, &caller, place, id, seen.version()).await?;
    Ok(NoContent)
}

/// An invitation into a workspace or a project.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Invitation)]
pub(crate) struct InvitationView {
    /// Id.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0e01")]
    id: Uuid,
    /// `workspace` or `project`.
    #[schema(example = "project")]
    kind: &'static str,
    /// The workspace, or that of the project.
    workspace_id: Uuid,
    /// The project; null when it opens a workspace.
    project_id: Option<Uuid>,
    /// Name of the workspace or project.
    #[schema(example = "Punched cards")]
    place_name: String,
    /// Stable word of the role it gives.
    #[schema(example = "member")]
    role: String,
    /// The role it gives; null when it opens a workspace.
    role_id: Option<Uuid>,
    /// The address invited; null for somebody invited by handle.
    #[schema(example = "charles@example.org")]
    email: Option<String>,
    /// Who was invited by handle; null for an address.
    user_id: Option<Uuid>,
    /// The handle invited; null for an address.
    #[schema(example = "charles")]
    username: Option<String>,
    /// Where it stands.
    status: InvitationStatusView,
    /// Who invited.
    invited_by: AuthorView,
    /// Mails sent about it.
    #[schema(example = 1)]
    sent_count: i32,
    /// Latest mail.
    last_sent_at: Option<DateTime<Utc>>,
    /// Made at.
    created_at: DateTime<Utc>,
    /// Increases with every change.
    version: i64,
}

impl From<Invitation> for InvitationView {
    fn from(i: Invitation) -> Self {
        Self {
            id: i.id.uuid(),
            kind: i.to.kind(),
            workspace_id: i.to.workspace_id().uuid(),
            project_id: i.to.project_id().map(Uuid::from),
            place_name: i.place_name,
            role: i.role_slug,
            role_id: i.to.role_id().map(Uuid::from),
            email: i.email.map(String::from),
            user_id: i.user.as_ref().map(|u| u.id.uuid()),
            username: i.user.map(|u| u.username),
            status: i.status.into(),
            invited_by: i.invited_by.into(),
            sent_count: i.sent_count,
            last_sent_at: i.last_sent_at,
            created_at: i.created_at,
            version: i.version,
        }
    }
}

impl Versioned for InvitationView {
    fn version(&self) -> i64 {
        self.version
    }
}

/// Where an invitation stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = InvitationStatus)]
pub(crate) enum InvitationStatusView {
    /// Waiting for an answer.
    Pending,
    /// Answered with yes.
    Accepted,
    /// Taken back.
    Revoked,
    /// Answered with no.
    Denied,
}

impl From<InvitationStatus> for InvitationStatusView {
    fn from(status: InvitationStatus) -> Self {
        match status {
            InvitationStatus::Pending => Self::Pending,
            InvitationStatus::Accepted => Self::Accepted,
            InvitationStatus::Revoked => Self::Revoked,
            InvitationStatus::Denied => Self::Denied,
        }
    }
}

impl From<InvitationStatusView> for InvitationStatus {
    fn from(status: InvitationStatusView) -> Self {
        match status {
            InvitationStatusView::Pending => Self::Pending,
            InvitationStatusView::Accepted => Self::Accepted,
            InvitationStatusView::Revoked => Self::Revoked,
            InvitationStatusView::Denied => Self::Denied,
        }
    }
}

/// What became of inviting many at once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Invited)]
pub(crate) struct InvitedView {
    /// New invitations, and old ones opened again.
    invitations: Vec<InvitationView>,
    /// How many of them are in already.
    #[schema(example = 1)]
    already_members: usize,
    /// Handles that nobody has.
    #[schema(example = json!(["babage"]))]
    unknown_usernames: Vec<String>,
    /// People who were not invited, since a limit of mails to people who are not members was reached.
    refused: Vec<RefusedView>,
}

/// Somebody who was not invited.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RefusedInvitation)]
pub(crate) struct RefusedView {
    /// Address or handle, as it was given.
    #[schema(example = "charles@example.org")]
    invitee: String,
    /// A stable kebab-case word: `mail-limit-sender`, `mail-limit-instance` or `mail-limit-recipient`.
    #[schema(example = "mail-limit-recipient")]
    code: String,
    /// A sentence that says why, and when to try again.
    #[schema(
        example = "This address gets 5 mails in 24 hours of this kind, from all workspaces together. Try again in 3 hours."
    )]
    detail: String,
}

impl From<RefusedInvitation> for RefusedView {
    fn from(RefusedInvitation { invitee, code, detail }: RefusedInvitation) -> Self {
        Self { invitee, code: code.to_owned(), detail }
    }
}

impl From<Invited> for InvitedView {
    fn from(invited: Invited) -> Self {
        Self {
            invitations: invited.invitations.into_iter().map(Into::into).collect(),
            already_members: invited.already_members,
            unknown_usernames: invited.unknown,
            refused: invited.refused.into_iter().map(Into::into).collect(),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct InvitationQuery {
    /// Only those that stand so.
    #[param(inline)]
    status: Option<InvitationStatusView>,
}

impl InvitationQuery {
    pub(super) fn status(&self) -> Option<InvitationStatus> {
        self.status.map(Into::into)
    }
}

/// Who is invited: by address or by handle, one of the two.
pub(super) fn invitation(
    index: usize,
    email: Option<Email>,
    username: Option<Username>,
    role: GivenRole,
) -> Result<NewInvitation> {
    let invitee = match (email, username) {
        (Some(email), None) => Invitee::Email(email),
        (None, Some(username)) => Invitee::Username(username),
        _ => {
            return Err(Error::invalid(
                format!("/invitations/{index}"),
                "email-or-username",
                "must name either an email or a username",
            ));
        }
    };
    Ok(NewInvitation { invitee, role })
}
