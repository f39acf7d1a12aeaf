//! The one log: streams and their changes.

use diesel::{QueryableByName, prelude::*, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    changes::{Change, Recorded, Stream},
    ids::UserId,
    names::{self, Names, Wanted},
    users::PersonRef,
};
use uuid::Uuid;

use crate::{
    error::Result,
    people::{ActorRow, PersonRow},
    schema::{invitations, streams, users},
    sql::sql,
};

/// Opens the log of a thing just made. The caller's transaction holds its lock from then on.
pub async fn open(conn: &mut AsyncPgConnection, stream: Stream) -> Result<()> {
    diesel::insert_into(streams::table)
        .values((streams::id.eq(stream.uuid()), streams::kind.eq(stream.kind())))
        .execute(conn)
        .await?;
    Ok(())
}

/// Locks streams, in id order, until the transaction ends; answers each with its latest `seq`.
/// A stream that does not exist is missing from the answer.
pub async fn lock(conn: &mut AsyncPgConnection, streams: &[Stream]) -> Result<Vec<(Uuid, i64)>> {
    let ids: Vec<Uuid> = streams.iter().map(|s| s.uuid()).collect();
    let rows: Vec<HeadRow> =
        sql("SELECT id, seq FROM streams WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE")
            .bind::<st::Array<st::Uuid>, _>(ids)
            .load(conn)
            .await?;
    Ok(rows.into_iter().map(|r| (r.id, r.seq)).collect())
}

#[derive(QueryableByName)]
#[diesel(table_name = streams)]
struct HeadRow {
    id: Uuid,
    seq: i64,
}

/// Who writes, when, and on whose behalf.
#[derive(Debug, Clone)]
pub struct Author<'a> {
    /// Who; none for the system.
    pub actor: Option<UserId>,
    /// The request.
    pub correlation_id: &'a str,
    /// When.
    pub at: Time,
}

/// Appends changes at the positions given and moves the heads there, in one statement.
pub async fn append(
    conn: &mut AsyncPgConnection,
    author: &Author<'_>,
    changes: &[(Stream, i64, Change)],
) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let streams: Vec<Uuid> = changes.iter().map(|(s, ..)| s.uuid()).collect();
    let seqs: Vec<i64> = changes.iter().map(|(_, seq, _)| *seq).collect();
    let kinds: Vec<&str> = changes.iter().map(|(.., c)| c.kind.as_str()).collect();
    let subjects: Vec<Uuid> = changes.iter().map(|(.., c)| c.subject).collect();
    let data: Vec<serde_json::Value> =
        changes.iter().map(|(.., c)| names::without(c.kind, c.data.clone())).collect();
    let before: Vec<Option<serde_json::Value>> = changes
        .iter()
        .map(|(.., c)| c.before.as_ref().map(|before| names::without(c.kind, before.clone())))
        .collect();
    sql("WITH new AS (
           SELECT * FROM unnest($1, $2, $3, $4, $5, $6) AS n(stream, seq, kind, subject, data, before)
         ), heads AS (
           UPDATE streams SET seq = h.seq FROM (SELECT stream, max(seq) AS seq FROM new GROUP BY stream) h WHERE id = h.stream
         )
         INSERT INTO changes (stream, seq, kind, subject, data, before, actor_id, correlation_id, at)
         SELECT stream, seq, kind, subject, data, before, $7, $8, $9 FROM new")
        .bind::<st::Array<st::Uuid>, _>(streams)
        .bind::<st::Array<st::BigInt>, _>(seqs)
        .bind::<st::Array<st::Text>, _>(kinds)
        .bind::<st::Array<st::Uuid>, _>(subjects)
        .bind::<st::Array<st::Jsonb>, _>(data)
        .bind::<st::Array<st::Nullable<st::Jsonb>>, _>(before)
        .bind::<st::Nullable<st::Uuid>, _>(author.actor.map(UserId::uuid))
        .bind::<st::Text, _>(author.correlation_id)
        .bind::<st::Timestamptz, _>(author.at)
        .execute(conn)
        .await?;
    Ok(())
}

/// The latest `seq` of each stream that exists.
pub async fn heads(conn: &mut AsyncPgConnection, streams: &[Stream]) -> Result<Vec<(Uuid, i64)>> {
    let ids: Vec<Uuid> = streams.iter().map(|s| s.uuid()).collect();
    let rows: Vec<HeadRow> = sql("SELECT id, seq FROM streams WHERE id = ANY($1)")
        .bind::<st::Array<st::Uuid>, _>(ids)
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|r| (r.id, r.seq)).collect())
}

/// What follows a position of a stream, and where the stream ends: of one snapshot.
#[derive(Debug, Clone)]
pub struct Tail {
    /// The latest `seq` of the stream.
    pub head: i64,
    /// The changes after the position, in order.
    pub changes: Vec<Recorded>,
}

