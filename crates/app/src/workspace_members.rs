//! Members of workspaces.
//!
//! Whoever goes from a workspace goes from its projects too, in the same write; projects that they alone own pass to
//! an owner of the workspace. Which streams that touches is known only after a look, so the write is tried
//! again when somebody changed it in between.

use tenon_core::{
    Error, Result,
    callers::Caller,
    changes::{Change, Kind, Stream},
    ids::{UserId, WorkspaceId},
    invitations::InvitationStatus,
    members::{Left, MemberRemoved, WorkspaceMember, WorkspaceRoleChanged},
    page::{Items, Page, TimeKey},
    permissions::{Rights, WorkspacePermission as P},
    roles::WorkspaceRole,
};
use tenon_db::{
    Connection, invitations,
    project_members::{self, Held},
    project_roles, projects, workspace_members as rows,
};

use crate::{
    App, Tx, access,
    invitations::record_update,
    ownership, policy,
    project_members::make_owner,
    versions::refuse_stale,
    write::{ATTEMPTS, is_outdated, outdated},
};

/// The people of a workspace, in order of arrival; how many, when `count`.
pub async fn list(
    app: &App,
    caller: &Caller,
    workspace: WorkspaceId,
    page: Page<TimeKey>,
    count: bool,
) -> Result<(Items<WorkspaceMember, TimeKey>, Option<i64>)> {
    let mut conn = app.read().await?;
    access::workspace(app, &mut conn, caller, workspace).await?;
    let rows = rows::of_workspace(&mut conn, workspace, &page).await?;
    let total = if count { Some(rows::count(&mut conn, workspace).await?) } else { None };
    Ok((Items::cut(rows, &page, |m| (m.created_at, m.user.id.uuid())), total))
}

/// One person of a workspace.
pub async fn get(
    app: &App,
    caller: &Caller,
    workspace: WorkspaceId,
    person: UserId,
) -> Result<WorkspaceMember> {
    let mut conn = app.read().await?;
    access::workspace(app, &mut conn, caller, workspace).await?;
    find(&mut conn, workspace, person).await
}

/// Gives a person another role. Only owners touch owners or make one, and one owner stays.
pub async fn change_role(
    app: &App,
    caller: &Caller,
    workspace: WorkspaceId,
    person: UserId,
    expected: Option<i64>,
    role: WorkspaceRole,
) -> Result<WorkspaceMember> {
    let stream = Stream::Workspace(workspace);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.workspace(caller, workspace).await?;
        let member = find(tx.conn(), workspace, person).await?;
        access.allow(P::CreateModifyMember)?;
        policy::may_grant(access.role.rights(), member.role.rights(), role.rights())?;
        refuse_stale("member", expected, member.version, &member)?;
        if member.role == role {
            return Ok(member);
        }
        if member.role == WorkspaceRole::Owner {
            refuse_last_owner(tx.conn(), workspace, person).await?;
        }
        set_role(tx, workspace, person, role, member.role).await?;
        find(tx.conn(), workspace, person).await
    })
    .await
}

/// Takes a person out of a workspace and of all its projects, and takes their pending invitations back.
pub async fn remove(
    app: &App,
    caller: &Caller,
    workspace: WorkspaceId,
    person: UserId,
    expected: Option<i64>,
) -> Result<()> {
    let me = access::person_id(app, caller).await?;
    for _ in 0..ATTEMPTS {
        let streams = streams_of_parting(app, workspace, person, me).await?;
        let tried = app
            .write(&streams, &caller.correlation_id, async |tx| {
                let access = tx.workspace(caller, workspace).await?;
                let member = find(tx.conn(), workspace, person).await?;
                access.allow(P::DeleteMember)?;
                policy::may_grant(access.role.rights(), member.role.rights(), Rights::NONE)?;
                refuse_stale("member", expected, member.version, &member)?;
                if member.role == WorkspaceRole::Owner {
                    refuse_last_owner(tx.conn(), workspace, person).await?;
                }
                let acting = (access.role == WorkspaceRole::Owner && me != person).then_some(me);
                let heir = heir(tx.conn(), workspace, person, acting).await?;
                part(tx, workspace, person, heir).await
            })
            .await;
        if !is_outdated(&tried) {
            return tried;
        }
    }
    Err(outdated())
}

