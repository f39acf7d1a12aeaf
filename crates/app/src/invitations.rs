//! Invitations into workspaces and projects, as those see them who invite.
//!
//! An address is linked to an account only when the account has proved the address is its own. Whether it has is not
//! told to who invites.

use tenon_core::{
    Error, Result,
    callers::{Caller, Person},
    changes::{Change, Kind, Stream},
    emails::Email,
    ids::{InvitationId, UserId},
    invitations::{
        GivenRole, Invitation, InvitationStatus, Invited, InvitedTo, Invitee, MAX_PER_CALL, MAX_SENDS,
        NewInvitation, Place, PlaceRights, RefusedInvitation, link_ttl, resend_pause,
    },
    jobs::{LinkInvitations, MailAbout, SendMail},
    page::{Items, Page},
    permissions::{ProjectPermission, WorkspacePermission},
    roles::WorkspaceRole,
    users::Username,
};
use tenon_db::{
    Connection,
    invitations::{self as rows, Account, Stored},
    project_roles, projects, workspaces,
};
use uuid::Uuid;

use crate::{
    App, Keys, Tx,
    access::{self, ProjectAccess, WorkspaceAccess},
    crypto, policy,
    throttle::{self, MailRefusal},
    versions::refuse_stale,
};

/// Who invites, and what they may do in the place.
struct Host {
    person: Person,
    rights: PlaceRights,
}

impl Host {
    fn of_workspace(access: WorkspaceAccess) -> Result<Self> {
        access.allow(WorkspacePermission::CreateModifyMember)?;
        Ok(Self { rights: PlaceRights::Workspace(access.role), person: access.person })
    }
    fn of_project(access: ProjectAccess) -> Result<Self> {
        access.allow(ProjectPermission::CreateModifyMember)?;
        Ok(Self { rights: PlaceRights::Project(access.place.rights()), person: access.person })
    }
    async fn reading(app: &App, conn: &mut Connection, caller: &Caller, place: Place) -> Result<Self> {
        match place {
            Place::Workspace(id) => Self::of_workspace(access::workspace(app, conn, caller, id).await?),
            Place::Project(id) => Self::of_project(access::project(app, conn, caller, id).await?),
        }
    }
    async fn writing(tx: &mut Tx<'_>, caller: &Caller, place: Place) -> Result<Self> {
        match place {
            Place::Workspace(id) => Self::of_workspace(tx.workspace(caller, id).await?),
            Place::Project(id) => Self::of_project(tx.project(caller, id).await?),
        }
    }
}

/// Invitations into a place, oldest first; those of one status, or all; how many in all, when `count`.
pub async fn list(
    app: &App,
    caller: &Caller,
    place: Place,
    status: Option<InvitationStatus>,
    page: Page<Uuid>,
    count: bool,
) -> Result<(Items<Invitation, Uuid>, Option<i64>)> {
    let mut conn = app.read().await?;
    Host::reading(app, &mut conn, caller, place).await?;
    let rows = rows::into_place(&mut conn, place, status, &page).await?;
    let total = if count { Some(rows::count_into_place(&mut conn, place, status).await?) } else { None };
    Ok((Items::cut(rows, &page, |i| i.invitation.id.uuid()).map(|i| i.invitation), total))
}

/// One invitation into a place.
pub async fn get(app: &App, caller: &Caller, place: Place, id: InvitationId) -> Result<Invitation> {
    let mut conn = app.read().await?;
    Host::reading(app, &mut conn, caller, place).await?;
    Ok(find(&mut conn, place, id).await?.invitation)
}

