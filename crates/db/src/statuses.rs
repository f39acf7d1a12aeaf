//! Columns of a board.

use diesel::{prelude::*, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    ids::{StatusId, WorkflowId},
    statuses::{Category, Status, StatusName},
    text::{Color, TextError},
};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    schema::statuses,
    sql::sql,
};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = statuses)]
struct StatusRow {
    id: Uuid,
    workflow_id: Uuid,
    name: String,
    color: i16,
    position: i32,
    category: String,
    wip_limit: Option<i32>,
    version: i64,
}

impl TryFrom<StatusRow> for Status {
    type Error = Error;
    fn try_from(row: StatusRow) -> Result<Self> {
        Ok(Self {
            id: row.id.into(),
            workflow_id: row.workflow_id.into(),
            name: StatusName::stored(&row.name),
            color: Color::parse(row.color)?,
            position: row.position,
            category: Category::of(&row.category)
                .ok_or_else(|| TextError::new("unknown-category", "no such category"))?,
            wip_limit: row.wip_limit,
            version: row.version,
        })
    }
}

impl From<&Status> for StatusRow {
    fn from(status: &Status) -> Self {
        Self {
            id: status.id.uuid(),
            workflow_id: status.workflow_id.uuid(),
            name: status.name.as_str().to_owned(),
            color: status.color.get(),
            position: status.position,
            category: status.category.as_str().to_owned(),
            wip_limit: status.wip_limit,
            version: status.version,
        }
    }
}

/// Adds columns.
pub async fn insert_many(conn: &mut AsyncPgConnection, new: &[Status]) -> Result<()> {
    let rows: Vec<StatusRow> = new.iter().map(StatusRow::from).collect();
    diesel::insert_into(statuses::table).values(rows).execute(conn).await?;
    Ok(())
}

/// Columns of a board, in their order.
pub async fn of_workflow(conn: &mut AsyncPgConnection, workflow: WorkflowId) -> Result<Vec<Status>> {
    let rows: Vec<StatusRow> = statuses::table
        .filter(statuses::workflow_id.eq(workflow.uuid()))
        .order((statuses::position, statuses::id))
        .select(StatusRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(Status::try_from).collect()
}

/// A column of a board.
pub async fn find(
    conn: &mut AsyncPgConnection,
    workflow: WorkflowId,
    id: StatusId,
) -> Result<Option<Status>> {
    let row: Option<StatusRow> = statuses::table
        .filter(statuses::id.eq(id.uuid()))
        .filter(statuses::workflow_id.eq(workflow.uuid()))
        .select(StatusRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Status::try_from).transpose()
}

/// The board of a column, if the column is in this project.
pub async fn workflow_of(
    conn: &mut AsyncPgConnection,
    project: tenon_core::ids::ProjectId,
    id: StatusId,
) -> Result<Option<WorkflowId>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = st::Uuid)]
        workflow_id: Uuid,
    }
    let rows: Vec<Row> = sql("SELECT s.workflow_id FROM statuses s JOIN workflows w ON w.id = s.workflow_id
                              WHERE s.id = $1 AND w.project_id = $2")
    .bind::<st::Uuid, _>(id.uuid())
    .bind::<st::Uuid, _>(project.uuid())
    .load(conn)
    .await?;
    Ok(rows.into_iter().next().map(|r| r.workflow_id.into()))
}

/// Writes a column's fields and version.
pub async fn update(conn: &mut AsyncPgConnection, status: &Status) -> Result<()> {
    diesel::update(statuses::table.find(status.id.uuid()))
        .set((
            statuses::name.eq(status.name.as_str()),
            statuses::color.eq(status.color.get()),
            statuses::position.eq(status.position),
            statuses::category.eq(status.category.as_str()),
            statuses::wip_limit.eq(status.wip_limit),
            statuses::version.eq(status.version),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Puts columns in the order given, from position 0; the versions of those that move increase.
pub async fn reorder(conn: &mut AsyncPgConnection, order: &[StatusId]) -> Result<()> {
    let ids: Vec<Uuid> = order.iter().map(|id| id.uuid()).collect();
    sql("UPDATE statuses s SET position = o.place - 1, version = version + (s.position <> o.place - 1)::int
         FROM unnest($1) WITH ORDINALITY AS o(id, place) WHERE s.id = o.id")
    .bind::<st::Array<st::Uuid>, _>(ids)
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes a column whose stories are gone.
pub async fn delete(conn: &mut AsyncPgConnection, id: StatusId) -> Result<()> {
    diesel::delete(statuses::table.find(id.uuid())).execute(conn).await?;
    Ok(())
}
