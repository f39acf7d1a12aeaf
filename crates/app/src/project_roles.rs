//! Roles of projects.

use serde_json::json;
use tenon_core::{
    Error, Result,
    callers::Caller,
    changes::{Change, Kind, Stream},
    ids::{ProjectId, RoleId},
    members::ProjectRoleChanged,
    permissions::{ProjectPermission as P, ProjectPermissions, Rights},
    roles::{NewRole, ProjectRole, RolePatch},
};
use tenon_db::{Connection, project_roles as rows};

use crate::{App, access, policy, versions::refuse_stale};

/// The roles of a project, in order.
pub async fn list(app: &App, caller: &Caller, project: ProjectId) -> Result<Vec<ProjectRole>> {
    let mut conn = app.read().await?;
    access::project(app, &mut conn, caller, project).await?;
    Ok(rows::of_project(&mut conn, project).await?)
}

/// One role of a project.
pub async fn get(app: &App, caller: &Caller, project: ProjectId, id: RoleId) -> Result<ProjectRole> {
    let mut conn = app.read().await?;
    access::project(app, &mut conn, caller, project).await?;
    find(&mut conn, project, id).await
}

/// Makes a role, last in order.
pub async fn create(app: &App, caller: &Caller, project: ProjectId, new: NewRole) -> Result<ProjectRole> {
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        access.allow(P::CreateModifyDeleteRole)?;
        refuse_broken(new.permissions)?;
        let rights = Rights { is_owner: false, permissions: new.permissions };
        policy::may_grant(access.place.rights(), Rights::NONE, rights)?;
        let present = rows::of_project(tx.conn(), project).await?;
        let slug = free_slug(&new, &present);
        let role = ProjectRole {
            id: app.id(),
            project_id: project,
            slug,
            name: new.name.clone(),
            is_owner: false,
            editable: true,
            position: present.last().map_or(0, |r| r.position + 1),
            permissions: new.permissions,
            version: 1,
        };
        rows::insert_many(tx.conn(), std::slice::from_ref(&role)).await?;
        tx.record(stream, Change::new(Kind::RoleCreated, role.id, &role))?;
        Ok(role)
    })
    .await
}

/// Changes a role's name or permissions.
pub async fn patch(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    id: RoleId,
    expected: Option<i64>,
    patch: RolePatch,
) -> Result<ProjectRole> {
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        let old = find(tx.conn(), project, id).await?;
        access.allow(P::CreateModifyDeleteRole)?;
        refuse_stale("role", expected, old.version, &old)?;
        refuse_fixed(&old)?;
        let mut role = old.clone();
        if let Some(name) = &patch.name {
            role.name = name.clone();
        }
        if let Some(permissions) = patch.permissions {
            refuse_broken(permissions)?;
            role.permissions = permissions;
            policy::may_grant(access.place.rights(), old.rights(), role.rights())?;
        }
        if role != old {
            role.version += 1;
            rows::update(tx.conn(), &role).await?;
            tx.record(stream, Change::new(Kind::RoleUpdated, id, &role).with_before(&old))?;
        }
        Ok(role)
    })
    .await
}

/// Deletes a role. Whoever holds it or is invited to it gets `move_to` instead.
pub async fn delete(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    id: RoleId,
    expected: Option<i64>,
    move_to: Option<RoleId>,
) -> Result<()> {
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        let role = find(tx.conn(), project, id).await?;
        access.allow(P::CreateModifyDeleteRole)?;
        refuse_stale("role", expected, role.version, &role)?;
        refuse_fixed(&role)?;
        let roles = rows::of_project(tx.conn(), project).await?;
        let target = match move_to {
            Some(to) => roles.iter().find(|r| r.id == to && r.id != id).ok_or_else(|| {
                Error::invalid("move_to", "unknown-role", "There is no such other role in this project.")
            })?,
            None if rows::is_used(tx.conn(), id).await? => {
                return Err(Error::conflict(
                    "role-in-use",
                    "People hold this role or are invited to it. Say with move_to which one they get instead.",
                ));
            }
            // Only answered invitations may still name the role; they open nothing.
            None => roles
                .iter()
                .rfind(|r| r.id != id && !r.editable)
                .ok_or_else(|| Error::internal("a project has no built-in roles"))?,
        };
        if move_to.is_some() {
            policy::may_grant(access.place.rights(), role.rights(), target.rights())?;
        }
        for person in rows::move_members(tx.conn(), id, target.id).await? {
            let change = ProjectRoleChanged::to(target, person);
            tx.record(stream, Change::new(Kind::MemberRoleChanged, person, change))?;
        }
        rows::delete(tx.conn(), id, target.id).await?;
        let data = json!({ "id": id, "move_to": move_to });
        tx.record(stream, Change::new(Kind::RoleDeleted, id, data).with_before(&role))
    })
    .await
}

pub(crate) async fn find(conn: &mut Connection, project: ProjectId, id: RoleId) -> Result<ProjectRole> {
    rows::find(conn, project, id).await?.ok_or(Error::NotFound("role"))
}

fn free_slug(new: &NewRole, present: &[ProjectRole]) -> String {
    let mut n = 0;
    loop {
        let slug = new.name.slug(n);
        if present.iter().all(|role| role.slug != slug) {
            return slug;
        }
        n += 1;
    }
}

fn refuse_fixed(role: &ProjectRole) -> Result<()> {
    if role.editable && !role.is_owner {
        Ok(())
    } else {
        Err(Error::conflict("role-not-editable", "This role belongs to every project and stays as it is."))
    }
}

/// A permission is worth nothing without the one it needs.
fn refuse_broken(permissions: ProjectPermissions) -> Result<()> {
    match permissions.broken() {
        None => Ok(()),
        Some((permission, needed)) => Err(Error::invalid(
            "/permissions",
            "missing-permission",
            format!("{permission} makes sense only together with {needed}."),
        )),
    }
}
