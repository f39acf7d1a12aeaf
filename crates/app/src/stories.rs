//! Stories: writing, reading, moving, and the trash.

use serde_json::json;
use tenon_core::{
    Error, Result,
    callers::{Caller, Person},
    changes::{Change, Kind, Stream},
    ids::{ProjectId, StatusId, StoryId, WorkflowId},
    page::{Items, Page, TimeKey},
    permissions::ProjectPermission as P,
    stories::{Anchor, NewStory, Story, StoryPatch, StoryRef, StorySummary, Touch},
};
use tenon_db::{
    Connection,
    stories::{self as rows, Place, Stored},
};

use crate::{
    App, Tx,
    access::{self, ProjectAccess},
    ranks::{self, Places},
};

pub use tenon_db::stories::Filter;

/// At most this many stories move in one call.
pub const MAX_MOVED: usize = 200;

/// Writes a story, last in its column.
pub async fn create(app: &App, caller: &Caller, project: ProjectId, new: NewStory) -> Result<Story> {
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        access.allow(P::CreateStory)?;
        let now = tx.now();
        let workflow = workflow_of(tx.conn(), project, new.status_id).await?;
        let place = ranks::places(tx, project, new.status_id, Anchor::Last, &[]).await?.ranks.swap_remove(0);
        let story = Story {
            id: app.id(),
            project_id: project,
            key: access.place.key.clone(),
            number: rows::take_numbers(tx.conn(), project, 1).await?,
            title: new.title.clone(),
            description: new.description.clone(),
            workflow_id: workflow,
            status_id: new.status_id,
            rank: place,
            version: 1,
            created_by: Some(access.person.as_ref()),
            created_at: now,
            title_updated: None,
            description_updated: None,
            moved: None,
            deleted_at: None,
        };
        let row = rows::Insert {
            id: story.id,
            project,
            number: story.number,
            title: &story.title,
            description: &story.description,
            workflow,
            status: story.status_id,
            rank: &story.rank,
            author: access.person.id,
            at: now,
        };
        rows::insert(tx.conn(), &row).await?;
        tx.record(stream, Change::new(Kind::StoryCreated, story.id, &story))?;
        Ok(story)
    })
    .await
}

/// A story of a project, by its number.
pub async fn get(app: &App, caller: &Caller, project: ProjectId, story: &StoryRef) -> Result<Story> {
    let mut conn = app.read().await?;
    let access = access::project(app, &mut conn, caller, project).await?;
    Ok(visible(&mut conn, &access, story).await?.story)
}

/// A story, by its id.
pub async fn get_by_id(app: &App, caller: &Caller, id: StoryId) -> Result<Story> {
    let mut conn = app.read().await?;
    let access = access::project_of_story(app, &mut conn, caller, id).await?;
    access.see(P::ViewStory, "story")?;
    let stored = rows::find_by_id(&mut conn, id).await?.ok_or(Error::NotFound("story"))?;
    if stored.story.deleted_at.is_some() { Err(Error::NotFound("story")) } else { Ok(stored.story) }
}

/// Stories of a project by number, and how many there are in all when `count` asks for it.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    filter: &Filter,
    page: Page<i64>,
    count: bool,
) -> Result<(Items<StorySummary, i64>, Option<i64>)> {
    let mut conn = app.read().await?;
    let access = access::project(app, &mut conn, caller, project).await?;
    access.see(P::ViewStory, "project")?;
    let items = rows::of_project(&mut conn, project, filter, page).await?;
    let total = if count { Some(rows::count(&mut conn, project, filter).await?) } else { None };
    Ok((items, total))
}

/// Changes a story. `expected` is the version the caller knows: a stale write is good as long as the fields it touches
/// have not changed since.
pub async fn patch(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    story: &StoryRef,
    expected: Option<i64>,
    patch: StoryPatch,
) -> Result<Story> {
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        let stored = visible(tx.conn(), &access, story).await?;
        access.allow(P::ModifyStory)?;
        refuse_stale(&stored, expected, &patch)?;
        let mut story = stored.story;
        change_text(tx, &access.person, &mut story, &patch).await?;
        if let Some(status) = patch.status_id.filter(|s| *s != story.status_id) {
            let moved = place(tx, &access.person, vec![story], status, Anchor::Last, "/status_id").await?;
            story = moved.into_iter().next().ok_or_else(|| Error::internal("a moved story vanished"))?;
        }
        Ok(story)
    })
    .await
}

