//! Places in a column, and room for them.
//!
//! Where a rank would become too long, neighbours get new ones in the same write. That changes no story's version: it is
//! between the same others as before, so nobody's edit becomes stale by it. Who keeps a board hears the new ranks as one
//! change of the column; entity tags differ, since they also cover the bytes.

use std::collections::HashMap;

use serde_json::json;
use tenon_core::{
    Error, Result,
    changes::{Change, Kind, Stream},
    ids::{ProjectId, StatusId, StoryId},
    rank::{self, Stretch},
    stories::Anchor,
};
use tenon_db::ranks::{self as rows, Ranked};

use crate::Tx;

/// How many neighbours on each side get new ranks at first; four times as many when that makes no room.
const REACH: usize = 32;
/// Most stories that one change tells of.
const OF_ONE_CHANGE: usize = 500;

/// Ranks for stories, and what others of the column got meanwhile.
#[derive(Debug)]
pub(crate) struct Places {
    /// In the order of the stories.
    pub(crate) ranks: Vec<String>,
    /// New ranks of stories that stay between the same others.
    pub(crate) rewritten: HashMap<StoryId, String>,
}

/// Places for the stories `moving`, or for one that is new, where the anchor says. The caller holds the project's lock.
pub(crate) async fn places(
    tx: &mut Tx<'_>,
    project: ProjectId,
    status: StatusId,
    anchor: Anchor,
    moving: &[StoryId],
) -> Result<Places> {
    let count = moving.len().max(1);
    let moving: Vec<uuid::Uuid> = moving.iter().map(|id| id.uuid()).collect();
    let mut rewritten = HashMap::new();
    loop {
        let Some(place) = anchor_of(tx, status, anchor).await? else {
            return Ok(Places { ranks: rank::spread(None, None, count).unwrap_or_default(), rewritten });
        };
        let before = matches!(anchor, Anchor::Before(_));
        let other = match anchor {
            Anchor::Last => None,
            Anchor::Before(_) | Anchor::After(_) => {
                rows::neighbour(tx.conn(), status, &place, before, &moving).await?.map(|story| story.rank)
            }
        };
        let (low, high) = if before {
            (other.as_deref(), Some(place.rank.as_str()))
        } else {
            (Some(place.rank.as_str()), other.as_deref())
        };
        if let Some(ranks) = rank::spread(low, high, count) {
            return Ok(Places { ranks, rewritten });
        }
        if !rewritten.is_empty() {
            return Err(Error::internal("there is no room in a column whose ranks were just rewritten"));
        }
        rewritten = make_room(tx, project, status, &place).await?;
    }
}

async fn anchor_of(tx: &mut Tx<'_>, status: StatusId, anchor: Anchor) -> Result<Option<Ranked>> {
    let (number, pointer) = match anchor {
        Anchor::Last => return Ok(rows::last(tx.conn(), status).await?),
        Anchor::Before(number) => (number, "/before"),
        Anchor::After(number) => (number, "/after"),
    };
    match rows::find(tx.conn(), status, number).await? {
        Some(place) => Ok(Some(place)),
        None => Err(Error::invalid(pointer, "unknown-anchor", "There is no such story in that column.")),
    }
}

/// New ranks for the stories around a place: as few as make room.
async fn make_room(
    tx: &mut Tx<'_>,
    project: ProjectId,
    status: StatusId,
    place: &Ranked,
) -> Result<HashMap<StoryId, String>> {
    let mut reach = REACH;
    loop {
        let stretch = rows::around(tx.conn(), status, place, reach).await?;
        if let Some(ranks) = stretch.respread(|story| &story.rank) {
            return rewrite(tx, project, status, &stretch, ranks).await;
        }
        reach = reach.saturating_mul(4);
    }
}

/// New ranks for all stories of a column, in their order; those that have theirs already are left alone.
pub(crate) async fn rewrite_column(tx: &mut Tx<'_>, project: ProjectId, status: StatusId) -> Result<()> {
    let Some(place) = rows::last(tx.conn(), status).await? else { return Ok(()) };
    let all = rows::around(tx.conn(), status, &place, i32::MAX as usize).await?;
    let ranks = all.respread(|story| &story.rank).unwrap_or_default();
    rewrite(tx, project, status, &all, ranks).await.map(drop)
}

async fn rewrite(
    tx: &mut Tx<'_>,
    project: ProjectId,
    status: StatusId,
    stretch: &Stretch<Ranked>,
    ranks: Vec<String>,
) -> Result<HashMap<StoryId, String>> {
    let changed = stretch.inner.iter().zip(ranks).filter(|(story, rank)| story.rank != *rank);
    let changed: Vec<(&Ranked, String)> = changed.collect();
    let new: Vec<(StoryId, String)> =
        changed.iter().map(|(story, rank)| (story.id.into(), rank.clone())).collect();
    rows::write(tx.conn(), &new).await?;
    let shown: Vec<_> = changed
        .iter()
        .filter(|(story, _)| !story.is_deleted)
        .map(|(story, rank)| json!({ "id": story.id, "ref": story.number, "rank": rank }))
        .collect();
    for ranks in shown.chunks(OF_ONE_CHANGE) {
        let change = Change::new(Kind::StatusReranked, status, json!({ "id": status, "ranks": ranks }));
        tx.record(Stream::Project(project), change)?;
    }
    Ok(new.into_iter().collect())
}