/// Leaves a workspace and all its projects. Its only owner names who owns it from then on.
pub async fn leave(
    app: &App,
    caller: &Caller,
    workspace: WorkspaceId,
    successor: Option<UserId>,
) -> Result<()> {
    let me = access::person_id(app, caller).await?;
    for _ in 0..ATTEMPTS {
        let streams = streams_of_parting(app, workspace, me, successor.unwrap_or(me)).await?;
        let tried = app
            .write(&streams, &caller.correlation_id, async |tx| {
                let access = tx.workspace(caller, workspace).await?;
                let mut heir_wanted = None;
                if access.role == WorkspaceRole::Owner && rows::owners(tx.conn(), workspace).await? == [me] {
                    let successor = successor.ok_or_else(|| {
                        Error::conflict(
                            "last-owner",
                            "You are the only owner. Name who owns the workspace after you.",
                        )
                    })?;
                    let found = if successor == me {
                        None
                    } else {
                        rows::find(tx.conn(), workspace, successor).await?
                    };
                    let found = found.ok_or_else(|| {
                        Error::invalid("/successor", "not-a-member", "This person is not in the workspace.")
                    })?;
                    ownership::active(tx.conn(), "/successor", successor).await?;
                    set_role(tx, workspace, successor, WorkspaceRole::Owner, found.role).await?;
                    heir_wanted = Some(successor);
                }
                let heir = heir(tx.conn(), workspace, me, heir_wanted).await?;
                part(tx, workspace, me, heir).await
            })
            .await;
        if !is_outdated(&tried) {
            return tried;
        }
    }
    Err(outdated())
}

/// Adds a person and tells the workspace's log and theirs.
pub(crate) async fn join(
    tx: &mut Tx<'_>,
    workspace: &tenon_core::workspaces::Workspace,
    person: UserId,
    role: WorkspaceRole,
) -> Result<()> {
    let now = tx.now();
    rows::insert(tx.conn(), workspace.id, person, role, now).await?;
    let member = find(tx.conn(), workspace.id, person).await?;
    tx.record(Stream::Workspace(workspace.id), Change::new(Kind::MemberAdded, person, member))?;
    tx.record(Stream::Person(person), Change::new(Kind::WorkspaceJoined, workspace.id, workspace))
}

/// Who gets what `person` alone owns: the one wanted, else the active owner who has been there longest; none while an
/// administrator has deactivated the only one.
async fn heir(
    conn: &mut Connection,
    workspace: WorkspaceId,
    person: UserId,
    wanted: Option<UserId>,
) -> Result<Option<UserId>> {
    if wanted.is_some() {
        return Ok(wanted);
    }
    let owners = rows::owners(conn, workspace).await?;
    Ok(owners.into_iter().find(|o| *o != person))
}

/// Every stream that parting may write to, with those of whoever may inherit.
async fn streams_of_parting(
    app: &App,
    workspace: WorkspaceId,
    person: UserId,
    me: UserId,
) -> Result<Vec<Stream>> {
    let mut conn = app.read().await?;
    let held = project_members::held(&mut conn, workspace, person).await?;
    let invited = invitations::of_person_in(&mut conn, workspace, person).await?;
    let owners = rows::owners(&mut conn, workspace).await?;
    let heir = owners.into_iter().find(|o| *o != person);
    let mut streams = vec![Stream::Workspace(workspace), Stream::Person(person), Stream::Person(me)];
    streams.extend(heir.map(Stream::Person));
    streams.extend(held.iter().map(|h| Stream::Project(h.project_id)));
    streams.extend(invited.iter().map(|i| i.invitation.to.place().stream()));
    Ok(streams)
}

