//! Columns of a board.

use serde_json::json;
use tenon_core::{
    Error, Result,
    callers::{Caller, Person},
    changes::{Change, Kind, Stream},
    ids::{ProjectId, StatusId},
    permissions::ProjectPermission as P,
    statuses::{NewStatus, Status, StatusPatch, StoriesOfDeleted},
    stories::Anchor,
    text::Color,
    workflows::Workflow,
};
use tenon_db::{statuses as rows, stories as story_rows};

use crate::{
    App, Tx, access,
    stories::{gone, place},
    workflows::{Fate, WorkflowRef, find},
};

/// Columns of a board, in their order.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    workflow: &WorkflowRef,
) -> Result<Vec<Status>> {
    let mut conn = app.read().await?;
    let access = access::project(app, &mut conn, caller, project).await?;
    access.see(P::ViewWorkflow, "workflow")?;
    let workflow = find(&mut conn, project, workflow).await?;
    Ok(rows::of_workflow(&mut conn, workflow.id).await?)
}

/// Adds a column, last on its board.
pub async fn create(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    workflow: &WorkflowRef,
    new: NewStatus,
) -> Result<Status> {
    change_board(app, caller, project, workflow, async |tx, workflow, _| {
        let columns = rows::of_workflow(tx.conn(), workflow.id).await?;
        let most = app.settings.statuses_per_workflow;
        if columns.len() >= most {
            return Err(Error::conflict("too-many-statuses", format!("A board has at most {most} columns.")));
        }
        let id: StatusId = app.id();
        let status = Status {
            id,
            workflow_id: workflow.id,
            name: new.name.clone(),
            color: new.color.unwrap_or_else(|| Color::of(id.uuid())),
            position: columns.last().map_or(0, |s| s.position + 1),
            category: new.category,
            wip_limit: new.wip_limit,
            version: 1,
        };
        rows::insert_many(tx.conn(), std::slice::from_ref(&status)).await?;
        tx.record(Stream::Project(project), Change::new(Kind::StatusCreated, workflow.id, &status))?;
        Ok(status)
    })
    .await
}

/// Changes a column.
pub async fn patch(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    workflow: &WorkflowRef,
    id: StatusId,
    expected: Option<i64>,
    patch: StatusPatch,
) -> Result<Status> {
    change_board(app, caller, project, workflow, async |tx, workflow, _| {
        let old = rows::find(tx.conn(), workflow.id, id).await?.ok_or(Error::NotFound("status"))?;
        refuse_stale(&old, expected)?;
        let mut status = old.clone();
        if let Some(name) = &patch.name {
            status.name = name.clone();
        }
        status.color = patch.color.unwrap_or(status.color);
        status.category = patch.category.unwrap_or(status.category);
        status.wip_limit = patch.wip_limit.unwrap_or(status.wip_limit);
        if status != old {
            status.version += 1;
            rows::update(tx.conn(), &status).await?;
            let change = Change::new(Kind::StatusUpdated, workflow.id, &status).with_before(&old);
            tx.record(Stream::Project(project), change)?;
        }
        Ok(status)
    })
    .await
}

/// Puts a board's columns in the order given, which names each of them once.
pub async fn reorder(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    workflow: &WorkflowRef,
    order: &[StatusId],
) -> Result<Vec<Status>> {
    change_board(app, caller, project, workflow, async |tx, workflow, _| {
        let before: Vec<StatusId> =
            rows::of_workflow(tx.conn(), workflow.id).await?.iter().map(|s| s.id).collect();
        let (mut named, mut present) = (order.to_vec(), before.clone());
        named.sort_unstable();
        present.sort_unstable();
        if named != present {
            return Err(Error::invalid(
                "/status_ids",
                "incomplete-order",
                "Name every column of the board exactly once.",
            ));
        }
        if before != order {
            rows::reorder(tx.conn(), order).await?;
            let data = json!({ "workflow_id": workflow.id, "status_ids": order });
            let change = Change::new(Kind::StatusReordered, workflow.id, data)
                .with_before(json!({ "status_ids": before }));
            tx.record(Stream::Project(project), change)?;
        }
        Ok(rows::of_workflow(tx.conn(), workflow.id).await?)
    })
    .await
}