/// Invites up to 50 people by address or handle.
///
/// Who is in already is counted and skipped; an invitation that is there already is opened again with the new role.
/// Each gets a mail unless one went out a moment ago. Who may not be mailed for now is not invited, and told why; when
/// that is everybody, nothing is done.
pub async fn create(app: &App, caller: &Caller, place: Place, new: Vec<NewInvitation>) -> Result<Invited> {
    if new.is_empty() || new.len() > MAX_PER_CALL {
        let detail = format!("Invite 1 to {MAX_PER_CALL} people at once.");
        return Err(Error::invalid("/invitations", "wrong-number", detail));
    }
    let (emails, handles) = sort(&new);
    let streams = {
        let mut conn = app.read().await?;
        Host::reading(app, &mut conn, caller, place).await?;
        let known = rows::accounts(&mut conn, &emails, &handles).await?;
        let mut streams = vec![place.stream()];
        streams.extend(known.iter().map(|a| Stream::Person(a.person.id)));
        streams
    };
    app.write(&streams, &caller.correlation_id, async |tx| {
        let host = Host::writing(tx, caller, place).await?;
        let blank = blank(tx, &host, place).await?;
        let accounts = rows::accounts(tx.conn(), &emails, &handles).await?;
        let people: Vec<UserId> = accounts.iter().map(|a| a.person.id).collect();
        let members = rows::members_among(tx.conn(), place, &people).await?;
        let existing = rows::among(tx.conn(), place, &emails_of(&emails, &accounts), &people).await?;
        let mut result =
            Invited { invitations: vec![], already_members: 0, unknown: vec![], refused: vec![] };
        let mut first_refusal = None;
        let mut saved: Vec<Stored> = vec![];
        for (index, wish) in new.iter().enumerate() {
            let (to, role_slug) = role(tx.conn(), &host, place, wish.role, index).await?;
            let account = accounts.iter().find(|a| is_for(&wish.invitee, a));
            let email = match (&wish.invitee, account) {
                (Invitee::Email(email), _) => email.clone(),
                (Invitee::Username(_), Some(account)) => account.email.clone(),
                (Invitee::Username(handle), None) => {
                    result.unknown.push(handle.as_str().to_owned());
                    continue;
                }
            };
            if account.is_some_and(|a| members.contains(&a.person.id)) {
                result.already_members += 1;
                continue;
            }
            if saved.iter().any(|s| s.email == email) {
                continue;
            }
            let old = existing.iter().find(|s| s.email == email).or_else(|| {
                existing.iter().find(|s| s.user_id.is_some() && s.user_id == account.map(|a| a.person.id))
            });
            let mut stored = old.cloned().unwrap_or_else(|| Stored {
                invitation: Invitation { id: app.id(), ..blank.invitation.clone() },
                ..blank.clone()
            });
            reopen(&mut stored, &host, to, role_slug);
            address(&mut stored, email, account, matches!(wish.invitee, Invitee::Username(_)));
            let is_mailed = may_send(&stored.invitation, tx.now()).is_ok();
            if is_mailed
                && let Err(refusal) = may_mail(tx, &host, &stored, account.map(|a| a.person.id)).await?
            {
                result.refused.push(refused(&wish.invitee, &refusal));
                first_refusal.get_or_insert(refusal);
                continue;
            }
            follow_up(tx, &mut stored, account, old)?;
            if is_mailed {
                send(tx, &mut stored, &host.person)?;
            }
            tx.record(place.stream(), change(&stored.invitation, old.is_none()))?;
            saved.push(stored);
        }
        if let Some(refusal) = first_refusal.filter(|_| result.refused.len() == new.len()) {
            return Err(refusal.into());
        }
        rows::save(tx.conn(), &saved).await?;
        result.invitations = saved.into_iter().map(|s| s.invitation).collect();
        Ok(result)
    })
    .await
}

/// Mails an invitation again, with a new link; the old one opens nothing any more.
pub async fn resend(app: &App, caller: &Caller, place: Place, id: InvitationId) -> Result<Invitation> {
    app.write(&[place.stream()], &caller.correlation_id, async |tx| {
        let host = Host::writing(tx, caller, place).await?;
        let mut stored = find(tx.conn(), place, id).await?;
        refuse_answered(&stored.invitation)?;
        may_send(&stored.invitation, tx.now())?;
        let known = stored.user_id;
        may_mail(tx, &host, &stored, known).await??;
        stored.invitation.version += 1;
        send(tx, &mut stored, &host.person)?;
        update(tx, stored).await
    })
    .await
}

