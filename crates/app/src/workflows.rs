//! Boards.

use serde_json::json;
use tenon_core::{
    Error, Result,
    callers::Caller,
    changes::{Change, Kind, Stream},
    ids::{ProjectId, WorkflowId},
    permissions::ProjectPermission as P,
    statuses::Status,
    stories::StorySummary,
    templates::Template,
    text::Color,
    workflows::{Workflow, WorkflowName, slug_of},
};
use tenon_db::{Connection, statuses, stories, workflows as rows};

use crate::{App, Tx, access, statuses::empty_columns};

/// A board with everything on it.
#[derive(Debug, Clone)]
pub struct Board {
    /// The board.
    pub workflow: Workflow,
    /// Its columns, in their order.
    pub statuses: Vec<Status>,
    /// Its stories, by column, rank and id.
    pub stories: Vec<StorySummary>,
}

/// How a path names a board: its id, or a slug it has or had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkflowRef {
    /// By id.
    Id(WorkflowId),
    /// By slug.
    Slug(String),
}

impl std::str::FromStr for WorkflowRef {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Self::Slug(text.to_owned()), Self::Id))
    }
}

/// What happens to the stories of a deleted board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoriesOfBoard {
    /// They move, last, to the first column of this board of the same project.
    MoveTo(WorkflowId),
    /// They move to the trash.
    Delete,
    /// Nothing was said: refused unless there are none.
    Unsaid,
}

/// Boards of a project, in their order.
pub async fn list(app: &App, caller: &Caller, project: ProjectId) -> Result<Vec<Workflow>> {
    let mut conn = app.read().await?;
    let access = access::project(app, &mut conn, caller, project).await?;
    access.see(P::ViewWorkflow, "project")?;
    Ok(rows::of_project(&mut conn, project).await?)
}

/// A board with its columns and the summaries of all its stories.
pub async fn board(app: &App, caller: &Caller, project: ProjectId, workflow: &WorkflowRef) -> Result<Board> {
    let mut conn = app.read().await?;
    let access = access::project(app, &mut conn, caller, project).await?;
    access.see(P::ViewWorkflow, "workflow")?;
    let workflow = find(&mut conn, project, workflow).await?;
    let columns = statuses::of_workflow(&mut conn, workflow.id).await?;
    let cards = stories::of_workflow(&mut conn, workflow.id).await?;
    Ok(Board { workflow, statuses: columns, stories: cards })
}

/// Makes a board with the columns of the project's template, last in order.
pub async fn create(app: &App, caller: &Caller, project: ProjectId, name: WorkflowName) -> Result<Board> {
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        access.see(P::ViewWorkflow, "project")?;
        access.allow(P::CreateWorkflow)?;
        let present = rows::of_project(tx.conn(), project).await?;
        let most = app.settings.workflows_per_project;
        if present.len() >= most {
            return Err(Error::conflict(
                "too-many-workflows",
                format!("A project has at most {most} boards."),
            ));
        }
        let template = rows::template(tx.conn(), project).await?;
        let position = present.iter().map(|w| w.position + 1).max().unwrap_or(0);
        add(tx, project, name.clone(), position, &template).await
    })
    .await
}

/// Adds a board with a template's columns to a project whose stream the write holds.
pub(crate) async fn add(
    tx: &mut Tx<'_>,
    project: ProjectId,
    name: WorkflowName,
    position: i32,
    template: &Template,
) -> Result<Board> {
    let slug = free_slug(tx.conn(), project, None, &name).await?;
    let id: WorkflowId = tx.app().id();
    let workflow =
        Workflow { id, project_id: project, name, slug, position, created_at: tx.now(), version: 1 };
    let mut columns = Vec::with_capacity(template.statuses.len());
    for (position, column) in (0..).zip(&template.statuses) {
        columns.push(Status {
            id: tx.app().id(),
            workflow_id: id,
            name: tenon_core::statuses::StatusName::parse(&column.name).map_err(Error::internal)?,
            color: Color::parse(column.color).map_err(Error::internal)?,
            position,
            category: column.category,
            wip_limit: None,
            version: 1,
        });
    }
    rows::insert(tx.conn(), &workflow).await?;
    statuses::insert_many(tx.conn(), &columns).await?;
    let data = json!({ "workflow": workflow, "statuses": columns });
    tx.record(Stream::Project(project), Change::new(Kind::WorkflowCreated, id, data))?;
    Ok(Board { workflow, statuses: columns, stories: vec![] })
}

