//! Reading the log: the change feed, and what the live hub delivers.

use tenon_core::{
    Error, Result,
    callers::Caller,
    changes::{Recorded, Stream, Visibility},
    ids::UserId,
    permissions::{ProjectPermissions, WorkspacePermissions},
};
use tenon_db::log;
pub use tenon_db::log::Tail;

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

/// The most bytes of a slice of the feed, give or take its last change.
const FEED_BYTES: i64 = 4 << 20;

/// Changes of a stream after `after`. Refused with `log-truncated` when the log no longer reaches back that far.
pub async fn read(app: &App, caller: &Caller, stream: Stream, after: i64, limit: i64) -> Result<Feed> {
    let sight = sight(app, caller, stream).await?;
    let Tail { head, changes } = tail(app, stream, after, limit, FEED_BYTES).await?;
    let seq = changes.last().map_or(after, |c| c.seq);
    Ok(Feed { changes: changes.into_iter().filter(|c| sight.shows(c)).collect(), seq, more: seq < head })
}

/// Changes of a stream after `after`, unfiltered, and the position of the log at that moment. Refused with
/// `log-truncated` when the log no longer reaches back that far, or never reached that position.
///
/// At most `limit` changes, and no more once `bytes` are read: people choose how long their texts are.
pub async fn tail(app: &App, stream: Stream, after: i64, limit: i64, bytes: i64) -> Result<Tail> {
    let mut conn = app.read().await?;
    let none = Tail { head: 0, changes: vec![] };
    let tail = log::tail(&mut conn, stream, after, limit, bytes).await?.unwrap_or(none);
    let is_whole = match tail.changes.first() {
        Some(oldest) => oldest.seq == after + 1,
        None => tail.head == after,
    };
    if is_whole {
        return Ok(tail);
    }
    Err(Error::conflict(
        "log-truncated",
        "The change log does not hold that position. Fetch anew and go on from there.",
    ))
}

/// The latest position of a stream.
pub async fn head(app: &App, stream: Stream) -> Result<i64> {
    let mut conn = app.read().await?;
    Ok(log::heads(&mut conn, &[stream]).await?.first().map_or(0, |(_, seq)| *seq))
}

/// The latest positions of many streams, for the hub's poll.
pub async fn heads(app: &App, streams: &[Stream]) -> Result<Vec<(uuid::Uuid, i64)>> {
    let mut conn = app.read().await?;
    Ok(log::heads(&mut conn, streams).await?)
}