/// Takes a person out of a workspace and of everything in it. Refused as [`outdated`] when the write does not
/// hold every stream that this touches.
async fn part(tx: &mut Tx<'_>, workspace: WorkspaceId, person: UserId, heir: Option<UserId>) -> Result<()> {
    let held = project_members::held(tx.conn(), workspace, person).await?;
    let invited = invitations::of_person_in(tx.conn(), workspace, person).await?;
    let mut touched: Vec<Stream> = held.iter().map(|h| Stream::Project(h.project_id)).collect();
    touched.extend(invited.iter().map(|i| i.invitation.to.place().stream()));
    touched.push(Stream::Person(person));
    touched.extend(heir.map(Stream::Person));
    if !tx.holds(&touched) {
        return Err(outdated());
    }
    for project in held {
        if project.sole_owner {
            inherit(tx, &project, heir.ok_or_else(nobody_inherits)?).await?;
        }
        let id = project.project_id;
        project_members::delete(tx.conn(), id, person).await?;
        let removed = MemberRemoved { user_id: person };
        tx.record(Stream::Project(id), Change::new(Kind::MemberRemoved, person, removed))?;
        let left = Left { workspace_id: workspace, project_id: Some(id) };
        tx.record(Stream::Person(person), Change::new(Kind::ProjectLeft, id, left))?;
    }
    for mut stored in invited {
        stored.invitation.status = InvitationStatus::Revoked;
        stored.invitation.version += 1;
        invitations::save(tx.conn(), std::slice::from_ref(&stored)).await?;
        record_update(tx, &stored.invitation)?;
    }
    rows::delete(tx.conn(), workspace, person).await?;
    let removed = MemberRemoved { user_id: person };
    tx.record(Stream::Workspace(workspace), Change::new(Kind::MemberRemoved, person, removed))?;
    let left = Left { workspace_id: workspace, project_id: None };
    tx.record(Stream::Person(person), Change::new(Kind::WorkspaceLeft, workspace, left))
}

fn nobody_inherits() -> Error {
    Error::conflict(
        "no-active-owner",
        "This person alone owns projects, and the workspace has no active owner who could get them. An administrator can \
         give it one.",
    )
}

/// Makes `heir` an owner of a project, be they in it already or not.
async fn inherit(tx: &mut Tx<'_>, held: &Held, heir: UserId) -> Result<()> {
    let id = held.project_id;
    let owner = project_roles::find(tx.conn(), id, held.owner_role)
        .await?
        .ok_or_else(|| Error::internal("a project has no owner role"))?;
    if project_members::find(tx.conn(), id, heir).await?.is_some() {
        return make_owner(tx, &owner, heir).await;
    }
    let project = projects::find(tx.conn(), id).await?.ok_or(Error::NotFound("project"))?;
    crate::project_members::join(tx, &project, heir, owner.id).await
}

pub(crate) async fn set_role(
    tx: &mut Tx<'_>,
    workspace: WorkspaceId,
    person: UserId,
    role: WorkspaceRole,
    before: WorkspaceRole,
) -> Result<()> {
    rows::set_role(tx.conn(), workspace, person, role).await?;
    let change = Change::new(Kind::MemberRoleChanged, person, WorkspaceRoleChanged { user_id: person, role })
        .with_before(WorkspaceRoleChanged { user_id: person, role: before });
    tx.record(Stream::Workspace(workspace), change)
}

async fn find(conn: &mut Connection, workspace: WorkspaceId, person: UserId) -> Result<WorkspaceMember> {
    rows::find(conn, workspace, person).await?.ok_or(Error::NotFound("member"))
}

async fn refuse_last_owner(conn: &mut Connection, workspace: WorkspaceId, person: UserId) -> Result<()> {
    if rows::owners(conn, workspace).await? == [person] {
        Err(Error::conflict(
            "last-owner",
            "A workspace keeps at least one owner. Make somebody else one first.",
        ))
    } else {
        Ok(())
    }
}