/// Renames a board or moves it among the project's boards; a new name brings a new slug, and the old one keeps leading here.
pub async fn patch(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    workflow: &WorkflowRef,
    expected: Option<i64>,
    name: Option<WorkflowName>,
    position: Option<usize>,
) -> Result<Workflow> {
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        access.see(P::ViewWorkflow, "workflow")?;
        let mut workflow = find(tx.conn(), project, workflow).await?;
        access.allow(P::ModifyWorkflow)?;
        refuse_stale(&workflow, expected)?;
        let before = json!({ "name": workflow.name, "slug": workflow.slug, "position": workflow.position });
        if let Some(name) = name.clone().filter(|n| *n != workflow.name) {
            workflow.slug = free_slug(tx.conn(), project, Some(workflow.id), &name).await?;
            workflow.name = name;
        }
        let mut others = rows::of_project(tx.conn(), project).await?;
        others.retain(|w| w.id != workflow.id);
        if let Some(position) = position {
            let at = position.min(others.len());
            for (place, other) in others.iter_mut().enumerate() {
                let place = to_position(if place < at { place } else { place + 1 });
                if other.position != place {
                    other.position = place;
                    other.version += 1;
                    rows::update(tx.conn(), other).await?;
                    tx.record(stream, Change::new(Kind::WorkflowUpdated, other.id, &*other))?;
                }
            }
            workflow.position = to_position(at);
        }
        let after = json!({ "name": workflow.name, "slug": workflow.slug, "position": workflow.position });
        if after != before {
            workflow.version += 1;
            rows::update(tx.conn(), &workflow).await?;
            tx.record(
                stream,
                Change::new(Kind::WorkflowUpdated, workflow.id, &workflow).with_before(before),
            )?;
        }
        Ok(workflow)
    })
    .await
}

/// Deletes a board. Its stories move to another board or to the trash, as said; the last board stays.
pub async fn delete(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    workflow: &WorkflowRef,
    expected: Option<i64>,
    fate: StoriesOfBoard,
) -> Result<()> {
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        access.see(P::ViewWorkflow, "workflow")?;
        let workflow = find(tx.conn(), project, workflow).await?;
        access.allow(P::DeleteWorkflow)?;
        refuse_stale(&workflow, expected)?;
        let others: Vec<Workflow> =
            rows::of_project(tx.conn(), project).await?.into_iter().filter(|w| w.id != workflow.id).collect();
        let Some(neighbour) = others.first() else {
            return Err(Error::conflict("last-workflow", "A project keeps at least one board."));
        };
        let (to, fate) = match fate {
            StoriesOfBoard::MoveTo(id) => {
                let to = others.iter().find(|w| w.id == id).ok_or_else(|| {
                    Error::invalid(
                        "move_to",
                        "unknown-workflow",
                        "There is no such other board in this project.",
                    )
                })?;
                (to, Fate::Move)
            }
            StoriesOfBoard::Delete => (neighbour, Fate::Trash),
            StoriesOfBoard::Unsaid => (neighbour, Fate::RefuseUnlessEmpty),
        };
        let columns: Vec<_> =
            statuses::of_workflow(tx.conn(), workflow.id).await?.into_iter().map(|s| s.id).collect();
        let target = statuses::of_workflow(tx.conn(), to.id).await?;
        let target = target.first().ok_or_else(|| {
            Error::conflict("no-columns", "The board the stories would go to has no columns.")
        })?;
        empty_columns(tx, &access.person, &columns, target, fate).await?;
        rows::delete(tx.conn(), workflow.id).await?;
        tx.record(
            stream,
            Change::new(
                Kind::WorkflowDeleted,
                workflow.id,
                json!({ "id": workflow.id, "slug": workflow.slug }),
            ),
        )
    })
    .await
}

/// What happens to the stories of columns that go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They move.
    Move,
    /// They go to the trash.
    Trash,
    /// The deletion is refused if there are any.
    RefuseUnlessEmpty,
}

pub(crate) async fn find(
    conn: &mut Connection,
    project: ProjectId,
    workflow: &WorkflowRef,
) -> Result<Workflow> {
    let found = match workflow {
        WorkflowRef::Id(id) => rows::find(conn, project, *id).await?,
        WorkflowRef::Slug(slug) => rows::find_by_slug(conn, project, slug).await?,
    };
    found.ok_or(Error::NotFound("workflow"))
}

fn refuse_stale(workflow: &Workflow, expected: Option<i64>) -> Result<()> {
    match expected {
        Some(expected) if expected != workflow.version => Err(Error::Stale {
            what: "workflow",
            expected,
            current: workflow.version,
            representation: serde_json::to_value(workflow).ok(),
        }),
        _ => Ok(()),
    }
}

/// The slug of a name, with a number behind it when another board has or had it.
async fn free_slug(
    conn: &mut Connection,
    project: ProjectId,
    own: Option<WorkflowId>,
    name: &WorkflowName,
) -> Result<String> {
    let taken = rows::slugs(conn, project).await?;
    let free = |slug: &str| !taken.iter().any(|(s, id)| s == slug && Some(*id) != own);
    let stem = slug_of(name.as_str());
    let mut slug = stem.clone();
    let mut n = 2;
    while !free(&slug) || slug.parse::<uuid::Uuid>().is_ok() {
        slug = format!("{stem}-{n}");
        n += 1;
    }
    Ok(slug)
}

fn to_position(at: usize) -> i32 {
    i32::try_from(at).unwrap_or(i32::MAX)
}
