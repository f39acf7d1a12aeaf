//! Reading the log: the change feed, and what the live hub delivers.

use tenon_core::{
    Error, Result,
    callers::Caller,
    changes::{Recorded, Stream, Visibility},
    ids::UserId,
    permissions::{ProjectPermissions, WorkspacePermissions},
};
use tenon_db::log;

use crate::{App, access};

/// What a reader of one stream may see at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// Who reads.
    pub user: UserId,
    /// Rights in the workspace, for its stream.
    pub workspace: WorkspacePermissions,
    /// Rights in the project, for its stream.
    pub project: ProjectPermissions,
}

impl Sight {
    /// Whether a change may be shown.
    pub fn shows(&self, change: &Recorded) -> bool {
        match change.visibility() {
            Some(Visibility::Members) => true,
            Some(Visibility::Workspace(p)) => self.workspace.has(p),
            Some(Visibility::Project(p)) => self.project.has(p),
            None => false,
        }
    }
}

/// What the caller may see of a stream; a stream that is not theirs is not found.
pub async fn sight(app: &App, caller: &Caller, stream: Stream) -> Result<Sight> {
    let mut conn = app.read().await?;
    let none = Sight {
        user: uuid::Uuid::nil().into(),
        workspace: WorkspacePermissions::NONE,
        project: ProjectPermissions::NONE,
    };
    match stream {
        Stream::Workspace(id) => {
            let access = access::workspace(app, &mut conn, caller, id).await?;
            Ok(Sight { user: access.person.id, workspace: access.role.permissions(), ..none })
        }
        Stream::Project(id) => {
            let access = access::project(app, &mut conn, caller, id).await?;
            Ok(Sight { user: access.person.id, project: access.place.permissions, ..none })
        }
        Stream::Person(id) => {
            let person = access::person(app, &mut conn, caller).await?;
            if person.id == id { Ok(Sight { user: id, ..none }) } else { Err(Error::NotFound("stream")) }
        }
    }
}

/// A slice of a stream, filtered by what its reader may see.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// The changes, in order.
    pub changes: Vec<Recorded>,
    /// Read on after this position; beyond the last change shown when later ones were not the reader's to see.
    pub seq: i64,
    /// Whether there is more to read now.
    pub more: bool,
}

/// Changes of a stream after `after`. Refused with `log-truncated` when the log no longer reaches back that far.
pub async fn read(app: &App, caller: &Caller, stream: Stream, after: i64, limit: i64) -> Result<Feed> {
    let sight = sight(app, caller, stream).await?;
    let rows = tail(app, stream, after, limit + 1).await?;
    let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) > limit;
    let rows: Vec<Recorded> = rows.into_iter().take(usize::try_from(limit).unwrap_or(0)).collect();
    let seq = rows.last().map_or(after, |c| c.seq);
    Ok(Feed { changes: rows.into_iter().filter(|c| sight.shows(c)).collect(), seq, more })
}

/// Changes of a stream after `after`, unfiltered, for the hub. Refused with `log-truncated` when the log no longer
/// reaches back that far, or never reached that position.
pub async fn tail(app: &App, stream: Stream, after: i64, limit: i64) -> Result<Vec<Recorded>> {
    let mut conn = app.read().await?;
    let rows = log::after(&mut conn, stream, after, limit).await?;
    let gap = match rows.first() {
        Some(first) => first.seq != after + 1,
        None => head_of(&mut conn, stream).await? != after,
    };
    if gap {
        return Err(Error::conflict(
            "log-truncated",
            "The change log does not hold that position. Fetch anew and go on from there.",
        ));
    }
    Ok(rows)
}

/// The latest position of a stream.
pub async fn head(app: &App, stream: Stream) -> Result<i64> {
    let mut conn = app.read().await?;
    head_of(&mut conn, stream).await
}

async fn head_of(conn: &mut tenon_db::Connection, stream: Stream) -> Result<i64> {
    Ok(log::heads(conn, &[stream]).await?.first().map_or(0, |(_, seq)| *seq))
}

/// The latest positions of many streams, for the hub's poll.
pub async fn heads(app: &App, streams: &[Stream]) -> Result<Vec<(uuid::Uuid, i64)>> {
    let mut conn = app.read().await?;
    Ok(log::heads(&mut conn, streams).await?)
}