/// Moves stories, in the order given, to a column: last, or right before or after an anchor there.
pub async fn move_many(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    numbers: &[i64],
    status: StatusId,
    anchor: Anchor,
) -> Result<Vec<Story>> {
    refuse_odd_move(numbers, anchor)?;
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        access.see(P::ViewStory, "project")?;
        access.allow(P::ModifyStory)?;
        let mut found = rows::find_many(tx.conn(), project, numbers).await?;
        let mut moving = Vec::with_capacity(numbers.len());
        for (i, number) in numbers.iter().enumerate() {
            let at = found.iter().position(|s| s.number == *number).ok_or_else(|| {
                Error::invalid(
                    format!("/refs/{i}"),
                    "unknown-story",
                    "There is no such story in this project.",
                )
            })?;
            moving.push(found.swap_remove(at));
        }
        place(tx, &access.person, moving, status, anchor, "/status_id").await
    })
    .await
}

/// Moves a story to the trash. Doing so again changes nothing.
pub async fn delete(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    story: &StoryRef,
    expected: Option<i64>,
) -> Result<()> {
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        let stored = of_project(tx.conn(), &access, story).await?;
        access.allow(P::DeleteStory)?;
        let story = stored.story;
        if story.deleted_at.is_some() {
            return Ok(());
        }
        if let Some(expected) = expected.filter(|v| *v != story.version) {
            return Err(stale(&story, expected));
        }
        let deleted = Some((tx.now(), access.person.id));
        rows::set_deleted(tx.conn(), story.id, deleted).await?;
        tx.record(stream, Change::new(Kind::StoryDeleted, story.id, gone(&story)))
    })
    .await
}

/// Takes a story back from the trash, to where it was. Doing so to a story that is not there changes nothing.
pub async fn restore(app: &App, caller: &Caller, project: ProjectId, story: &StoryRef) -> Result<Story> {
    let stream = Stream::Project(project);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let access = tx.project(caller, project).await?;
        let stored = of_project(tx.conn(), &access, story).await?;
        access.allow(P::DeleteStory)?;
        let mut story = stored.story;
        if story.deleted_at.is_some() {
            rows::set_deleted(tx.conn(), story.id, None).await?;
            story.deleted_at = None;
            story.version += 1;
            tx.record(stream, Change::new(Kind::StoryRestored, story.id, &story))?;
        }
        Ok(story)
    })
    .await
}

/// Stories of a project in the trash, latest first.
pub async fn trash(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    page: Page<TimeKey>,
) -> Result<Items<Story, TimeKey>> {
    let mut conn = app.read().await?;
    let access = access::project(app, &mut conn, caller, project).await?;
    access.see(P::ViewStory, "project")?;
    access.allow(P::DeleteStory)?;
    Ok(rows::trash(&mut conn, project, page).await?)
}

/// A story that the member may see and that is not in the trash.
pub(crate) async fn visible(
    conn: &mut Connection,
    access: &ProjectAccess,
    story: &StoryRef,
) -> Result<Stored> {
    let stored = of_project(conn, access, story).await?;
    if stored.story.deleted_at.is_some() { Err(Error::NotFound("story")) } else { Ok(stored) }
}

async fn of_project(conn: &mut Connection, access: &ProjectAccess, story: &StoryRef) -> Result<Stored> {
    access.see(P::ViewStory, "story")?;
    if story.key.as_ref().is_some_and(|key| *key != access.place.key) {
        return Err(Error::NotFound("story"));
    }
    rows::find(conn, access.place.project_id, story.number).await?.ok_or(Error::NotFound("story"))
}

