//! The change feed: the log of a stream, in order.

use serde::{Deserialize, Serialize};
use tenon_app::{access, activity, changes};
use tenon_core::{Error, activity::Activity, changes::Stream, tokens::Scope};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{stories::StoryPath, workflows::ProjectPath};
use crate::{
    endpoint::{Api, Caller, Ctx, Page, Path, Plain, Query, methods::Get},
    live::frames::ChangeView,
    paging::{self, Paging},
    problem::Problem,
    views::AuthorView,
};

pub(super) fn mount(api: &mut Api) {
    let mut group = api
        .group("changes", "The ordered log of a workspace, a project or a person: everything the live events tell, to be read at leisure.")
        .scopes(Scope::ReadProjects, Scope::WriteProjects);
    group
        .op("list_project_changes", Get, "/projects/{project_id}/changes", "Changes of a project", of_project)
        .describe(FEED)
        .conflicts(&["log-truncated"]);
    group
        .op(
            "list_workspace_changes",
            Get,
            "/workspaces/{workspace_id}/changes",
            "Changes of a workspace",
            of_workspace,
        )
        .describe(FEED)
        .scope(Scope::ReadWorkspaces)
        .conflicts(&["log-truncated"]);
    group
        .op("list_my_changes", Get, "/me/changes", "Changes that concern only you", of_me)
        .describe(FEED)
        .scope(Scope::ReadAccount)
        .conflicts(&["log-truncated"]);
    let mut group = api
        .group("activity", "History of a thing: who, when, what, before and after.")
        .scopes(Scope::ReadProjects, Scope::WriteProjects);
    group
        .op(
            "list_story_activity",
            Get,
            "/projects/{project_id}/stories/{ref}/activity",
            "History of a story",
            of_story,
        )
        .describe("Newest first; its comments and files included, as far as you may see them.")
        .permission("view_story");
    group
        .op("list_project_activity", Get, "/projects/{project_id}/activity", "History of a project", of_project_itself)
        .describe("Newest first: its fields, its people and its roles. Stories and boards have histories of their own.");
}

const FEED: &str = "Changes after `after`, in order, none missing but those you may not see. Go on from the `seq` of the answer, which moves past what is left out. \
409 `log-truncated` when the log no longer reaches back to `after`: fetch anew.";

/// A slice of a stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChangeFeed)]
struct FeedView {
    /// The changes, in order.
    items: Vec<ChangeView>,
    /// Read on after this position.
    seq: i64,
    /// Whether there is more to read now.
    more: bool,
}

/// One line of a history.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Activity)]
struct ActivityView {
    /// Position in the project's stream.
    seq: i64,
    /// `noun.verb` in the past tense.
    #[schema(example = "story.moved")]
    kind: String,
    /// When.
    at: chrono::DateTime<chrono::Utc>,
    /// Who.
    actor: AuthorView,
    /// What it is since; its shape follows from `kind`.
    #[schema(value_type = Object)]
    data: serde_json::Value,
    /// What it was before, for what changed.
    #[schema(value_type = Option<Object>)]
    before: Option<serde_json::Value>,
}

impl From<Activity> for ActivityView {
    fn from(line: Activity) -> Self {
        Self {
            seq: line.seq,
            kind: line.kind,
            at: line.at,
            actor: line.actor.into(),
            data: line.data,
            before: line.before,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
struct WorkspacePath {
    /// The workspace.
    workspace_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Position {
    /// Position already read; 0 for the beginning.
    #[param(minimum = 0, default = 0)]
    after: Option<i64>,
    /// How many positions to read at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
}

async fn feed(
    ctx: &Ctx,
    caller: &Caller,
    stream: Stream,
    position: &Position,
) -> Result<Plain<FeedView>, Problem> {
    let (after, limit) = (position.after.unwrap_or(0), position.limit.unwrap_or(50));
    if after < 0 {
        return Err(Error::invalid("after", "out-of-range", "must not be negative").into());
    }
    if !(1..=200).contains(&limit) {
        return Err(Error::invalid("limit", "out-of-range", "must be a number from 1 to 200").into());
    }
    let feed = changes::read(ctx, caller, stream, after, limit).await?;
    let items = feed.changes.into_iter().map(|change| ChangeView::new(stream, change)).collect();
    Ok(Plain(FeedView { items, seq: feed.seq, more: feed.more }))
}

async fn of_project(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
    Query(position): Query<Position>,
) -> Result<Plain<FeedView>, Problem> {
    feed(&ctx, &caller, Stream::Project(p.project_id.into()), &position).await
}

async fn of_workspace(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<WorkspacePath>,
    Query(position): Query<Position>,
) -> Result<Plain<FeedView>, Problem> {
    feed(&ctx, &caller, Stream::Workspace(p.workspace_id.into()), &position).await
}

async fn of_me(
    ctx: Ctx,
    caller: Caller,
    Query(position): Query<Position>,
) -> Result<Plain<FeedView>, Problem> {
    let me = {
        let mut conn = ctx.read().await?;
        access::person(&ctx, &mut conn, &caller).await?.id
    };
    feed(&ctx, &caller, Stream::Person(me), &position).await
}

async fn of_story(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<StoryPath>,
    Query(paging): Query<Paging>,
) -> Result<Page<ActivityView>, Problem> {
    let page = paging.page(&ctx, "activity")?;
    let items = activity::of_story(&ctx, &caller, p.project_id.into(), &p.story()?, page).await?;
    Ok(paging::answer(&ctx, "activity", items)?)
}

async fn of_project_itself(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<ProjectPath>,
    Query(paging): Query<Paging>,
) -> Result<Page<ActivityView>, Problem> {
    let page = paging.page(&ctx, "project-activity")?;
    let items = activity::of_project(&ctx, &caller, p.project_id.into(), page).await?;
    Ok(paging::answer(&ctx, "project-activity", items)?)
}
