//! Workspaces and projects keep an owner who can act.
//!
//! People keep this themselves: a last owner neither leaves, nor is demoted, nor deletes the account. An administrator who
//! deactivates one must be able to at once, whatever they own; so what is left without an active owner is said, found again,
//! and given a new one, and only that: nobody's project is taken over while its owner can act.

use tenon_core::{
    Error, Result,
    accounts::Belonging,
    changes::Stream,
    ids::{ProjectId, UserId, WorkspaceId},
    members::{ProjectMember, WorkspaceMember},
    page::{Items, Page},
    roles::WorkspaceRole,
    users::User,
};
use tenon_db::{
    Connection,
    belongings::{self as rows, Place, PlaceId},
    project_members, project_roles, projects, workspace_members, workspaces,
};
use uuid::Uuid;

use crate::{App, Tx, users::Operator};

/// What others use and only this person owns: deactivating the account leaves it without an active owner.
pub async fn sole(app: &App, operator: Operator<'_>, person: UserId) -> Result<Vec<Belonging>> {
    let mut conn = app.read().await?;
    operator.check(app, &mut conn).await?;
    tenon_db::users::find(&mut conn, person).await?.ok_or(Error::NotFound("user"))?;
    left_by(&mut conn, person).await
}

/// What others use and nobody but this person owns.
pub(crate) async fn left_by(conn: &mut Connection, person: UserId) -> Result<Vec<Belonging>> {
    let places = rows::of_user(conn, person).await?;
    let left = places.iter().filter(|p| p.sole_owner && p.others > 0 && !p.is_deleted);
    Ok(left.map(belonging).collect())
}

/// The workspaces and projects without an active owner, those in the trash left out.
pub async fn ownerless(
    app: &App,
    operator: Operator<'_>,
    page: &Page<Uuid>,
) -> Result<Items<Belonging, Uuid>> {
    let mut conn = app.read().await?;
    operator.check(app, &mut conn).await?;
    let places = rows::ownerless(&mut conn, page).await?.iter().map(belonging).collect();
    Ok(Items::cut(places, page, |place| place.id))
}

/// Makes a person an owner of a workspace that has no active one, be they in it already or not.
pub async fn set_workspace_owner(
    app: &App,
    operator: Operator<'_>,
    id: WorkspaceId,
    person: UserId,
) -> Result<WorkspaceMember> {
    let streams = [Stream::Workspace(id), Stream::Person(person)];
    app.write(&streams, operator.correlation_id(), async |tx| {
        operator.enter(tx).await?;
        let workspace = workspaces::find(tx.conn(), id).await?.ok_or(Error::NotFound("workspace"))?;
        refuse_owned(&workspace_members::owners(tx.conn(), id).await?)?;
        active(tx.conn(), "/user_id", person).await?;
        match workspace_members::find(tx.conn(), id, person).await? {
            Some(member) => {
                let before = member.role;
                crate::workspace_members::set_role(tx, id, person, WorkspaceRole::Owner, before).await?;
            }
            None => crate::workspace_members::join(tx, &workspace, person, WorkspaceRole::Owner).await?,
        }
        workspace_members::find(tx.conn(), id, person).await?.ok_or(Error::NotFound("member"))
    })
    .await
}

/// Makes a person an owner of a project that has no active one, be they in it already or not; a member of its workspace,
/// too.
pub async fn set_project_owner(
    app: &App,
    operator: Operator<'_>,
    id: ProjectId,
    person: UserId,
) -> Result<ProjectMember> {
    let parent = {
        let mut conn = app.read().await?;
        operator.check(app, &mut conn).await?;
        projects::find(&mut conn, id).await?.ok_or(Error::NotFound("project"))?.workspace_id
    };
    let streams = [Stream::Workspace(parent), Stream::Project(id), Stream::Person(person)];
    app.write(&streams, operator.correlation_id(), async |tx| {
        operator.enter(tx).await?;
        let project = projects::find(tx.conn(), id).await?.ok_or(Error::NotFound("project"))?;
        refuse_owned(&project_members::owners(tx.conn(), id).await?)?;
        active(tx.conn(), "/user_id", person).await?;
        enter_workspace(tx, parent, person).await?;
        let roles = project_roles::of_project(tx.conn(), id).await?;
        let owner = roles
            .iter()
            .find(|role| role.is_owner)
            .ok_or_else(|| Error::internal("a project has no owner role"))?;
        if project_members::find(tx.conn(), id, person).await?.is_some() {
            crate::project_members::make_owner(tx, owner, person).await?;
        } else {
            crate::project_members::join(tx, &project, person, owner.id).await?;
        }
        project_members::find(tx.conn(), id, person).await?.ok_or(Error::NotFound("member"))
    })
    .await
}

/// The person, whose account must be active: nobody else can act as an owner.
pub(crate) async fn active(conn: &mut Connection, pointer: &str, person: UserId) -> Result<User> {
    match tenon_db::users::find(conn, person).await? {
        Some(user) if user.is_active => Ok(user),
        Some(_) => Err(Error::invalid(pointer, "not-active", "The account of this person is not active.")),
        None => Err(Error::invalid(pointer, "unknown-user", "There is no such user.")),
    }
}

async fn enter_workspace(tx: &mut Tx<'_>, id: WorkspaceId, person: UserId) -> Result<()> {
    if workspace_members::find(tx.conn(), id, person).await?.is_some() {
        return Ok(());
    }
    let workspace = workspaces::find(tx.conn(), id).await?.ok_or(Error::NotFound("workspace"))?;
    crate::workspace_members::join(tx, &workspace, person, WorkspaceRole::ReadonlyMember).await
}

fn refuse_owned(owners: &[UserId]) -> Result<()> {
    if owners.is_empty() {
        return Ok(());
    }
    Err(Error::conflict(
        "has-owner",
        "This has an owner whose account is active, who can make somebody else one. If they cannot be reached, deactivate \
         their account first.",
    ))
}

fn belonging(place: &Place) -> Belonging {
    let (id, is_project) = match place.id() {
        PlaceId::Workspace(id) => (id.uuid(), false),
        PlaceId::Project(id) => (id.uuid(), true),
    };
    Belonging { id, is_project, name: place.name.clone() }
}
