//! Projects.

use diesel::{QueryableByName, prelude::*, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    ids::{ProjectId, UserId, WorkspaceId},
    page::Page,
    projects::{Project, ProjectDescription, ProjectFilter, ProjectKey, ProjectName, ProjectWithRole},
    templates::Template,
    text::{Color, TextError},
};
use uuid::Uuid;

use crate::{error::Result, project_roles::RoleRow, schema::projects, sql::sql};

/// Adds a project that later boards make after `template`.
pub async fn insert(
    conn: &mut AsyncPgConnection,
    project: &Project,
    template: &Template,
    created_by: UserId,
) -> Result<()> {
    let template =
        serde_json::to_value(template).map_err(|e| TextError::new("invalid-template", e.to_string()))?;
    diesel::insert_into(projects::table)
        .values((
            projects::id.eq(project.id.uuid()),
            projects::workspace_id.eq(project.workspace_id.uuid()),
            projects::name.eq(project.name.as_str()),
            projects::description.eq(project.description.as_str()),
            projects::color.eq(project.color.get()),
            projects::key.eq(project.key.as_str()),
            projects::template.eq(template),
            projects::created_by.eq(created_by.uuid()),
            projects::created_at.eq(project.created_at),
            projects::version.eq(project.version),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// A project, be it in the trash or not.
pub async fn find(conn: &mut AsyncPgConnection, id: ProjectId) -> Result<Option<Project>> {
    let row: Option<ProjectRow> =
        projects::table.find(id.uuid()).select(ProjectRow::as_select()).first(conn).await.optional()?;
    row.map(Project::try_from).transpose()
}

/// Every key taken in a workspace, by projects in the trash too.
pub async fn keys(conn: &mut AsyncPgConnection, workspace: WorkspaceId) -> Result<Vec<String>> {
    Ok(projects::table
        .filter(projects::workspace_id.eq(workspace.uuid()))
        .select(projects::key)
        .load(conn)
        .await?)
}

macro_rules! with_role {
    () => {
        "SELECT p.id AS p_id, p.workspace_id, p.name AS p_name, p.description, p.color, p.key, p.created_at,
           p.archived_at, p.deleted_at, p.version AS p_version,
           r.id, r.project_id, r.name, r.slug, r.is_owner, r.editable, r.position, r.permissions, r.version,
           (SELECT count(*) FROM project_members x WHERE x.project_id = p.id) AS members
         FROM project_members m JOIN projects p ON p.id = m.project_id JOIN project_roles r ON r.id = m.role_id
           JOIN workspaces w ON w.id = p.workspace_id AND w.deleted_at IS NULL "
    };
}

/// The projects a person is in, oldest first.
pub async fn of_person(
    conn: &mut AsyncPgConnection,
    person: UserId,
    filter: &ProjectFilter,
    page: &Page<Uuid>,
) -> Result<Vec<ProjectWithRole>> {
    let rows: Vec<WithRoleRow> = sql(concat!(
        with_role!(),
        "WHERE m.user_id = $1 AND (p.deleted_at IS NOT NULL) = $2 AND ($3 IS NULL OR p.workspace_id = $3)
           AND ($4 IS NULL OR (p.archived_at IS NOT NULL) = $4) AND p.id > $5
         ORDER BY p.id LIMIT $6"
    ))
    .bind::<st::Uuid, _>(person.uuid())
    .bind::<st::Bool, _>(filter.trashed)
    .bind::<st::Nullable<st::Uuid>, _>(filter.workspace.map(WorkspaceId::uuid))
    .bind::<st::Nullable<st::Bool>, _>(filter.archived)
    .bind::<st::Uuid, _>(page.after.unwrap_or_default())
    .bind::<st::BigInt, _>(page.fetch())
    .load(conn)
    .await?;
    rows.into_iter().map(ProjectWithRole::try_from).collect()
}

/// How many [`of_person`] would answer without a limit.
pub async fn count_of_person(
    conn: &mut AsyncPgConnection,
    person: UserId,
    filter: &ProjectFilter,
) -> Result<i64> {
    let row: CountRow =
        sql("SELECT count(*) AS n FROM project_members m JOIN projects p ON p.id = m.project_id
           JOIN workspaces w ON w.id = p.workspace_id AND w.deleted_at IS NULL
         WHERE m.user_id = $1 AND (p.deleted_at IS NOT NULL) = $2 AND ($3 IS NULL OR p.workspace_id = $3)
           AND ($4 IS NULL OR (p.archived_at IS NOT NULL) = $4)")
        .bind::<st::Uuid, _>(person.uuid())
        .bind::<st::Bool, _>(filter.trashed)
        .bind::<st::Nullable<st::Uuid>, _>(filter.workspace.map(WorkspaceId::uuid))
        .bind::<st::Nullable<st::Bool>, _>(filter.archived)
        .get_result(conn)
        .await?;
    Ok(row.n)
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = st::BigInt)]
    n: i64,
}

/// A project as one of its members sees it, be it in the trash or not.
pub async fn with_role(
    conn: &mut AsyncPgConnection,
    person: UserId,
    id: ProjectId,
) -> Result<Option<ProjectWithRole>> {
    let rows: Vec<WithRoleRow> = sql(concat!(with_role!(), "WHERE m.user_id = $1 AND m.project_id = $2"))
        .bind::<st::Uuid, _>(person.uuid())
        .bind::<st::Uuid, _>(id.uuid())
        .load(conn)
        .await?;
    rows.into_iter().next().map(ProjectWithRole::try_from).transpose()
}

/// Writes a project's fields and its version.
pub async fn update(conn: &mut AsyncPgConnection, project: &Project) -> Result<()> {
    diesel::update(projects::table.find(project.id.uuid()))
        .set((
            projects::name.eq(project.name.as_str()),
            projects::description.eq(project.description.as_str()),
            projects::color.eq(project.color.get()),
            projects::key.eq(project.key.as_str()),
            projects::archived_at.eq(project.archived_at),
            projects::deleted_at.eq(project.deleted_at),
            projects::version.eq(project.version),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = projects)]
struct ProjectRow {
    id: Uuid,
    workspace_id: Uuid,
    name: String,
    description: String,
    color: i16,
    key: String,
    created_at: Time,
    archived_at: Option<Time>,
    deleted_at: Option<Time>,
    version: i64,
}

impl TryFrom<ProjectRow> for Project {
    type Error = crate::Error;
    fn try_from(row: ProjectRow) -> Result<Self> {
        Ok(Self {
            id: row.id.into(),
            workspace_id: row.workspace_id.into(),
            name: ProjectName::stored(&row.name),
            description: ProjectDescription::stored(&row.description),
            color: Color::parse(row.color)?,
            key: ProjectKey::parse(&row.key)?,
            created_at: row.created_at,
            archived_at: row.archived_at,
            deleted_at: row.deleted_at,
            version: row.version,
        })
    }
}

/// Columns that the role has too are prefixed.
#[derive(QueryableByName)]
struct WithRoleRow {
    #[diesel(sql_type = st::Uuid)]
    p_id: Uuid,
    #[diesel(sql_type = st::Uuid)]
    workspace_id: Uuid,
    #[diesel(sql_type = st::Text)]
    p_name: String,
    #[diesel(sql_type = st::Text)]
    description: String,
    #[diesel(sql_type = st::SmallInt)]
    color: i16,
    #[diesel(sql_type = st::Text)]
    key: String,
    #[diesel(sql_type = st::Timestamptz)]
    created_at: Time,
    #[diesel(sql_type = st::Nullable<st::Timestamptz>)]
    archived_at: Option<Time>,
    #[diesel(sql_type = st::Nullable<st::Timestamptz>)]
    deleted_at: Option<Time>,
    #[diesel(sql_type = st::BigInt)]
    p_version: i64,
    #[diesel(embed)]
    role: RoleRow,
    #[diesel(sql_type = st::BigInt)]
    members: i64,
}

impl TryFrom<WithRoleRow> for ProjectWithRole {
    type Error = crate::Error;
    fn try_from(row: WithRoleRow) -> Result<Self> {
        let project = ProjectRow {
            id: row.p_id,
            workspace_id: row.workspace_id,
            name: row.p_name,
            description: row.description,
            color: row.color,
            key: row.key,
            created_at: row.created_at,
            archived_at: row.archived_at,
            deleted_at: row.deleted_at,
            version: row.p_version,
        };
        Ok(Self { project: project.try_into()?, role: row.role.try_into()?, members: row.members })
    }
}
