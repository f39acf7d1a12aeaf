//! Workspaces.

use tenon_core::{
    Error, Result,
    callers::Caller,
    changes::{Change, Kind, Stream},
    ids::{UserId, WorkspaceId},
    page::{Items, Page},
    permissions::WorkspacePermission as P,
    roles::WorkspaceRole,
    text::Color,
    workspaces::{NewWorkspace, Workspace, WorkspacePatch, WorkspaceWithRole},
};
use tenon_db::{workspace_members, workspaces as rows};
use uuid::Uuid;

use crate::{App, Tx, access, versions::refuse_stale};

/// The caller's workspaces, oldest first; those in the trash when `trashed`; how many in all, when `count`.
pub async fn list(
    app: &App,
    caller: &Caller,
    trashed: bool,
    page: Page<Uuid>,
    count: bool,
) -> Result<(Items<WorkspaceWithRole, Uuid>, Option<i64>)> {
    let mut conn = app.read().await?;
    let person = access::person(app, &mut conn, caller).await?;
    let rows = rows::of_person(&mut conn, person.id, trashed, &page).await?;
    let total = if count { Some(rows::count_of_person(&mut conn, person.id, trashed).await?) } else { None };
    Ok((Items::cut(rows, &page, |w| w.workspace.id.uuid()), total))
}

/// One of the caller's workspaces.
pub async fn get(app: &App, caller: &Caller, id: WorkspaceId) -> Result<WorkspaceWithRole> {
    let mut conn = app.read().await?;
    let access = access::workspace(app, &mut conn, caller, id).await?;
    rows::with_role(&mut conn, access.person.id, id).await?.ok_or(Error::NotFound("workspace"))
}

/// Makes a workspace that the caller owns.
pub async fn create(app: &App, caller: &Caller, new: NewWorkspace) -> Result<WorkspaceWithRole> {
    let me = Stream::Person(access::person_id(app, caller).await?);
    app.write(&[me], &caller.correlation_id, async |tx| {
        let person = tx.person(caller).await?;
        let workspace = make(tx, person.id, &new).await?;
        Ok(WorkspaceWithRole { workspace, role: WorkspaceRole::Owner, members: 1, projects: 0 })
    })
    .await
}

/// Makes a workspace that `owner` owns, whose stream the write holds.
pub(crate) async fn make(tx: &mut Tx<'_>, owner: UserId, new: &NewWorkspace) -> Result<Workspace> {
    let id: WorkspaceId = tx.app().id();
    let workspace = Workspace {
        id,
        name: new.name.clone(),
        color: new.color.unwrap_or_else(|| Color::of(id.uuid())),
        created_at: tx.now(),
        deleted_at: None,
        version: 1,
    };
    let now = tx.now();
    let stream = Stream::Workspace(id);
    tx.open(stream).await?;
    rows::insert(tx.conn(), &workspace, owner).await?;
    workspace_members::insert(tx.conn(), id, owner, WorkspaceRole::Owner, now).await?;
    tx.record(stream, Change::new(Kind::WorkspaceCreated, id, &workspace))?;
    tx.record(Stream::Person(owner), Change::new(Kind::WorkspaceJoined, id, &workspace))?;
    Ok(workspace)
}

/// Changes a workspace's name or colour.
pub async fn patch(
    app: &App,
    caller: &Caller,
    id: WorkspaceId,
    expected: Option<i64>,
    patch: WorkspacePatch,
) -> Result<WorkspaceWithRole> {
    let stream = Stream::Workspace(id);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.workspace(caller, id).await?;
        access.allow(P::ModifyWorkspace)?;
        let mut view =
            rows::with_role(tx.conn(), access.person.id, id).await?.ok_or(Error::NotFound("workspace"))?;
        let old = view.workspace.clone();
        refuse_stale("workspace", expected, old.version, &old)?;
        let workspace = &mut view.workspace;
        if let Some(name) = &patch.name {
            workspace.name = name.clone();
        }
        workspace.color = patch.color.unwrap_or(workspace.color);
        if *workspace != old {
            workspace.version += 1;
            rows::update(tx.conn(), workspace).await?;
            tx.record(stream, Change::new(Kind::WorkspaceUpdated, id, &*workspace).with_before(&old))?;
        }
        Ok(view)
    })
    .await
}

/// Moves a workspace to the trash; refused while it holds projects that are not there.
pub async fn delete(app: &App, caller: &Caller, id: WorkspaceId, expected: Option<i64>) -> Result<()> {
    let stream = Stream::Workspace(id);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.workspace(caller, id).await?;
        access.allow(P::DeleteWorkspace)?;
        let mut workspace = rows::find(tx.conn(), id).await?.ok_or(Error::NotFound("workspace"))?;
        refuse_stale("workspace", expected, workspace.version, &workspace)?;
        if rows::has_live_projects(tx.conn(), id).await? {
            return Err(Error::conflict(
                "workspace-has-projects",
                "This workspace still holds projects. Delete them first.",
            ));
        }
        workspace.deleted_at = Some(tx.now());
        workspace.version += 1;
        rows::update(tx.conn(), &workspace).await?;
        tx.record(stream, Change::new(Kind::WorkspaceDeleted, id, &workspace))
    })
    .await
}

/// Takes a workspace back from the trash; one that is not there stays as it is.
pub async fn restore(app: &App, caller: &Caller, id: WorkspaceId) -> Result<WorkspaceWithRole> {
    let stream = Stream::Workspace(id);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let person = tx.person(caller).await?;
        let mut view =
            rows::with_role(tx.conn(), person.id, id).await?.ok_or(Error::NotFound("workspace"))?;
        if !view.role.permissions().has(P::DeleteWorkspace) {
            return Err(Error::Forbidden(P::DeleteWorkspace.as_str()));
        }
        if view.workspace.deleted_at.take().is_some() {
            view.workspace.version += 1;
            rows::update(tx.conn(), &view.workspace).await?;
            tx.record(stream, Change::new(Kind::WorkspaceUpdated, id, &view.workspace))?;
        }
        Ok(view)
    })
    .await
}