/// Puts stories in a column and records it. Those whose place does not change are left alone.
pub(crate) async fn place(
    tx: &mut Tx<'_>,
    by: &Person,
    moving: Vec<Story>,
    status: StatusId,
    anchor: Anchor,
    pointer: &str,
) -> Result<Vec<Story>> {
    let Some(first) = moving.first() else { return Ok(moving) };
    let (project, now) = (first.project_id, tx.now());
    let workflow = tenon_db::statuses::workflow_of(tx.conn(), project, status).await?.ok_or_else(|| {
        Error::invalid(pointer, "unknown-status", "There is no such column in this project.")
    })?;
    let ids: Vec<StoryId> = moving.iter().map(|s| s.id).collect();
    let Places { ranks, rewritten } = ranks::places(tx, project, status, anchor, &ids).await?;
    let mut moved = Vec::with_capacity(moving.len());
    for (mut story, rank) in moving.into_iter().zip(ranks) {
        if let Some(rank) = rewritten.get(&story.id) {
            story.rank.clone_from(rank);
        }
        let before = place_of(&story);
        (story.workflow_id, story.status_id, story.rank) = (workflow, status, rank);
        story.version += 1;
        story.moved = Some(Touch { by: Some(by.as_ref()), at: now });
        let change = json!({
            "id": story.id, "ref": story.number, "version": story.version,
            "workflow_id": workflow, "status_id": status, "rank": story.rank,
        });
        tx.record(
            Stream::Project(project),
            Change::new(Kind::StoryMoved, story.id, change).with_before(before),
        )?;
        moved.push(story);
    }
    let places: Vec<Place> =
        moved.iter().map(|s| Place { id: s.id, workflow, status, rank: s.rank.clone() }).collect();
    rows::update_places(tx.conn(), &places, by.id, now).await?;
    Ok(moved)
}

async fn change_text(tx: &mut Tx<'_>, by: &Person, story: &mut Story, patch: &StoryPatch) -> Result<()> {
    let title = patch.title.as_ref().filter(|t| **t != story.title);
    let description = patch.description.as_ref().filter(|d| **d != story.description);
    if title.is_none() && description.is_none() {
        return Ok(());
    }
    let (mut data, mut before) = (json!({ "id": story.id, "ref": story.number }), json!({}));
    let touch = Some(Touch { by: Some(by.as_ref()), at: tx.now() });
    if let Some(title) = title {
        (data["title"], before["title"]) = (json!(title), json!(story.title));
        (story.title, story.title_updated) = (title.clone(), touch.clone());
    }
    if let Some(description) = description {
        (data["description"], before["description"]) = (json!(description), json!(story.description));
        (story.description, story.description_updated) = (description.clone(), touch);
    }
    story.version += 1;
    data["version"] = json!(story.version);
    let now = tx.now();
    rows::update_text(tx.conn(), story.id, story.version, title, description, by.id, now).await?;
    let change = Change::new(Kind::StoryUpdated, story.id, data).with_before(before);
    tx.record(Stream::Project(story.project_id), change)
}

fn refuse_stale(stored: &Stored, expected: Option<i64>, patch: &StoryPatch) -> Result<()> {
    let story = &stored.story;
    let Some(expected) = expected.filter(|v| *v != story.version) else { return Ok(()) };
    let overtaken = expected > story.version
        || patch.title.is_some() && stored.groups.title > expected
        || patch.description.is_some() && stored.groups.description > expected
        || patch.status_id.is_some() && stored.groups.place > expected;
    if overtaken { Err(stale(story, expected)) } else { Ok(()) }
}

fn stale(story: &Story, expected: i64) -> Error {
    Error::Stale {
        what: "story",
        expected,
        current: story.version,
        representation: serde_json::to_value(story).ok(),
    }
}

fn refuse_odd_move(numbers: &[i64], anchor: Anchor) -> Result<()> {
    if numbers.is_empty() || numbers.len() > MAX_MOVED {
        return Err(Error::invalid("/refs", "out-of-range", format!("Name 1 to {MAX_MOVED} stories.")));
    }
    let mut seen = std::collections::BTreeSet::new();
    if let Some(i) = numbers.iter().position(|n| !seen.insert(n)) {
        return Err(Error::invalid(format!("/refs/{i}"), "duplicate", "This story is named twice."));
    }
    match anchor {
        Anchor::Before(n) if seen.contains(&n) => {
            Err(Error::invalid("/before", "unknown-anchor", "A story cannot move relative to itself."))
        }
        Anchor::After(n) if seen.contains(&n) => {
            Err(Error::invalid("/after", "unknown-anchor", "A story cannot move relative to itself."))
        }
        _ => Ok(()),
    }
}

async fn workflow_of(conn: &mut Connection, project: ProjectId, status: StatusId) -> Result<WorkflowId> {
    tenon_db::statuses::workflow_of(conn, project, status).await?.ok_or_else(|| {
        Error::invalid("/status_id", "unknown-status", "There is no such column in this project.")
    })
}

fn place_of(story: &Story) -> serde_json::Value {
    json!({ "workflow_id": story.workflow_id, "status_id": story.status_id, "rank": story.rank })
}

/// What the log says of a story that went to the trash.
pub(crate) fn gone(story: &Story) -> serde_json::Value {
    json!({ "id": story.id, "ref": story.number, "version": story.version + 1 })
}
