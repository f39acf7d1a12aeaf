//! Workspaces.

use diesel::{QueryableByName, prelude::*, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    ids::{UserId, WorkspaceId},
    page::Page,
    text::Color,
    workspaces::{Workspace, WorkspaceName, WorkspaceWithRole},
};
use uuid::Uuid;

use crate::{error::Result, schema::workspaces, sql::sql, workspace_members::role_of_word};

/// Adds a workspace.
pub async fn insert(conn: &mut AsyncPgConnection, workspace: &Workspace, created_by: UserId) -> Result<()> {
    diesel::insert_into(workspaces::table)
        .values((
            workspaces::id.eq(workspace.id.uuid()),
            workspaces::name.eq(workspace.name.as_str()),
            workspaces::color.eq(workspace.color.get()),
            workspaces::created_by.eq(created_by.uuid()),
            workspaces::created_at.eq(workspace.created_at),
            workspaces::version.eq(workspace.version),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// A workspace, be it in the trash or not.
pub async fn find(conn: &mut AsyncPgConnection, id: WorkspaceId) -> Result<Option<Workspace>> {
    let row: Option<WorkspaceRow> =
        workspaces::table.find(id.uuid()).select(WorkspaceRow::as_select()).first(conn).await.optional()?;
    row.map(Workspace::try_from).transpose()
}

macro_rules! with_role {
    () => {
        "SELECT w.id, w.name, w.color, w.created_at, w.deleted_at, w.version, m.role,
           (SELECT count(*) FROM workspace_members x WHERE x.workspace_id = w.id) AS members,
           (SELECT count(*) FROM project_members x JOIN projects p ON p.id = x.project_id
            WHERE x.user_id = m.user_id AND p.workspace_id = w.id AND p.deleted_at IS NULL) AS projects
         FROM workspace_members m JOIN workspaces w ON w.id = m.workspace_id "
    };
}

/// The workspaces a person is in, oldest first; those in the trash when `trashed`.
pub async fn of_person(
    conn: &mut AsyncPgConnection,
    person: UserId,
    trashed: bool,
    page: &Page<Uuid>,
) -> Result<Vec<WorkspaceWithRole>> {
    let rows: Vec<WithRoleRow> = sql(concat!(
        with_role!(),
        "WHERE m.user_id = $1 AND (w.deleted_at IS NOT NULL) = $2 AND w.id > $3 ORDER BY w.id LIMIT $4"
    ))
    .bind::<st::Uuid, _>(person.uuid())
    .bind::<st::Bool, _>(trashed)
    .bind::<st::Uuid, _>(page.after.unwrap_or_default())
    .bind::<st::BigInt, _>(page.fetch())
    .load(conn)
    .await?;
    rows.into_iter().map(WorkspaceWithRole::try_from).collect()
}

/// How many [`of_person`] would answer without a limit.
pub async fn count_of_person(conn: &mut AsyncPgConnection, person: UserId, trashed: bool) -> Result<i64> {
    use crate::schema::workspace_members as members;
    let all = members::table.inner_join(workspaces::table).filter(members::user_id.eq(person.uuid()));
    Ok(all.filter(workspaces::deleted_at.is_not_null().eq(trashed)).count().get_result(conn).await?)
}

/// A workspace as one of its members sees it, be it in the trash or not.
pub async fn with_role(
    conn: &mut AsyncPgConnection,
    person: UserId,
    id: WorkspaceId,
) -> Result<Option<WorkspaceWithRole>> {
    let rows: Vec<WithRoleRow> = sql(concat!(with_role!(), "WHERE m.user_id = $1 AND m.workspace_id = $2"))
        .bind::<st::Uuid, _>(person.uuid())
        .bind::<st::Uuid, _>(id.uuid())
        .load(conn)
        .await?;
    rows.into_iter().next().map(WorkspaceWithRole::try_from).transpose()
}

/// Writes a workspace's fields and its version.
pub async fn update(conn: &mut AsyncPgConnection, workspace: &Workspace) -> Result<()> {
    diesel::update(workspaces::table.find(workspace.id.uuid()))
        .set((
            workspaces::name.eq(workspace.name.as_str()),
            workspaces::color.eq(workspace.color.get()),
            workspaces::deleted_at.eq(workspace.deleted_at),
            workspaces::version.eq(workspace.version),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether there is any workspace, those in the trash included.
pub async fn any(conn: &mut AsyncPgConnection) -> Result<bool> {
    Ok(diesel::select(diesel::dsl::exists(workspaces::table.select(workspaces::id))).get_result(conn).await?)
}

/// Whether a workspace holds a project that is not in the trash.
pub async fn has_live_projects(conn: &mut AsyncPgConnection, id: WorkspaceId) -> Result<bool> {
    use crate::schema::projects;
    let live =
        projects::table.filter(projects::workspace_id.eq(id.uuid())).filter(projects::deleted_at.is_null());
    Ok(diesel::select(diesel::dsl::exists(live)).get_result(conn).await?)
}

#[derive(Queryable, Selectable, QueryableByName)]
#[diesel(table_name = workspaces)]
struct WorkspaceRow {
    id: Uuid,
    name: String,
    color: i16,
    created_at: Time,
    deleted_at: Option<Time>,
    version: i64,
}

impl TryFrom<WorkspaceRow> for Workspace {
    type Error = crate::Error;
    fn try_from(row: WorkspaceRow) -> Result<Self> {
        Ok(Self {
            id: row.id.into(),
            name: WorkspaceName::stored(&row.name),
            color: Color::parse(row.color)?,
            created_at: row.created_at,
            deleted_at: row.deleted_at,
            version: row.version,
        })
    }
}

#[derive(QueryableByName)]
struct WithRoleRow {
    #[diesel(embed)]
    workspace: WorkspaceRow,
    #[diesel(sql_type = st::Text)]
    role: String,
    #[diesel(sql_type = st::BigInt)]
    members: i64,
    #[diesel(sql_type = st::BigInt)]
    projects: i64,
}

impl TryFrom<WithRoleRow> for WorkspaceWithRole {
    type Error = crate::Error;
    fn try_from(row: WithRoleRow) -> Result<Self> {
        Ok(Self {
            workspace: row.workspace.try_into()?,
            role: role_of_word(&row.role)?,
            members: row.members,
            projects: row.projects,
        })
    }
}
