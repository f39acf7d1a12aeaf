//! Roles of projects.

use diesel::{QueryableByName, prelude::*, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    ids::{ProjectId, RoleId, UserId},
    permissions::ProjectPermissions,
    roles::{ProjectRole, RoleName},
};
use uuid::Uuid;

use crate::{
    error::Result,
    schema::{invitations, project_members, project_roles as roles},
    sql::sql,
};

/// Adds roles.
pub async fn insert_many(conn: &mut AsyncPgConnection, new: &[ProjectRole]) -> Result<()> {
    let rows: Vec<_> = new
        .iter()
        .map(|role| {
            (
                roles::id.eq(role.id.uuid()),
                roles::project_id.eq(role.project_id.uuid()),
                roles::name.eq(role.name.as_str()),
                roles::slug.eq(role.slug.as_str()),
                roles::is_owner.eq(role.is_owner),
                roles::editable.eq(role.editable),
                roles::position.eq(role.position),
                roles::permissions.eq(role.permissions.words()),
                roles::version.eq(role.version),
            )
        })
        .collect();
    diesel::insert_into(roles::table).values(rows).execute(conn).await?;
    Ok(())
}

/// The roles of a project, in order.
pub async fn of_project(conn: &mut AsyncPgConnection, project: ProjectId) -> Result<Vec<ProjectRole>> {
    let rows: Vec<RoleRow> = roles::table
        .filter(roles::project_id.eq(project.uuid()))
        .order((roles::position, roles::id))
        .select(RoleRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(ProjectRole::try_from).collect()
}

/// One role of a project.
pub async fn find(
    conn: &mut AsyncPgConnection,
    project: ProjectId,
    id: RoleId,
) -> Result<Option<ProjectRole>> {
    let row: Option<RoleRow> = roles::table
        .find(id.uuid())
        .filter(roles::project_id.eq(project.uuid()))
        .select(RoleRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(ProjectRole::try_from).transpose()
}

/// Writes a role's name, permissions and version.
pub async fn update(conn: &mut AsyncPgConnection, role: &ProjectRole) -> Result<()> {
    diesel::update(roles::table.find(role.id.uuid()))
        .set((
            roles::name.eq(role.name.as_str()),
            roles::permissions.eq(role.permissions.words()),
            roles::version.eq(role.version),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether somebody holds a role or is invited to it.
pub async fn is_used(conn: &mut AsyncPgConnection, id: RoleId) -> Result<bool> {
    let holders = project_members::table.filter(project_members::role_id.eq(id.uuid()));
    let invited = invitations::table
        .filter(invitations::role_id.eq(id.uuid()))
        .filter(invitations::status.eq("pending"));
    Ok(diesel::select(diesel::dsl::exists(holders).or(diesel::dsl::exists(invited))).get_result(conn).await?)
}

/// Gives everybody who holds `from` the role `to`; answers who they are.
pub async fn move_members(conn: &mut AsyncPgConnection, from: RoleId, to: RoleId) -> Result<Vec<UserId>> {
    let ids: Vec<Uuid> =
        diesel::update(project_members::table.filter(project_members::role_id.eq(from.uuid())))
            .set((
                project_members::role_id.eq(to.uuid()),
                project_members::version.eq(project_members::version + 1),
            ))
            .returning(project_members::user_id)
            .get_results(conn)
            .await?;
    Ok(ids.into_iter().map(Into::into).collect())
}

/// Deletes a role that nobody holds; invitations that name it name `to` instead.
pub async fn delete(conn: &mut AsyncPgConnection, id: RoleId, to: RoleId) -> Result<()> {
    sql("WITH moved AS (UPDATE invitations SET role_id = $2, version = version + 1 WHERE role_id = $1)
         DELETE FROM project_roles WHERE id = $1")
    .bind::<st::Uuid, _>(id.uuid())
    .bind::<st::Uuid, _>(to.uuid())
    .execute(conn)
    .await?;
    Ok(())
}

/// A role's columns, also inside rows of other things.
#[derive(Queryable, Selectable, QueryableByName)]
#[diesel(table_name = roles)]
pub(crate) struct RoleRow {
    id: Uuid,
    project_id: Uuid,
    name: String,
    slug: String,
    is_owner: bool,
    editable: bool,
    position: i32,
    permissions: Vec<String>,
    version: i64,
}

impl TryFrom<RoleRow> for ProjectRole {
    type Error = crate::Error;
    fn try_from(row: RoleRow) -> Result<Self> {
        Ok(Self {
            id: row.id.into(),
            project_id: row.project_id.into(),
            name: RoleName::stored(&row.name),
            slug: row.slug,
            is_owner: row.is_owner,
            editable: row.editable,
            position: row.position,
            permissions: ProjectPermissions::from_words(row.permissions.iter().map(String::as_str)),
            version: row.version,
        })
    }
}
