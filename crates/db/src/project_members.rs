//! Members of projects.

use diesel::{QueryableByName, prelude::*, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    ids::{ProjectId, RoleId, UserId, WorkspaceId},
    members::ProjectMember,
    page::{Page, TimeKey},
};
use uuid::Uuid;

use crate::{
    error::Result,
    people::PersonRow,
    schema::{project_members as members, project_roles, users},
    sql::sql,
};

/// Adds a person.
pub async fn insert(
    conn: &mut AsyncPgConnection,
    project: ProjectId,
    person: UserId,
    role: RoleId,
    at: Time,
) -> Result<()> {
    diesel::insert_into(members::table)
        .values((
            members::project_id.eq(project.uuid()),
            members::user_id.eq(person.uuid()),
            members::role_id.eq(role.uuid()),
            members::created_at.eq(at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// The people of a project, in order of arrival.
pub async fn of_project(
    conn: &mut AsyncPgConnection,
    project: ProjectId,
    page: &Page<TimeKey>,
) -> Result<Vec<ProjectMember>> {
    let (since, id) = page.after.unwrap_or((Time::UNIX_EPOCH, Uuid::nil()));
    let rows: Vec<Row> = members::table
        .inner_join(users::table)
        .inner_join(project_roles::table)
        .filter(members::project_id.eq(project.uuid()))
        .filter(members::created_at.gt(since).or(members::created_at.eq(since).and(members::user_id.gt(id))))
        .order((members::created_at, members::user_id))
        .limit(page.fetch())
        .select((
            PersonRow::as_select(),
            members::role_id,
            project_roles::slug,
            members::created_at,
            members::version,
        ))
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(member).collect())
}

/// How many people are in a project.
pub async fn count(conn: &mut AsyncPgConnection, project: ProjectId) -> Result<i64> {
    let all = members::table.filter(members::project_id.eq(project.uuid()));
    Ok(all.count().get_result(conn).await?)
}

/// One person of a project.
pub async fn find(
    conn: &mut AsyncPgConnection,
    project: ProjectId,
    person: UserId,
) -> Result<Option<ProjectMember>> {
    let row: Option<Row> = members::table
        .inner_join(users::table)
        .inner_join(project_roles::table)
        .filter(members::project_id.eq(project.uuid()))
        .filter(members::user_id.eq(person.uuid()))
        .select((
            PersonRow::as_select(),
            members::role_id,
            project_roles::slug,
            members::created_at,
            members::version,
        ))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(member))
}

/// The owners of a project whose accounts are active, in order of arrival: nobody else can act as one.
pub async fn owners(conn: &mut AsyncPgConnection, project: ProjectId) -> Result<Vec<UserId>> {
    let ids: Vec<Uuid> = members::table
        .inner_join(project_roles::table)
        .inner_join(users::table)
        .filter(members::project_id.eq(project.uuid()))
        .filter(project_roles::is_owner)
        .filter(users::is_active)
        .order((members::created_at, members::user_id))
        .select(members::user_id)
        .load(conn)
        .await?;
    Ok(ids.into_iter().map(Into::into).collect())
}

/// Gives a person another role.
pub async fn set_role(
    conn: &mut AsyncPgConnection,
    project: ProjectId,
    person: UserId,
    role: RoleId,
) -> Result<()> {
    diesel::update(members::table.find((project.uuid(), person.uuid())))
        .set((members::role_id.eq(role.uuid()), members::version.eq(members::version + 1)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes a person out.
pub async fn delete(conn: &mut AsyncPgConnection, project: ProjectId, person: UserId) -> Result<()> {
    diesel::delete(members::table.find((project.uuid(), person.uuid()))).execute(conn).await?;
    Ok(())
}

/// A project that a person is in, as leaving it needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub project_id: ProjectId,
    /// Whether they are its only owner whose account is active.
    pub sole_owner: bool,
    /// The project's owner role.
    pub owner_role: RoleId,
}

/// The projects of a workspace that a person is in, those in the trash too.
pub async fn held(conn: &mut AsyncPgConnection, workspace: WorkspaceId, person: UserId) -> Result<Vec<Held>> {
    let rows: Vec<HeldRow> =
        sql("SELECT p.id AS project_id, o.id AS owner_role, m.role_id = o.id AND NOT EXISTS (
             SELECT 1 FROM project_members x JOIN users u ON u.id = x.user_id AND u.is_active
             WHERE x.project_id = p.id AND x.role_id = o.id AND x.user_id <> $2) AS sole_owner
         FROM project_members m JOIN projects p ON p.id = m.project_id
           JOIN project_roles o ON o.project_id = p.id AND o.is_owner
         WHERE p.workspace_id = $1 AND m.user_id = $2 ORDER BY p.id")
        .bind::<st::Uuid, _>(workspace.uuid())
        .bind::<st::Uuid, _>(person.uuid())
        .load(conn)
        .await?;
    let held = |r: HeldRow| Held {
        project_id: r.project_id.into(),
        sole_owner: r.sole_owner,
        owner_role: r.owner_role.into(),
    };
    Ok(rows.into_iter().map(held).collect())
}

#[derive(QueryableByName)]
struct HeldRow {
    #[diesel(sql_type = st::Uuid)]
    project_id: Uuid,
    #[diesel(sql_type = st::Bool)]
    sole_owner: bool,
    #[diesel(sql_type = st::Uuid)]
    owner_role: Uuid,
}

type Row = (PersonRow, Uuid, String, Time, i64);

fn member((person, role_id, role, created_at, version): Row) -> ProjectMember {
    ProjectMember { user: person.into(), role_id: role_id.into(), role, created_at, version }
}
