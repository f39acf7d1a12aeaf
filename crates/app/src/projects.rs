//! Projects.

use serde_json::json;
use tenon_core::{
    Error, Result,
    callers::Caller,
    changes::{Change, Kind, Stream},
    ids::{ProjectId, UserId, WorkspaceId},
    page::{Items, Page},
    permissions::{ProjectPermission as P, WorkspacePermission},
    projects::{NewProject, Project, ProjectFilter, ProjectKey, ProjectPatch, ProjectWithRole},
    roles::{BUILTIN, ProjectRole, RoleName},
    templates::{self, Template},
    text::Color,
    workflows::WorkflowName,
};
use tenon_db::{Connection, project_members, project_roles, projects as rows};
use uuid::Uuid;

use crate::{App, Tx, access, versions::refuse_stale, workflows};

/// What new projects can be made from.
pub async fn templates(app: &App, caller: &Caller) -> Result<Vec<Template>> {
    let mut conn = app.read().await?;
    access::person(app, &mut conn, caller).await?;
    Ok(templates::builtin())
}

/// The caller's projects, oldest first: of one workspace or of all, as `filter` says; how many in all, when `count`.
pub async fn list(
    app: &App,
    caller: &Caller,
    filter: ProjectFilter,
    page: Page<Uuid>,
    count: bool,
) -> Result<(Items<ProjectWithRole, Uuid>, Option<i64>)> {
    let mut conn = app.read().await?;
    let person = match filter.workspace {
        Some(id) => access::workspace(app, &mut conn, caller, id).await?.person,
        None => access::person(app, &mut conn, caller).await?,
    };
    let rows = rows::of_person(&mut conn, person.id, &filter, &page).await?;
    let total = if count { Some(rows::count_of_person(&mut conn, person.id, &filter).await?) } else { None };
    Ok((Items::cut(rows, &page, |p| p.project.id.uuid()), total))
}

/// One of the caller's projects.
pub async fn get(app: &App, caller: &Caller, id: ProjectId) -> Result<ProjectWithRole> {
    let mut conn = app.read().await?;
    let access = access::project(app, &mut conn, caller, id).await?;
    rows::with_role(&mut conn, access.person.id, id).await?.ok_or(Error::NotFound("project"))
}

/// Makes a project from a template. The caller owns it.
pub async fn create(
    app: &App,
    caller: &Caller,
    workspace: WorkspaceId,
    new: NewProject,
) -> Result<ProjectWithRole> {
    let me = Stream::Person(access::person_id(app, caller).await?);
    let parent = Stream::Workspace(workspace);
    app.write(&[parent, me], &caller.correlation_id, async |tx| {
        let access = tx.workspace(caller, workspace).await?;
        access.allow(WorkspacePermission::CreateProject)?;
        let template = templates::builtin()
            .into_iter()
            .find(|t| t.slug == new.template)
            .ok_or_else(|| Error::invalid("/template", "unknown-template", "There is no such template."))?;
        let (project, role) = make(tx, access.person.id, workspace, &new, &template).await?;
        Ok(ProjectWithRole { project, role, members: 1 })
    })
    .await
}

/// Makes a project that `owner` owns; the write holds their stream and the workspace's. Gives the owners' role, too.
pub(crate) async fn make(
    tx: &mut Tx<'_>,
    owner: UserId,
    workspace: WorkspaceId,
    new: &NewProject,
    template: &Template,
) -> Result<(Project, ProjectRole)> {
    let (parent, me) = (Stream::Workspace(workspace), Stream::Person(owner));
    let id: ProjectId = tx.app().id();
    let now = tx.now();
    let project = Project {
        id,
        workspace_id: workspace,
        name: new.name.clone(),
        description: new.description.clone(),
        color: new.color.unwrap_or_else(|| Color::of(id.uuid())),
        key: free_key(tx.conn(), workspace, new).await?,
        created_at: now,
        archived_at: None,
        deleted_at: None,
        version: 1,
    };
    let roles = builtin_roles(tx.app(), id)?;
    let role = roles.iter().find(|r| r.is_owner).cloned().expect("one of the built-in roles owns");
    let stream = Stream::Project(id);
    tx.open(stream).await?;
    rows::insert(tx.conn(), &project, template, owner).await?;
    project_roles::insert_many(tx.conn(), &roles).await?;
    project_members::insert(tx.conn(), id, owner, role.id, now).await?;
    tx.record(stream, Change::new(Kind::ProjectCreated, id, &project))?;
    let board = WorkflowName::parse(&template.workflow).map_err(Error::internal)?;
    workflows::add(tx, id, board, 0, template).await?;
    // Members of the workspace who are not in the project learn that there is one, and no more.
    tx.record(parent, Change::new(Kind::WorkspaceProjectCreated, id, json!({ "project_id": id })))?;
    tx.record(me, Change::new(Kind::ProjectJoined, id, &project))?;
    Ok((project, role))
}

