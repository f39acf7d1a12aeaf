//! Members of workspaces.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    ids::{UserId, WorkspaceId},
    members::WorkspaceMember,
    page::{Page, TimeKey},
    roles::WorkspaceRole,
    text::TextError,
};
use uuid::Uuid;

use crate::{
    error::Result,
    people::PersonRow,
    schema::{users, workspace_members as members},
};

/// Adds a person.
pub async fn insert(
    conn: &mut AsyncPgConnection,
    workspace: WorkspaceId,
    person: UserId,
    role: WorkspaceRole,
    at: Time,
) -> Result<()> {
    diesel::insert_into(members::table)
        .values((
            members::workspace_id.eq(workspace.uuid()),
            members::user_id.eq(person.uuid()),
            members::role.eq(role.as_str()),
            members::created_at.eq(at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// The people of a workspace, in order of arrival.
pub async fn of_workspace(
    conn: &mut AsyncPgConnection,
    workspace: WorkspaceId,
    page: &Page<TimeKey>,
) -> Result<Vec<WorkspaceMember>> {
    let (since, id) = page.after.unwrap_or((Time::UNIX_EPOCH, Uuid::nil()));
    let rows: Vec<Row> = members::table
        .inner_join(users::table)
        .filter(members::workspace_id.eq(workspace.uuid()))
        .filter(members::created_at.gt(since).or(members::created_at.eq(since).and(members::user_id.gt(id))))
        .order((members::created_at, members::user_id))
        .limit(page.fetch())
        .select((PersonRow::as_select(), members::role, members::created_at, members::version))
        .load(conn)
        .await?;
    rows.into_iter().map(member).collect()
}

/// How many people are in a workspace.
pub async fn count(conn: &mut AsyncPgConnection, workspace: WorkspaceId) -> Result<i64> {
    let all = members::table.filter(members::workspace_id.eq(workspace.uuid()));
    Ok(all.count().get_result(conn).await?)
}

/// One person of a workspace.
pub async fn find(
    conn: &mut AsyncPgConnection,
    workspace: WorkspaceId,
    person: UserId,
) -> Result<Option<WorkspaceMember>> {
    let row: Option<Row> = members::table
        .inner_join(users::table)
        .filter(members::workspace_id.eq(workspace.uuid()))
        .filter(members::user_id.eq(person.uuid()))
        .select((PersonRow::as_select(), members::role, members::created_at, members::version))
        .first(conn)
        .await
        .optional()?;
    row.map(member).transpose()
}

/// The owners of a workspace whose accounts are active, in order of arrival: nobody else can act as one.
pub async fn owners(conn: &mut AsyncPgConnection, workspace: WorkspaceId) -> Result<Vec<UserId>> {
    let ids: Vec<Uuid> = members::table
        .inner_join(users::table)
        .filter(members::workspace_id.eq(workspace.uuid()))
        .filter(members::role.eq(WorkspaceRole::Owner.as_str()))
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
    workspace: WorkspaceId,
    person: UserId,
    role: WorkspaceRole,
) -> Result<()> {
    diesel::update(members::table.find((workspace.uuid(), person.uuid())))
        .set((members::role.eq(role.as_str()), members::version.eq(members::version + 1)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes a person out.
pub async fn delete(conn: &mut AsyncPgConnection, workspace: WorkspaceId, person: UserId) -> Result<()> {
    diesel::delete(members::table.find((workspace.uuid(), person.uuid()))).execute(conn).await?;
    Ok(())
}

/// The role of a stored word.
pub(crate) fn role_of_word(word: &str) -> Result<WorkspaceRole, TextError> {
    WorkspaceRole::of(word).ok_or_else(|| TextError::new("unknown-role", "is no role of a workspace"))
}

type Row = (PersonRow, String, Time, i64);

fn member((person, role, created_at, version): Row) -> Result<WorkspaceMember> {
    Ok(WorkspaceMember { user: person.into(), role: role_of_word(&role)?, created_at, version })
}