/// Takes an invitation back; one that was taken back stays so.
pub async fn revoke(
    app: &App,
    caller: &Caller,
    place: Place,
    id: InvitationId,
    expected: Option<i64>,
) -> Result<()> {
    app.write(&[place.stream()], &caller.correlation_id, async |tx| {
        Host::writing(tx, caller, place).await?;
        let mut stored = find(tx.conn(), place, id).await?;
        refuse_stale("invitation", expected, stored.invitation.version, &stored.invitation)?;
        if stored.invitation.status == InvitationStatus::Revoked {
            return Ok(());
        }
        refuse_answered(&stored.invitation)?;
        stored.invitation.status = InvitationStatus::Revoked;
        stored.invitation.version += 1;
        update(tx, stored).await?;
        Ok(())
    })
    .await
}

/// Changes the role that a pending invitation gives. From then on it is the caller's, as is what it gives.
pub async fn change_role(
    app: &App,
    caller: &Caller,
    place: Place,
    id: InvitationId,
    expected: Option<i64>,
    given: GivenRole,
) -> Result<Invitation> {
    app.write(&[place.stream()], &caller.correlation_id, async |tx| {
        let host = Host::writing(tx, caller, place).await?;
        let mut stored = find(tx.conn(), place, id).await?;
        refuse_stale("invitation", expected, stored.invitation.version, &stored.invitation)?;
        refuse_answered(&stored.invitation)?;
        let (to, role_slug) = role(tx.conn(), &host, place, given, 0).await?;
        if to == stored.invitation.to {
            return Ok(stored.invitation);
        }
        stored.invitation.to = to;
        stored.invitation.role_slug = role_slug;
        stored.invitation.invited_by = Some(host.person.as_ref());
        stored.invitation.version += 1;
        update(tx, stored).await
    })
    .await
}

/// The token of a mailed link: derived, so that neither the row nor the mail's job holds it.
pub fn token(keys: &Keys, invitation: InvitationId, send: i32) -> String {
    keys.derive("invitation", &[invitation.uuid().as_bytes(), &send.to_be_bytes()])
}

/// The invitation was taken back, or its sender may no longer send it.
pub(crate) fn withdrawn() -> Error {
    Error::conflict(
        "invitation-withdrawn",
        "This invitation is no longer good: it was taken back, or who sent it may no longer invite people there. Ask \
         for a new one.",
    )
}

/// Tells the place's log that an invitation changed.
pub(crate) fn record_update(tx: &mut Tx<'_>, invitation: &Invitation) -> Result<()> {
    tx.record(invitation.to.place().stream(), change(invitation, false))
}

fn change(invitation: &Invitation, is_new: bool) -> Change {
    let kind = match (invitation.to.place(), is_new) {
        (Place::Workspace(_), true) => Kind::WorkspaceInvitationCreated,
        (Place::Workspace(_), false) => Kind::WorkspaceInvitationUpdated,
        (Place::Project(_), true) => Kind::InvitationCreated,
        (Place::Project(_), false) => Kind::InvitationUpdated,
    };
    Change::new(kind, invitation.id, invitation)
}

async fn update(tx: &mut Tx<'_>, stored: Stored) -> Result<Invitation> {
    rows::save(tx.conn(), std::slice::from_ref(&stored)).await?;
    record_update(tx, &stored.invitation)?;
    Ok(stored.invitation)
}

async fn find(conn: &mut Connection, place: Place, id: InvitationId) -> Result<Stored> {
    let found = rows::find(conn, id).await?.filter(|s| s.invitation.to.place() == place);
    found.ok_or(Error::NotFound("invitation"))
}

