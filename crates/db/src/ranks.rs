//! The order of stories in a column.
//!
//! Stories in the trash keep their places among the others, since they may come back.

use diesel::{OptionalExtension, QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    ids::{ProjectId, StatusId, StoryId},
    rank::{self, Stretch},
};
use uuid::Uuid;

use crate::{error::Result, sql::sql};

/// The place of a story in its column.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Ranked {
    /// The story.
    #[diesel(sql_type = st::Uuid)]
    pub id: Uuid,
    /// Its number.
    #[diesel(sql_type = st::BigInt)]
    pub number: i64,
    /// Its rank.
    #[diesel(sql_type = st::Text)]
    pub rank: String,
    /// Whether it is in the trash.
    #[diesel(sql_type = st::Bool)]
    pub is_deleted: bool,
}

macro_rules! select_ranked {
    ($rest:literal) => {
        concat!(
            "SELECT id, ref AS number, rank, deleted_at IS NOT NULL AS is_deleted FROM stories WHERE ",
            $rest
        )
    };
}

/// The last story of a column.
pub async fn last(conn: &mut AsyncPgConnection, status: StatusId) -> Result<Option<Ranked>> {
    Ok(sql(select_ranked!("status_id = $1 ORDER BY rank DESC, id DESC LIMIT 1"))
        .bind::<st::Uuid, _>(status.uuid())
        .get_result(conn)
        .await
        .optional()?)
}

/// A story of a column by its number; none when it is elsewhere or in the trash.
pub async fn find(conn: &mut AsyncPgConnection, status: StatusId, number: i64) -> Result<Option<Ranked>> {
    Ok(sql(select_ranked!("status_id = $1 AND ref = $2 AND deleted_at IS NULL"))
        .bind::<st::Uuid, _>(status.uuid())
        .bind::<st::BigInt, _>(number)
        .get_result(conn)
        .await
        .optional()?)
}

/// The story right before a place (or right after it), leaving out the stories `moving`.
pub async fn neighbour(
    conn: &mut AsyncPgConnection,
    status: StatusId,
    place: &Ranked,
    before: bool,
    moving: &[Uuid],
) -> Result<Option<Ranked>> {
    let statement = if before {
        sql(select_ranked!(
            "status_id = $1 AND (rank, id) < ($2 COLLATE \"C\", $3) AND id <> ALL($4) ORDER BY rank DESC, id DESC LIMIT 1"
        ))
    } else {
        sql(select_ranked!(
            "status_id = $1 AND (rank, id) > ($2 COLLATE \"C\", $3) AND id <> ALL($4) ORDER BY rank, id LIMIT 1"
        ))
    };
    Ok(statement
        .bind::<st::Uuid, _>(status.uuid())
        .bind::<st::Text, _>(&place.rank)
        .bind::<st::Uuid, _>(place.id)
        .bind::<st::Array<st::Uuid>, _>(moving)
        .get_result(conn)
        .await
        .optional()?)
}

/// The stories around a place, at most `reach` on each side, and the neighbours of these.
pub async fn around(
    conn: &mut AsyncPgConnection,
    status: StatusId,
    place: &Ranked,
    reach: usize,
) -> Result<Stretch<Ranked>> {
    let most = i64::try_from(reach).unwrap_or(i64::MAX - 1) + 1;
    let mut below: Vec<Ranked> = sql(select_ranked!(
        "status_id = $1 AND (rank, id) < ($2 COLLATE \"C\", $3) ORDER BY rank DESC, id DESC LIMIT $4"
    ))
    .bind::<st::Uuid, _>(status.uuid())
    .bind::<st::Text, _>(&place.rank)
    .bind::<st::Uuid, _>(place.id)
    .bind::<st::BigInt, _>(most)
    .load(conn)
    .await?;
    below.reverse();
    let above: Vec<Ranked> = sql(select_ranked!(
        "status_id = $1 AND (rank, id) >= ($2 COLLATE \"C\", $3) ORDER BY rank, id LIMIT $4"
    ))
    .bind::<st::Uuid, _>(status.uuid())
    .bind::<st::Text, _>(&place.rank)
    .bind::<st::Uuid, _>(place.id)
    .bind::<st::BigInt, _>(most)
    .load(conn)
    .await?;
    Ok(Stretch::new(below, above, reach))
}

/// Writes new ranks. Versions stay: between which others a story is has not changed.
pub async fn write(conn: &mut AsyncPgConnection, ranks: &[(StoryId, String)]) -> Result<()> {
    sql("UPDATE stories s SET rank = n.rank FROM unnest($1, $2) AS n(id, rank) WHERE s.id = n.id")
        .bind::<st::Array<st::Uuid>, _>(ranks.iter().map(|(id, _)| id.uuid()).collect::<Vec<_>>())
        .bind::<st::Array<st::Text>, _>(ranks.iter().map(|(_, rank)| rank.as_str()).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}

/// The next column, after one in the order of ids, that has a rank longer than any that is made now.
pub async fn next_long(
    conn: &mut AsyncPgConnection,
    after: Option<StatusId>,
) -> Result<Option<(ProjectId, StatusId)>> {
    // The number is written out, so that the index of such ranks is used.
    const { assert!(rank::LONGEST == 32) };
    let row: Option<ColumnRow> = sql("SELECT project_id, status_id FROM stories
             WHERE length(rank) > 32 AND ($1 IS NULL OR status_id > $1) ORDER BY status_id LIMIT 1")
    .bind::<st::Nullable<st::Uuid>, _>(after.map(StatusId::uuid))
    .get_result(conn)
    .await
    .optional()?;
    Ok(row.map(|row| (row.project_id.into(), row.status_id.into())))
}

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = st::Uuid)]
    project_id: Uuid,
    #[diesel(sql_type = st::Uuid)]
    status_id: Uuid,
}
