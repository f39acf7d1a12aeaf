//! Single-use links that prove an address.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{Time, accounts::LinkPurpose, emails::Email, ids::UserId, secrets::TokenHash};
use uuid::Uuid;

use crate::{error::Result, schema::links};

/// A link, without its secret.
#[derive(Debug, Clone)]
pub struct Link {
    /// Id; the secret is derived from it.
    pub id: Uuid,
    /// What it is for.
    pub purpose: LinkPurpose,
    /// Whose address it proves; none for a claim, and for one that opens nothing.
    pub user: Option<UserId>,
    /// The address wanted.
    pub new_email: Option<Email>,
    /// The other half of a pair.
    pub partner: Option<Uuid>,
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = links)]
struct LinkRow {
    id: Uuid,
    user_id: Option<Uuid>,
    new_email: Option<String>,
    partner_id: Option<Uuid>,
}

/// Adds a link.
pub async fn insert(conn: &mut AsyncPgConnection, link: &Link, hash: TokenHash, now: Time) -> Result<()> {
    diesel::insert_into(links::table)
        .values((
            links::id.eq(link.id),
            links::hash.eq(hash.0.to_vec()),
            links::purpose.eq(link.purpose.as_str()),
            links::user_id.eq(link.user.map(UserId::uuid)),
            links::new_email.eq(link.new_email.as_ref().map(Email::as_str)),
            links::partner_id.eq(link.partner),
            links::created_at.eq(now),
            links::expires_at.eq(now + link.purpose.ttl()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// An unused link of this purpose that has not ended.
pub async fn find(
    conn: &mut AsyncPgConnection,
    purpose: LinkPurpose,
    hash: TokenHash,
    now: Time,
) -> Result<Option<Link>> {
    let row: Option<LinkRow> = links::table
        .filter(links::hash.eq(hash.0.to_vec()))
        .filter(links::purpose.eq(purpose.as_str()))
        .filter(links::used_at.is_null())
        .filter(links::expires_at.gt(now))
        .select(LinkRow::as_select())
        .first(conn)
        .await
        .optional()?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Link {
        id: row.id,
        purpose,
        user: row.user_id.map(Into::into),
        new_email: row.new_email.as_deref().map(Email::stored),
        partner: row.partner_id,
    }))
}

/// Uses a link up; says whether it was still unused.
pub async fn mark_used(conn: &mut AsyncPgConnection, id: Uuid, now: Time) -> Result<bool> {
    let unused = links::table.find(id).filter(links::used_at.is_null());
    Ok(diesel::update(unused).set(links::used_at.eq(now)).execute(conn).await? == 1)
}

/// The address that a link is to change to, used or not.
pub async fn new_email(conn: &mut AsyncPgConnection, id: Uuid) -> Result<Option<Email>> {
    let email: Option<Option<String>> =
        links::table.find(id).select(links::new_email).first(conn).await.optional()?;
    Ok(email.flatten().as_deref().map(Email::stored))
}

/// Whether a link was used.
pub async fn is_used(conn: &mut AsyncPgConnection, id: Uuid) -> Result<bool> {
    let used: Option<Uuid> = links::table
        .find(id)
        .filter(links::used_at.is_not_null())
        .select(links::id)
        .first(conn)
        .await
        .optional()?;
    Ok(used.is_some())
}

/// Removes a person's links of these purposes, so that only the next one opens anything.
pub async fn delete_of_user(
    conn: &mut AsyncPgConnection,
    user: UserId,
    purposes: &[LinkPurpose],
) -> Result<()> {
    let words: Vec<&str> = purposes.iter().map(|p| p.as_str()).collect();
    let theirs = links::table.filter(links::user_id.eq(user.uuid()).and(links::purpose.eq_any(words)));
    diesel::delete(theirs).execute(conn).await?;
    Ok(())
}

/// Removes everybody's links of one purpose.
pub async fn delete_all(conn: &mut AsyncPgConnection, purpose: LinkPurpose) -> Result<()> {
    diesel::delete(links::table.filter(links::purpose.eq(purpose.as_str()))).execute(conn).await?;
    Ok(())
}

/// Removes links that ended before `before`; says how many.
pub async fn purge(conn: &mut AsyncPgConnection, before: Time) -> Result<usize> {
    Ok(diesel::delete(links::table.filter(links::expires_at.lt(before))).execute(conn).await?)
}