fn refuse_answered(invitation: &Invitation) -> Result<()> {
    if invitation.status == InvitationStatus::Pending {
        Ok(())
    } else {
        Err(Error::conflict(
            "invitation-not-pending",
            "This invitation was answered or taken back. Invite the person anew.",
        ))
    }
}

/// Addresses and handles, apart.
fn sort(new: &[NewInvitation]) -> (Vec<Email>, Vec<Username>) {
    let (mut emails, mut handles) = (vec![], vec![]);
    for wish in new {
        match &wish.invitee {
            Invitee::Email(email) => emails.push(email.clone()),
            Invitee::Username(handle) => handles.push(handle.clone()),
        }
    }
    (emails, handles)
}

fn emails_of(emails: &[Email], accounts: &[Account]) -> Vec<Email> {
    emails.iter().chain(accounts.iter().map(|a| &a.email)).cloned().collect()
}

fn is_for(invitee: &Invitee, account: &Account) -> bool {
    match invitee {
        Invitee::Email(email) => account.email == *email,
        Invitee::Username(handle) => account.person.username == handle.as_str(),
    }
}

/// What a given role means in a place. Nobody invites to more than they hold.
async fn role(
    conn: &mut Connection,
    host: &Host,
    place: Place,
    given: GivenRole,
    index: usize,
) -> Result<(InvitedTo, String)> {
    let unknown = || {
        Error::invalid(
            format!("/invitations/{index}/role_id"),
            "unknown-role",
            "There is no such role in this project.",
        )
    };
    match (place, given) {
        (Place::Workspace(workspace_id), GivenRole::Workspace(role)) => {
            policy::may_invite(host.rights, PlaceRights::Workspace(role))?;
            Ok((InvitedTo::Workspace { workspace_id, role }, role.as_str().to_owned()))
        }
        (Place::Project(project_id), GivenRole::Project(role_id)) => {
            let role = project_roles::find(conn, project_id, role_id).await?.ok_or_else(unknown)?;
            policy::may_invite(host.rights, PlaceRights::Project(role.rights()))?;
            let project = projects::find(conn, project_id).await?.ok_or(Error::NotFound("project"))?;
            let workspace_id = project.workspace_id;
            Ok((InvitedTo::Project { workspace_id, project_id, role_id }, role.slug))
        }
        _ => Err(unknown()),
    }
}

/// An invitation into a place, not yet to anybody.
async fn blank(tx: &mut Tx<'_>, host: &Host, place: Place) -> Result<Stored> {
    let (workspace_id, project) = match place {
        Place::Workspace(id) => (id, None),
        Place::Project(id) => {
            let project = projects::find(tx.conn(), id).await?.ok_or(Error::NotFound("project"))?;
            (project.workspace_id, Some(project.name.as_str().to_owned()))
        }
    };
    let workspace = workspaces::find(tx.conn(), workspace_id).await?.ok_or(Error::NotFound("workspace"))?;
    let workspace_name = workspace.name.as_str().to_owned();
    Ok(Stored {
        invitation: Invitation {
            id: Uuid::nil().into(),
            // Overwritten with what is wished before anybody sees it.
            to: InvitedTo::Workspace { workspace_id, role: WorkspaceRole::ReadonlyMember },
            place_name: project.unwrap_or_else(|| workspace_name.clone()),
            role_slug: String::new(),
            email: None,
            user: None,
            status: InvitationStatus::Pending,
            invited_by: Some(host.person.as_ref()),
            sent_count: 0,
            last_sent_at: None,
            created_at: tx.now(),
            version: 0,
        },
        email: Email::parse("nobody@invalid").map_err(Error::internal)?,
        user_id: None,
        workspace_name,
        receiver: None,
        link: None,
    })
}

