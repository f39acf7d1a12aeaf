//! Members of projects.

use tenon_core::{
    Error, Result,
    callers::Caller,
    changes::{Change, Kind, Stream},
    ids::{ProjectId, RoleId, UserId},
    members::{Left, MemberRemoved, ProjectMember, ProjectRoleChanged},
    page::{Items, Page, TimeKey},
    permissions::{ProjectPermission as P, Rights},
    projects::Project,
    roles::ProjectRole,
};
use tenon_db::{Connection, project_members as rows, project_roles};

use crate::{App, Tx, access, ownership, policy, project_roles::find as find_role, versions::refuse_stale};

/// The people of a project, in order of arrival; how many, when `count`.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    page: Page<TimeKey>,
    count: bool,
) -> Result<(Items<ProjectMember, TimeKey>, Option<i64>)> {
    let mut conn = app.read().await?;
    access::project(app, &mut conn, caller, project).await?;
    let rows = rows::of_project(&mut conn, project, &page).await?;
    let total = if count { Some(rows::count(&mut conn, project).await?) } else { None };
    Ok((Items::cut(rows, &page, |m| (m.created_at, m.user.id.uuid())), total))
}

/// One person of a project.
pub async fn get(app: &App, caller: &Caller, project: ProjectId, person: UserId) -> Result<ProjectMember> {
    let mut conn = app.read().await?;
    access::project(app, &mut conn, caller, project).await?;
    find(&mut conn, project, person).await
}

/// Gives a person another role, within what the caller holds. Only owners touch owners or make one, and one owner stays.
pub async fn change_role(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    person: UserId,
    expected: Option<i64>,
    role: RoleId,
) -> Result<ProjectMember> {
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        let member = find(tx.conn(), project, person).await?;
        access.allow(P::CreateModifyMember)?;
        let from = find_role(tx.conn(), project, member.role_id).await?;
        let to = project_roles::find(tx.conn(), project, role).await?.ok_or_else(|| {
            Error::invalid("/role_id", "unknown-role", "There is no such role in this project.")
        })?;
        policy::may_grant(access.place.rights(), from.rights(), to.rights())?;
        refuse_stale("member", expected, member.version, &member)?;
        if from.id == to.id {
            return Ok(member);
        }
        if from.is_owner && !to.is_owner {
            refuse_last_owner(tx.conn(), project, person).await?;
        }
        rows::set_role(tx.conn(), project, person, to.id).await?;
        let change = Change::new(Kind::MemberRoleChanged, person, ProjectRoleChanged::to(&to, person))
            .with_before(ProjectRoleChanged::to(&from, person));
        tx.record(stream, change)?;
        find(tx.conn(), project, person).await
    })
    .await
}

/// Takes a person out of a project. Only owners touch owners, and one owner stays.
pub async fn remove(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    person: UserId,
    expected: Option<i64>,
) -> Result<()> {
    let streams = [Stream::Project(project), Stream::Person(person)];
    app.write(&streams, &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        let member = find(tx.conn(), project, person).await?;
        access.allow(P::DeleteMember)?;
        let role = find_role(tx.conn(), project, member.role_id).await?;
        policy::may_grant(access.place.rights(), role.rights(), Rights::NONE)?;
        refuse_stale("member", expected, member.version, &member)?;
        if role.is_owner {
            refuse_last_owner(tx.conn(), project, person).await?;
        }
        take_out(tx, &access, person).await
    })
    .await
}

/// Leaves a project. Its only owner names who owns it from then on.
pub async fn leave(app: &App, caller: &Caller, project: ProjectId, successor: Option<UserId>) -> Result<()> {
    let me = access::person_id(app, caller).await?;
    let stream = Stream::Project(project);
    app.write(&[stream, Stream::Person(me)], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        if access.place.is_owner && rows::owners(tx.conn(), project).await? == [me] {
            let heir = successor.ok_or_else(|| {
                Error::conflict("last-owner", "You are the only owner. Name who owns the project after you.")
            })?;
            let found = if heir == me { None } else { rows::find(tx.conn(), project, heir).await? };
            if found.is_none() {
                return Err(Error::invalid(
                    "/successor",
                    "not-a-member",
                    "This person is not in the project.",
                ));
            }
            ownership::active(tx.conn(), "/successor", heir).await?;
            let owner = find_role(tx.conn(), project, access.place.role_id).await?;
            make_owner(tx, &owner, heir).await?;
        }
        take_out(tx, &access, me).await
    })
    .await
}

/// Adds a person and tells the project's log and theirs.
pub(crate) async fn join(tx: &mut Tx<'_>, project: &Project, person: UserId, role: RoleId) -> Result<()> {
    let now = tx.now();
    rows::insert(tx.conn(), project.id, person, role, now).await?;
    let member = find(tx.conn(), project.id, person).await?;
    tx.record(Stream::Project(project.id), Change::new(Kind::MemberAdded, person, member))?;
    tx.record(Stream::Person(person), Change::new(Kind::ProjectJoined, project.id, project))
}

/// Gives a member the owner's role.
pub(crate) async fn make_owner(tx: &mut Tx<'_>, owner: &ProjectRole, heir: UserId) -> Result<()> {
    rows::set_role(tx.conn(), owner.project_id, heir, owner.id).await?;
    tx.record(
        Stream::Project(owner.project_id),
        Change::new(Kind::MemberRoleChanged, heir, ProjectRoleChanged::to(owner, heir)),
    )
}

async fn take_out(tx: &mut Tx<'_>, access: &access::ProjectAccess, person: UserId) -> Result<()> {
    let project = access.place.project_id;
    rows::delete(tx.conn(), project, person).await?;
    tx.record(
        Stream::Project(project),
        Change::new(Kind::MemberRemoved, person, MemberRemoved { user_id: person }),
    )?;
    let left = Left { workspace_id: access.place.workspace_id, project_id: Some(project) };
    tx.record(Stream::Person(person), Change::new(Kind::ProjectLeft, project, left))
}

async fn find(conn: &mut Connection, project: ProjectId, person: UserId) -> Result<ProjectMember> {
    rows::find(conn, project, person).await?.ok_or(Error::NotFound("member"))
}

async fn refuse_last_owner(conn: &mut Connection, project: ProjectId, person: UserId) -> Result<()> {
    if rows::owners(conn, project).await? == [person] {
        Err(Error::conflict(
            "last-owner",
            "A project keeps at least one owner. Make somebody else one first.",
        ))
    } else {
        Ok(())
    }
}
