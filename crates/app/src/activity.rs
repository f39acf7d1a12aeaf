//! History of a thing, read from the log.

use tenon_core::{
    Result,
    activity::Activity,
    callers::Caller,
    changes::{Kind, Recorded, Stream, Visibility},
    ids::ProjectId,
    page::{Items, Page},
    permissions::{ProjectPermission as P, ProjectPermissions},
    stories::StoryRef,
};
use tenon_db::log;

use crate::{App, access, stories::visible};

/// What happened to a story, its comments and its files, newest first; a page goes on before a position in the log.
pub async fn of_story(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    story: &StoryRef,
    page: Page<i64>,
) -> Result<Items<Activity, i64>> {
    let mut conn = app.read().await?;
    let access = access::project(app, &mut conn, caller, project).await?;
    access.see(P::ViewStory, "story")?;
    let story = visible(&mut conn, &access, story).await?.story;
    let kinds = kinds_shown(access.place.permissions);
    let stream = Stream::Project(project);
    let rows = log::of_subject(&mut conn, stream, story.id.uuid(), &kinds, page.after, page.fetch()).await?;
    Ok(Items::cut(rows.into_iter().map(activity).collect(), &page, |a: &Activity| a.seq))
}

/// What happened to a project as a whole, newest first: its fields, its people, its boards.
pub async fn of_project(
    app: &App,
    caller: &Caller,
    project: ProjectId,
    page: Page<i64>,
) -> Result<Items<Activity, i64>> {
    let mut conn = app.read().await?;
    let access = access::project(app, &mut conn, caller, project).await?;
    let kinds = kinds_shown(access.place.permissions);
    let stream = Stream::Project(project);
    let rows = log::of_subject(&mut conn, stream, project.uuid(), &kinds, page.after, page.fetch()).await?;
    Ok(Items::cut(rows.into_iter().map(activity).collect(), &page, |a: &Activity| a.seq))
}

fn kinds_shown(permissions: ProjectPermissions) -> Vec<&'static str> {
    Kind::ALL
        .iter()
        .filter(|kind| match kind.visibility() {
            Visibility::Members => true,
            Visibility::Project(p) => permissions.has(p),
            Visibility::Workspace(_) => false,
        })
        .map(|kind| kind.as_str())
        .collect()
}

fn activity(change: Recorded) -> Activity {
    Activity {
        seq: change.seq,
        kind: change.kind,
        at: change.at,
        actor: change.actor,
        data: change.data,
        before: change.before,
    }
}
