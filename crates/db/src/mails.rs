//! Whether what a mail refers to is still open when the mail is about to be sent.

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{Time, ids::InvitationId};
use uuid::Uuid;

use crate::{error::Result, sql::sql};

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = st::Bool)]
    open: bool,
}

/// Whether the link exists, was not used and has not ended.
pub async fn link_is_open(conn: &mut AsyncPgConnection, link: Uuid, now: Time) -> Result<bool> {
    let answer: Answer = sql("SELECT EXISTS (
           SELECT FROM links WHERE id = $1 AND used_at IS NULL AND expires_at > $2
         ) AS open")
    .bind::<st::Uuid, _>(link)
    .bind::<st::Timestamptz, _>(now)
    .get_result(conn)
    .await?;
    Ok(answer.open)
}

/// Whether the invitation waits for an answer and this is its latest sending; earlier ones open nothing.
pub async fn invitation_is_open(
    conn: &mut AsyncPgConnection,
    invitation: InvitationId,
    send: i32,
    now: Time,
) -> Result<bool> {
    let answer: Answer = sql("SELECT EXISTS (
           SELECT FROM invitations
           WHERE id = $1 AND status = 'pending' AND sent_count = $2 AND hash_expires_at > $3
         ) AS open")
    .bind::<st::Uuid, _>(invitation.uuid())
    .bind::<st::Integer, _>(send)
    .bind::<st::Timestamptz, _>(now)
    .get_result(conn)
    .await?;
    Ok(answer.open)
}
