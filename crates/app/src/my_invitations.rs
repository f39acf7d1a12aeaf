//! Invitations as those see them who are invited.
//!
//! An invitation is a person's own when it is linked to their account, when it goes to their verified address, or when
//! they hold the link that was mailed.

use tenon_core::{
    Error, Result,
    callers::Caller,
    changes::Stream,
    ids::{InvitationId, UserId},
    invitations::{Invitation, InvitationStatus, InvitedTo, Preview},
    page::{Items, Page},
    roles::WorkspaceRole,
    secrets::TokenHash,
};
use tenon_db::{
    Connection,
    invitations::{self as rows, Stored},
    project_members, projects, workspace_members, workspaces,
};
use uuid::Uuid;

use crate::{
    App, Tx, access, crypto, delegations,
    invitations::{record_update, withdrawn},
};

/// The caller's pending invitations, oldest first; how many, when `count`.
pub async fn list(
    app: &App,
    caller: &Caller,
    page: Page<Uuid>,
    count: bool,
) -> Result<(Items<Invitation, Uuid>, Option<i64>)> {
    let mut conn = app.read().await?;
    let person = access::person(app, &mut conn, caller).await?;
    let rows = rows::of_person(&mut conn, person.id, &page).await?;
    let total = if count { Some(rows::count_of_person(&mut conn, person.id).await?) } else { None };
    Ok((Items::cut(rows, &page, |i| i.invitation.id.uuid()).map(|i| i.invitation), total))
}

/// What the holder of a mailed link may know before answering.
pub async fn preview(app: &App, token: &str) -> Result<Preview> {
    let mut conn = app.read().await?;
    let stored = of_link(app, &mut conn, crypto::hash_token(token)).await?;
    delegations::refuse_unfounded(&mut conn, stored.invitation.id).await?;
    Ok(Preview {
        is_project: stored.invitation.to.project_id().is_some(),
        place_name: stored.invitation.place_name,
        inviter: stored.invitation.invited_by.map(|p| p.full_name),
    })
}

/// Accepts one of the caller's invitations.
pub async fn accept(app: &App, caller: &Caller, id: InvitationId) -> Result<Invitation> {
    let found = by_id(app, id).await?;
    answer(app, caller, &found, None, InvitationStatus::Accepted).await
}

/// Declines one of the caller's invitations.
pub async fn deny(app: &App, caller: &Caller, id: InvitationId) -> Result<Invitation> {
    let found = by_id(app, id).await?;
    answer(app, caller, &found, None, InvitationStatus::Denied).await
}

/// Accepts the invitation of a mailed link.
pub async fn accept_link(app: &App, caller: &Caller, token: &str) -> Result<Invitation> {
    let hash = crypto::hash_token(token);
    let found = of_link(app, &mut *app.read().await?, hash).await?;
    answer(app, caller, &found, Some(hash), InvitationStatus::Accepted).await
}

/// Declines the invitation of a mailed link. It takes no account to say no.
pub async fn deny_link(app: &App, correlation_id: &str, token: &str) -> Result<()> {
    let hash = crypto::hash_token(token);
    let found = of_link(app, &mut *app.read().await?, hash).await?;
    app.write(&[found.invitation.to.place().stream()], correlation_id, async |tx| {
        let stored = of_link(app, tx.conn(), hash).await?;
        settle(tx, stored, InvitationStatus::Denied).await?;
        Ok(())
    })
    .await
}

async fn by_id(app: &App, id: InvitationId) -> Result<Stored> {
    let mut conn = app.read().await?;
    rows::find(&mut conn, id).await?.ok_or(Error::NotFound("invitation"))
}

/// The pending invitation of a mailed link. Whoever holds the link of one that was withdrawn is told so.
async fn of_link(app: &App, conn: &mut Connection, hash: TokenHash) -> Result<Stored> {
    let stored = rows::of_link(conn, hash, app.now()).await?.ok_or(Error::NotFound("invitation"))?;
    refuse_ended(stored.invitation.status)?;
    Ok(stored)
}

fn refuse_ended(status: InvitationStatus) -> Result<()> {
    match status {
        InvitationStatus::Pending => Ok(()),
        InvitationStatus::Revoked => Err(withdrawn()),
        InvitationStatus::Accepted | InvitationStatus::Denied => {
            Err(Error::conflict("invitation-not-pending", "This invitation was answered already."))
        }
    }
}