fn reopen(stored: &mut Stored, host: &Host, to: InvitedTo, role_slug: String) {
    let invitation = &mut stored.invitation;
    if invitation.status == InvitationStatus::Revoked {
        // The link of what was withdrawn does not come back with it.
        stored.link = None;
    }
    if invitation.status == InvitationStatus::Accepted {
        // Came, and went again: this is a new invitation, with a new budget of mails.
        invitation.sent_count = 0;
    }
    invitation.to = to;
    invitation.role_slug = role_slug;
    invitation.status = InvitationStatus::Pending;
    invitation.invited_by = Some(host.person.as_ref());
    invitation.version += 1;
}

fn address(stored: &mut Stored, email: Email, account: Option<&Account>, by_handle: bool) {
    stored.invitation.email = (!by_handle).then(|| email.clone());
    stored.invitation.user = account.filter(|_| by_handle).map(|a| a.person.clone());
    stored.receiver = account.map(|a| (a.person.full_name.clone(), a.lang));
    stored.email = email;
}

/// Links the invitation to a known account and tells the account's log, unless that knows already. An account whose log
/// this write does not hold, as it became known a moment ago, is told by a job.
fn follow_up(
    tx: &mut Tx<'_>,
    stored: &mut Stored,
    account: Option<&Account>,
    old: Option<&Stored>,
) -> Result<()> {
    let Some(account) = account else {
        stored.user_id = None;
        return Ok(());
    };
    let person = account.person.id;
    if !tx.holds(&[Stream::Person(person)]) {
        stored.user_id = None;
        return tx.enqueue(&LinkInvitations { user_id: person });
    }
    stored.user_id = Some(person);
    let knows = old.is_some_and(|o| {
        o.user_id == Some(person)
            && o.invitation.status == InvitationStatus::Pending
            && o.invitation.to == stored.invitation.to
    });
    if knows {
        return Ok(());
    }
    let change = Change::new(Kind::InvitationReceived, stored.invitation.id, &stored.invitation);
    tx.record(Stream::Person(person), change)
}

fn may_send(invitation: &Invitation, now: tenon_core::Time) -> Result<()> {
    if invitation.sent_count >= MAX_SENDS {
        return Err(Error::conflict(
            "too-many-mails",
            format!("{MAX_SENDS} mails have gone out about this invitation. There will be no more."),
        ));
    }
    if invitation.last_sent_at.is_some_and(|at| at + resend_pause() > now) {
        return Err(Error::conflict(
            "mailed-recently",
            "A mail about this invitation has just gone out. Wait ten minutes before the next.",
        ));
    }
    Ok(())
}

/// Whether the mail may go out. One to a member of the workspace is none to a stranger.
async fn may_mail(
    tx: &mut Tx<'_>,
    host: &Host,
    stored: &Stored,
    account: Option<UserId>,
) -> Result<Result<(), MailRefusal>> {
    let workspace = Place::Workspace(stored.invitation.to.workspace_id());
    if let Some(person) = account
        && !rows::members_among(tx.conn(), workspace, &[person]).await?.is_empty()
    {
        return Ok(Ok(()));
    }
    throttle::may_mail_stranger(tx, host.person.id, &stored.email).await
}

fn refused(invitee: &Invitee, refusal: &MailRefusal) -> RefusedInvitation {
    let invitee = match invitee {
        Invitee::Email(email) => email.as_str().to_owned(),
        Invitee::Username(handle) => handle.as_str().to_owned(),
    };
    RefusedInvitation { invitee, code: refusal.code, detail: refusal.detail.clone() }
}

/// Enqueues the next mail and makes its link the one that opens.
fn send(tx: &mut Tx<'_>, stored: &mut Stored, inviter: &Person) -> Result<()> {
    let invitation = &mut stored.invitation;
    invitation.sent_count += 1;
    invitation.last_sent_at = Some(tx.now());
    let (id, send) = (invitation.id, invitation.sent_count);
    let hash = crypto::hash_token(&token(&tx.app().keys, id, send));
    stored.link = Some((hash, tx.now() + link_ttl()));
    tx.enqueue(&SendMail::About(MailAbout::Invitation { invitation: id, send, lang: inviter.lang }))
}