/// Changes of a stream after `after`, in order: at most `limit`, and no more once those before hold `bytes`. None when
/// there is no such stream. One statement, so that head and changes agree whoever writes at the same time.
pub async fn tail(
    conn: &mut AsyncPgConnection,
    stream: Stream,
    after: i64,
    limit: i64,
    bytes: i64,
) -> Result<Option<Tail>> {
    let rows: Vec<TailRow> =
        sql("SELECT s.seq AS head, c.seq, c.kind, c.at, c.correlation_id, c.subject, c.data, c.before,
                    u.id AS actor_id, u.username AS actor_username, u.full_name AS actor_full_name, u.color AS actor_color
             FROM streams s
             LEFT JOIN LATERAL (
               SELECT n.*, sum(octet_length(n.data::text) + coalesce(octet_length(n.before::text), 0))
                             OVER (ORDER BY n.seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS size_before
               FROM (SELECT * FROM changes WHERE stream = s.id AND seq > $2 ORDER BY seq LIMIT $3) n
             ) c ON coalesce(c.size_before, 0) < $4
             LEFT JOIN users u ON u.id = c.actor_id
             WHERE s.id = $1 ORDER BY c.seq")
            .bind::<st::Uuid, _>(stream.uuid())
            .bind::<st::BigInt, _>(after)
            .bind::<st::BigInt, _>(limit)
            .bind::<st::BigInt, _>(bytes)
            .load(conn)
            .await?;
    let Some(head) = rows.as_slice().first().map(|row| row.head) else { return Ok(None) };
    let changes = named(conn, rows.into_iter().filter_map(|row| row.change).collect()).await?;
    Ok(Some(Tail { head, changes }))
}

#[derive(QueryableByName)]
struct TailRow {
    #[diesel(sql_type = st::BigInt)]
    head: i64,
    #[diesel(embed)]
    change: Option<ChangeRow>,
}

/// The history of one subject, newest first, before `before`, of the kinds given, at most `limit`.
pub async fn of_subject(
    conn: &mut AsyncPgConnection,
    stream: Stream,
    subject: Uuid,
    kinds: &[&str],
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Recorded>> {
    let rows: Vec<ChangeRow> =
        sql("SELECT c.seq, c.kind, c.at, c.correlation_id, c.subject, c.data, c.before,
                    u.id AS actor_id, u.username AS actor_username, u.full_name AS actor_full_name, u.color AS actor_color
             FROM changes c LEFT JOIN users u ON u.id = c.actor_id
             WHERE c.stream = $1 AND c.subject = $2 AND c.kind = ANY($3) AND c.seq < coalesce($4, 9223372036854775807)
             ORDER BY c.seq DESC LIMIT $5")
            .bind::<st::Uuid, _>(stream.uuid())
            .bind::<st::Uuid, _>(subject)
            .bind::<st::Array<st::Text>, _>(kinds)
            .bind::<st::Nullable<st::BigInt>, _>(before)
            .bind::<st::BigInt, _>(limit)
            .load(conn)
            .await?;
    named(conn, rows).await
}

/// Changes with the names that people have now.
async fn named(conn: &mut AsyncPgConnection, rows: Vec<ChangeRow>) -> Result<Vec<Recorded>> {
    let mut wanted = Wanted::default();
    for row in &rows {
        wanted.by(&row.data);
        row.before.iter().for_each(|before| wanted.by(before));
    }
    let mut names = Names::default();
    if !wanted.people.is_empty() {
        let people: Vec<PersonRow> = users::table
            .filter(users::id.eq_any(&wanted.people))
            .select(PersonRow::as_select())
            .load(conn)
            .await?;
        names.people = people.into_iter().map(PersonRef::from).map(|p| (p.id.uuid(), p)).collect();
    }
    if !wanted.invitations.is_empty() {
        let emails: Vec<(Uuid, String)> = invitations::table
            .filter(invitations::id.eq_any(&wanted.invitations))
            .filter(diesel::dsl::not(invitations::by_handle))
            .select((invitations::id, invitations::email))
            .load(conn)
            .await?;
        names.emails = emails.into_iter().collect();
    }
    Ok(rows.into_iter().map(|row| row.into_recorded(&names)).collect())
}

#[derive(QueryableByName)]
struct ChangeRow {
    #[diesel(sql_type = st::BigInt)]
    seq: i64,
    #[diesel(sql_type = st::Text)]
    kind: String,
    #[diesel(sql_type = st::Timestamptz)]
    at: Time,
    #[diesel(sql_type = st::Text)]
    correlation_id: String,
    #[diesel(sql_type = st::Uuid)]
    subject: Uuid,
    #[diesel(sql_type = st::Jsonb)]
    data: serde_json::Value,
    #[diesel(sql_type = st::Nullable<st::Jsonb>)]
    before: Option<serde_json::Value>,
    #[diesel(embed)]
    actor: ActorRow,
}

impl ChangeRow {
    fn into_recorded(self, names: &Names) -> Recorded {
        Recorded {
            seq: self.seq,
            kind: self.kind,
            at: self.at,
            actor: self.actor.person(),
            correlation_id: self.correlation_id,
            subject: self.subject,
            data: names.join(self.data),
            before: self.before.map(|before| names.join(before)),
        }
    }
}