/// Deletes a column. Its stories move to another column of the same board or to the trash, as said; the last column stays.
pub async fn delete(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    workflow: &WorkflowRef,
    id: StatusId,
    expected: Option<i64>,
    fate: StoriesOfDeleted,
) -> Result<()> {
    change_board(app, caller, project, workflow, async |tx, workflow, by| {
        let columns = rows::of_workflow(tx.conn(), workflow.id).await?;
        let status = columns.iter().find(|s| s.id == id).ok_or(Error::NotFound("status"))?;
        refuse_stale(status, expected)?;
        let Some(neighbour) = columns.iter().find(|s| s.id != id) else {
            return Err(Error::conflict("last-status", "A board keeps at least one column."));
        };
        let (to, fate) = match fate {
            StoriesOfDeleted::MoveTo(to) => {
                let to = columns.iter().find(|s| s.id == to && s.id != id).ok_or_else(|| {
                    Error::invalid(
                        "move_to",
                        "unknown-status",
                        "There is no such other column on this board.",
                    )
                })?;
                (to, Fate::Move)
            }
            StoriesOfDeleted::Delete => (neighbour, Fate::Trash),
            StoriesOfDeleted::Unsaid => (neighbour, Fate::RefuseUnlessEmpty),
        };
        empty_columns(tx, by, &[id], to, fate).await?;
        rows::delete(tx.conn(), id).await?;
        let data = json!({ "id": id, "workflow_id": workflow.id, "name": status.name });
        tx.record(Stream::Project(project), Change::new(Kind::StatusDeleted, workflow.id, data))
    })
    .await
}

/// Makes columns ready to go: none of their stories, not even one in the trash, refers to them afterwards.
pub(crate) async fn empty_columns(
    tx: &mut Tx<'_>,
    by: &Person,
    columns: &[StatusId],
    to: &Status,
    fate: Fate,
) -> Result<()> {
    let stories = story_rows::of_statuses(tx.conn(), columns).await?;
    let (live, trashed): (Vec<_>, Vec<_>) = stories.into_iter().partition(|s| s.deleted_at.is_none());
    if fate == Fate::RefuseUnlessEmpty && !live.is_empty() {
        return Err(Error::conflict(
            "has-stories",
            "There are stories in it. Say where they go with move_to, or delete_stories=true to move them to the trash.",
        ));
    }
    let now = tx.now();
    if fate == Fate::Move {
        place(tx, by, live, to.id, Anchor::Last, "move_to").await?;
    } else {
        for story in &live {
            let change = Change::new(Kind::StoryDeleted, story.id, gone(story));
            tx.record(Stream::Project(story.project_id), change)?;
        }
    }
    if fate != Fate::Move || !trashed.is_empty() {
        story_rows::trash_all(tx.conn(), columns, (to.workflow_id, to.id), by.id, now).await?;
    }
    Ok(())
}

async fn change_board<T>(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    workflow: &WorkflowRef,
    work: impl AsyncFnOnce(&mut Tx<'_>, &Workflow, &Person) -> Result<T>,
) -> Result<T> {
    app.write(&[Stream::Project(project)], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        access.see(P::ViewWorkflow, "workflow")?;
        let workflow = find(tx.conn(), project, workflow).await?;
        access.allow(P::ModifyWorkflow)?;
        work(tx, &workflow, &access.person).await
    })
    .await
}

fn refuse_stale(status: &Status, expected: Option<i64>) -> Result<()> {
    match expected {
        Some(expected) if expected != status.version => Err(Error::Stale {
            what: "status",
            expected,
            current: status.version,
            representation: serde_json::to_value(status).ok(),
        }),
        _ => Ok(()),
    }
}
