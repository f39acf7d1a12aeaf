//! Boards.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    ids::{ProjectId, WorkflowId},
    templates::Template,
    text::TextError,
    workflows::{Workflow, WorkflowName},
};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    schema::{projects, workflow_slugs, workflows},
};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = workflows)]
struct WorkflowRow {
    id: Uuid,
    project_id: Uuid,
    name: String,
    slug: String,
    position: i32,
    created_at: Time,
    version: i64,
}

impl TryFrom<WorkflowRow> for Workflow {
    type Error = Error;
    fn try_from(row: WorkflowRow) -> Result<Self> {
        Ok(Self {
            id: row.id.into(),
            project_id: row.project_id.into(),
            name: WorkflowName::stored(&row.name),
            slug: row.slug,
            position: row.position,
            created_at: row.created_at,
            version: row.version,
        })
    }
}

/// Adds a board and its slug.
pub async fn insert(conn: &mut AsyncPgConnection, new: &Workflow) -> Result<()> {
    let row = WorkflowRow {
        id: new.id.uuid(),
        project_id: new.project_id.uuid(),
        name: new.name.as_str().to_owned(),
        slug: new.slug.clone(),
        position: new.position,
        created_at: new.created_at,
        version: new.version,
    };
    diesel::insert_into(workflows::table).values(row).execute(conn).await?;
    remember_slug(conn, new.project_id, new.id, &new.slug).await
}

/// Boards of a project, in their order.
pub async fn of_project(conn: &mut AsyncPgConnection, project: ProjectId) -> Result<Vec<Workflow>> {
    let rows: Vec<WorkflowRow> = workflows::table
        .filter(workflows::project_id.eq(project.uuid()))
        .order((workflows::position, workflows::id))
        .select(WorkflowRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(Workflow::try_from).collect()
}

/// A board of a project by id.
pub async fn find(
    conn: &mut AsyncPgConnection,
    project: ProjectId,
    id: WorkflowId,
) -> Result<Option<Workflow>> {
    let row: Option<WorkflowRow> = workflows::table
        .filter(workflows::id.eq(id.uuid()))
        .filter(workflows::project_id.eq(project.uuid()))
        .select(WorkflowRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Workflow::try_from).transpose()
}

/// A board of a project by its slug or any slug it had before.
pub async fn find_by_slug(
    conn: &mut AsyncPgConnection,
    project: ProjectId,
    slug: &str,
) -> Result<Option<Workflow>> {
    let row: Option<WorkflowRow> = workflow_slugs::table
        .inner_join(workflows::table.on(workflows::id.eq(workflow_slugs::workflow_id)))
        .filter(workflow_slugs::project_id.eq(project.uuid()))
        .filter(workflow_slugs::slug.eq(slug))
        .select(WorkflowRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Workflow::try_from).transpose()
}

/// Every slug taken in a project, old ones included.
pub async fn slugs(conn: &mut AsyncPgConnection, project: ProjectId) -> Result<Vec<(String, WorkflowId)>> {
    let rows: Vec<(String, Uuid)> = workflow_slugs::table
        .filter(workflow_slugs::project_id.eq(project.uuid()))
        .select((workflow_slugs::slug, workflow_slugs::workflow_id))
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|(slug, id)| (slug, id.into())).collect())
}

/// The template whose columns the boards of a project get.
pub async fn template(conn: &mut AsyncPgConnection, project: ProjectId) -> Result<Template> {
    let template: serde_json::Value =
        projects::table.find(project.uuid()).select(projects::template).first(conn).await?;
    serde_json::from_value(template).map_err(|e| TextError::new("invalid-template", e.to_string()).into())
}

/// Writes a board's name, slug, position and version.
pub async fn update(conn: &mut AsyncPgConnection, workflow: &Workflow) -> Result<()> {
    diesel::update(workflows::table.find(workflow.id.uuid()))
        .set((
            workflows::name.eq(workflow.name.as_str()),
            workflows::slug.eq(&workflow.slug),
            workflows::position.eq(workflow.position),
            workflows::version.eq(workflow.version),
        ))
        .execute(conn)
        .await?;
    remember_slug(conn, workflow.project_id, workflow.id, &workflow.slug).await
}

/// Removes a board whose stories are gone, with its columns and slugs.
pub async fn delete(conn: &mut AsyncPgConnection, id: WorkflowId) -> Result<()> {
    diesel::delete(workflows::table.find(id.uuid())).execute(conn).await?;
    Ok(())
}

async fn remember_slug(
    conn: &mut AsyncPgConnection,
    project: ProjectId,
    workflow: WorkflowId,
    slug: &str,
) -> Result<()> {
    diesel::insert_into(workflow_slugs::table)
        .values((
            workflow_slugs::project_id.eq(project.uuid()),
            workflow_slugs::slug.eq(slug),
            workflow_slugs::workflow_id.eq(workflow.uuid()),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}
