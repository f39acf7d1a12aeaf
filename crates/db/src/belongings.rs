//! Where a person is, and what is left without an owner: what the end of an account or its deactivation leaves behind.
//!
//! An owner whose account is not active can do nothing, so they do not count as one.

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    ids::{ProjectId, UserId, WorkspaceId},
    page::Page,
};
use uuid::Uuid;

use crate::{error::Result, sql::sql};

/// A person's place in a workspace or project.
#[derive(Debug, Clone, QueryableByName)]
pub struct Place {
    #[diesel(sql_type = st::Uuid)]
    id: Uuid,
    #[diesel(sql_type = st::Bool)]
    is_project: bool,
    /// Its name.
    #[diesel(sql_type = st::Text)]
    pub name: String,
    /// Other people in it.
    #[diesel(sql_type = st::BigInt)]
    pub others: i64,
    /// Whether the person owns it and nobody else with an active account does.
    #[diesel(sql_type = st::Bool)]
    pub sole_owner: bool,
    /// In the trash already.
    #[diesel(sql_type = st::Bool)]
    pub is_deleted: bool,
}

/// Which kind of place, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceId {
    /// A workspace.
    Workspace(WorkspaceId),
    /// A project.
    Project(ProjectId),
}

impl Place {
    /// Which.
    pub fn id(&self) -> PlaceId {
        if self.is_project { PlaceId::Project(self.id.into()) } else { PlaceId::Workspace(self.id.into()) }
    }
}

/// Every workspace and project that a person is in, by name.
pub async fn of_user(conn: &mut AsyncPgConnection, user: UserId) -> Result<Vec<Place>> {
    Ok(sql("SELECT w.id, false AS is_project, w.name, w.deleted_at IS NOT NULL AS is_deleted,
                   (SELECT count(*) FROM workspace_members o WHERE o.workspace_id = w.id AND o.user_id <> $1) AS others,
                   m.role = 'owner' AND NOT EXISTS (SELECT 1 FROM workspace_members o
                     JOIN users ou ON ou.id = o.user_id AND ou.is_active WHERE o.workspace_id = w.id AND o.user_id <> $1 AND o.role = 'owner') AS sole_owner
            FROM workspace_members m JOIN workspaces w ON w.id = m.workspace_id WHERE m.user_id = $1
            UNION ALL
            SELECT p.id, true, p.name, p.deleted_at IS NOT NULL OR w.deleted_at IS NOT NULL,
                   (SELECT count(*) FROM project_members o WHERE o.project_id = p.id AND o.user_id <> $1),
                   r.is_owner AND NOT EXISTS (SELECT 1 FROM project_members o JOIN project_roles s ON s.id = o.role_id
                     JOIN users ou ON ou.id = o.user_id AND ou.is_active WHERE o.project_id = p.id AND o.user_id <> $1 AND s.is_owner)
            FROM project_members m JOIN projects p ON p.id = m.project_id JOIN workspaces w ON w.id = p.workspace_id
            JOIN project_roles r ON r.id = m.role_id WHERE m.user_id = $1
            ORDER BY 3, 1")
        .bind::<st::Uuid, _>(user.uuid())
        .load(conn)
        .await?)
}

/// A page of the workspaces and projects that nobody with an active account owns, but for those in the trash; by id.
pub async fn ownerless(conn: &mut AsyncPgConnection, page: &Page<Uuid>) -> Result<Vec<Place>> {
    Ok(sql("SELECT * FROM (
              SELECT w.id, false AS is_project, w.name, false AS is_deleted, false AS sole_owner,
                     (SELECT count(*) FROM workspace_members o WHERE o.workspace_id = w.id) AS others
              FROM workspaces w WHERE w.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM workspace_members o
                JOIN users ou ON ou.id = o.user_id AND ou.is_active WHERE o.workspace_id = w.id AND o.role = 'owner')
              UNION ALL
              SELECT p.id, true, p.name, false, false,
                     (SELECT count(*) FROM project_members o WHERE o.project_id = p.id)
              FROM projects p JOIN workspaces w ON w.id = p.workspace_id AND w.deleted_at IS NULL
              WHERE p.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM project_members o
                JOIN project_roles s ON s.id = o.role_id AND s.is_owner
                JOIN users ou ON ou.id = o.user_id AND ou.is_active WHERE o.project_id = p.id)
            ) places WHERE id > $1 ORDER BY id LIMIT $2")
        .bind::<st::Uuid, _>(page.after.unwrap_or_default())
        .bind::<st::BigInt, _>(page.fetch())
        .load(conn)
        .await?)
}