/// Changes a project's fields, its key, or whether it is archived. An archived one is changed only by un-archiving it.
pub async fn patch(
    app: &App,
    caller: &Caller,
    id: ProjectId,
    expected: Option<i64>,
    patch: ProjectPatch,
) -> Result<ProjectWithRole> {
    let stream = Stream::Project(id);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project_even_archived(caller, id).await?;
        access.allow(P::ModifyProject)?;
        let mut view =
            rows::with_role(tx.conn(), access.person.id, id).await?.ok_or(Error::NotFound("project"))?;
        let old = view.project.clone();
        refuse_stale("project", expected, old.version, &old)?;
        let now = tx.now();
        let project = &mut view.project;
        apply(project, &patch, now);
        if *project != old {
            if old.archived_at.is_some() && project.archived_at.is_some() {
                return Err(access::archived());
            }
            project.version += 1;
            rows::update(tx.conn(), project).await.map_err(refuse_taken_key)?;
            tx.record(stream, Change::new(Kind::ProjectUpdated, id, &*project).with_before(&old))?;
        }
        Ok(view)
    })
    .await
}

fn apply(project: &mut Project, patch: &ProjectPatch, now: tenon_core::Time) {
    if let Some(name) = &patch.name {
        project.name = name.clone();
    }
    if let Some(description) = &patch.description {
        project.description = description.clone();
    }
    project.color = patch.color.unwrap_or(project.color);
    if let Some(key) = &patch.key {
        project.key = key.clone();
    }
    if let Some(archived) = patch.archived {
        project.archived_at = if archived { project.archived_at.or(Some(now)) } else { None };
    }
}

/// Moves a project to the trash.
pub async fn delete(app: &App, caller: &Caller, id: ProjectId, expected: Option<i64>) -> Result<()> {
    let stream = Stream::Project(id);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project_even_archived(caller, id).await?;
        access.allow(P::DeleteProject)?;
        let mut project = rows::find(tx.conn(), id).await?.ok_or(Error::NotFound("project"))?;
        refuse_stale("project", expected, project.version, &project)?;
        project.deleted_at = Some(tx.now());
        project.version += 1;
        rows::update(tx.conn(), &project).await?;
        tx.record(stream, Change::new(Kind::ProjectDeleted, id, &project))
    })
    .await
}

/// Takes a project back from the trash; one that is not there stays as it is.
pub async fn restore(app: &App, caller: &Caller, id: ProjectId) -> Result<ProjectWithRole> {
    let stream = Stream::Project(id);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = access::project_or_trashed(app, tx.conn(), caller, id).await?;
        access.allow(P::DeleteProject)?;
        tx.act_as(access.person.as_ref());
        let mut view =
            rows::with_role(tx.conn(), access.person.id, id).await?.ok_or(Error::NotFound("project"))?;
        if view.project.deleted_at.take().is_some() {
            view.project.version += 1;
            rows::update(tx.conn(), &view.project).await?;
            tx.record(stream, Change::new(Kind::ProjectRestored, id, &view.project))?;
        }
        Ok(view)
    })
    .await
}

/// The key asked for, if it is free; else the first free one that the name suggests.
async fn free_key(conn: &mut Connection, workspace: WorkspaceId, new: &NewProject) -> Result<ProjectKey> {
    let taken = rows::keys(conn, workspace).await?;
    let free = |key: &ProjectKey| !taken.iter().any(|t| t == key.as_str());
    if let Some(key) = &new.key {
        return if free(key) { Ok(key.clone()) } else { Err(key_taken()) };
    }
    let suggested = ProjectKey::suggested(&new.name);
    std::iter::once(suggested.clone())
        .chain((0..26 * 26).map(|n| suggested.variant(n)))
        .find(free)
        .ok_or_else(key_taken)
}

fn refuse_taken_key(error: tenon_db::Error) -> Error {
    if error.unique_violation() == Some("projects_key") { key_taken() } else { error.into() }
}

fn key_taken() -> Error {
    Error::conflict("key-taken", "Another project of this workspace has this key.")
}

fn builtin_roles(app: &App, project: ProjectId) -> Result<Vec<ProjectRole>> {
    (0..)
        .zip(&BUILTIN)
        .map(|(position, role)| {
            Ok(ProjectRole {
                id: app.id(),
                project_id: project,
                name: RoleName::parse(role.name).map_err(Error::internal)?,
                slug: role.slug.to_owned(),
                is_owner: role.is_owner,
                editable: role.editable,
                position,
                permissions: role.permissions(),
                version: 1,
            })
        })
        .collect()
}
