//! What is left of a person when their account ends, outside of what goes with its row.
//!
//! Logs of others and the history of jobs hold ids only; see `core::names`.

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::users::User;
use uuid::Uuid;

use crate::{error::Result, sql::sql};

/// The addresses that a person's own log knows.
async fn former_addresses(conn: &mut AsyncPgConnection, id: Uuid) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Address {
        #[diesel(sql_type = st::Text)]
        email: String,
    }
    let rows: Vec<Address> = sql("SELECT DISTINCT said->>'email' AS email
         FROM changes c, LATERAL (VALUES (c.data), (c.before)) AS v(said)
         WHERE c.stream = $1 AND c.kind LIKE 'account.%' AND said->>'email' <> ''")
    .bind::<st::Uuid, _>(id)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.email).collect())
}

/// Removes a person's words: their own log, responses that are kept for retries and show them, invitations and links to
/// their address, and mails to them that an earlier release enqueued. The account's row is removed by the caller.
pub async fn erase(conn: &mut AsyncPgConnection, user: &User) -> Result<()> {
    let id = user.id.uuid();
    // Those of before, too: what was kept then shows them.
    let mut addresses = user.email.spellings();
    addresses.extend(former_addresses(conn, id).await?);
    sql("DELETE FROM changes WHERE stream = $1").bind::<st::Uuid, _>(id).execute(conn).await?;
    // Whoever shows a person says the id, but for those who were invited by an address.
    sql("DELETE FROM idempotency_keys
         WHERE caller = 'person:' || $1 OR position(convert_to($1, 'UTF8') IN body) > 0
            OR EXISTS (SELECT FROM unnest($2) AS a(address) WHERE position(convert_to(a.address, 'UTF8') IN body) > 0)")
    .bind::<st::Text, _>(id.to_string())
    .bind::<st::Array<st::Text>, _>(&addresses)
    .execute(conn)
    .await?;
    for statement in [
        "DELETE FROM invitations WHERE email = ANY($1)",
        "DELETE FROM links WHERE new_email = ANY($1)",
        "DELETE FROM jobs WHERE name = 'send_mail' AND worker IS NULL AND payload->>'to' = ANY($1)",
        "UPDATE finished_jobs SET payload = '{}', error = NULL, errors = NULL
         WHERE name = 'send_mail' AND payload->>'to' = ANY($1)",
    ] {
        sql(statement).bind::<st::Array<st::Text>, _>(&addresses).execute(conn).await?;
    }
    Ok(())
}