async fn answer(
    app: &App,
    caller: &Caller,
    found: &Stored,
    link: Option<TokenHash>,
    status: InvitationStatus,
) -> Result<Invitation> {
    let me = access::person_id(app, caller).await?;
    let to = found.invitation.to;
    let mut streams = vec![Stream::Workspace(to.workspace_id()), Stream::Person(me)];
    streams.extend(to.project_id().map(Stream::Project));
    app.write(&streams, &caller.correlation_id, async |tx| {
        tx.person(caller).await?;
        let mut stored =
            rows::find(tx.conn(), found.invitation.id).await?.ok_or(Error::NotFound("invitation"))?;
        refuse_foreign(tx, &stored, me, link).await?;
        refuse_ended(stored.invitation.status)?;
        stored.user_id = Some(me);
        if status == InvitationStatus::Accepted {
            delegations::refuse_unfounded(tx.conn(), stored.invitation.id).await?;
            enter(tx, &stored, me).await?;
        }
        settle(tx, stored, status).await
    })
    .await
}

/// An invitation of somebody else does not exist, as far as the caller is concerned.
async fn refuse_foreign(tx: &mut Tx<'_>, stored: &Stored, me: UserId, link: Option<TokenHash>) -> Result<()> {
    let now = tx.now();
    let holds_link =
        link.is_some() && stored.link.is_some_and(|(hash, ends)| Some(hash) == link && ends > now);
    match stored.user_id {
        Some(user) if user == me => Ok(()),
        Some(_) if holds_link => Err(Error::conflict(
            "invitation-of-another",
            "This invitation is for another account. Sign in with that one.",
        )),
        None if holds_link || rows::has_address(tx.conn(), me, &stored.email).await? => Ok(()),
        _ => Err(Error::NotFound("invitation")),
    }
}

/// Makes the person a member of what they were invited to; of a project's workspace, too.
async fn enter(tx: &mut Tx<'_>, stored: &Stored, me: UserId) -> Result<()> {
    let id = stored.invitation.to.workspace_id();
    let workspace = workspaces::find(tx.conn(), id).await?.ok_or(Error::NotFound("invitation"))?;
    let is_member = workspace_members::find(tx.conn(), id, me).await?.is_some();
    match stored.invitation.to {
        InvitedTo::Workspace { role, .. } => {
            if !is_member {
                crate::workspace_members::join(tx, &workspace, me, role).await?;
            }
        }
        InvitedTo::Project { project_id, role_id, .. } => {
            if !is_member {
                let role = accept_workspace_too(tx, stored, me).await?;
                crate::workspace_members::join(tx, &workspace, me, role).await?;
            }
            if project_members::find(tx.conn(), project_id, me).await?.is_none() {
                let project =
                    projects::find(tx.conn(), project_id).await?.ok_or(Error::NotFound("invitation"))?;
                if project.archived_at.is_some() {
                    return Err(access::archived());
                }
                crate::project_members::join(tx, &project, me, role_id).await?;
            }
        }
    }
    Ok(())
}

/// The role in the workspace of a project that a person enters: that of a pending invitation into the workspace, which is
/// accepted with it; else the least.
async fn accept_workspace_too(tx: &mut Tx<'_>, stored: &Stored, me: UserId) -> Result<WorkspaceRole> {
    let pending = rows::of_person_in(tx.conn(), stored.invitation.to.workspace_id(), me).await?;
    let mut best = WorkspaceRole::ReadonlyMember;
    for other in pending {
        if let InvitedTo::Workspace { role, .. } = other.invitation.to
            && delegations::is_good(tx.conn(), other.invitation.id).await?
        {
            best = best.max(role);
            settle(tx, Stored { user_id: Some(me), ..other }, InvitationStatus::Accepted).await?;
        }
    }
    Ok(best)
}

async fn settle(tx: &mut Tx<'_>, mut stored: Stored, status: InvitationStatus) -> Result<Invitation> {
    stored.invitation.status = status;
    stored.invitation.version += 1;
    stored.link = None;
    rows::save(tx.conn(), std::slice::from_ref(&stored)).await?;
    record_update(tx, &stored.invitation)?;
    Ok(stored.invitation)
}
