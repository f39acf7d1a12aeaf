//! Personal access tokens.

use diesel::{prelude::*, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    ids::{TokenId, UserId},
    page::Page,
    secrets::TokenHash,
    tokens::{Scope, Token, TokenName},
};
use uuid::Uuid;

use crate::{error::Result, schema::access_tokens, sql::sql};

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = access_tokens)]
struct TokenRow {
    id: Uuid,
    user_id: Uuid,
    name: String,
    scopes: Vec<String>,
    created_at: Time,
    expires_at: Option<Time>,
    last_used_at: Option<Time>,
}

impl TryFrom<TokenRow> for Token {
    type Error = crate::Error;
    fn try_from(row: TokenRow) -> Result<Self> {
        Ok(Self {
            id: row.id.into(),
            user_id: row.user_id.into(),
            name: TokenName::stored(&row.name),
            scopes: row.scopes.iter().filter_map(|word| Scope::of(word)).collect(),
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
        })
    }
}

/// Adds a token.
pub async fn insert(conn: &mut AsyncPgConnection, token: &Token, hash: TokenHash) -> Result<()> {
    let scopes: Vec<&str> = token.scopes.iter().map(|s| s.as_str()).collect();
    diesel::insert_into(access_tokens::table)
        .values((
            access_tokens::id.eq(token.id.uuid()),
            access_tokens::user_id.eq(token.user_id.uuid()),
            access_tokens::name.eq(token.name.as_str()),
            access_tokens::hash.eq(hash.0.to_vec()),
            access_tokens::scopes.eq(scopes),
            access_tokens::created_at.eq(token.created_at),
            access_tokens::expires_at.eq(token.expires_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Tokens of a person, newest first; ended ones too.
pub async fn of_user(conn: &mut AsyncPgConnection, user: UserId, page: &Page<Uuid>) -> Result<Vec<Token>> {
    let mut query = access_tokens::table
        .filter(access_tokens::user_id.eq(user.uuid()))
        .order(access_tokens::id.desc())
        .limit(page.fetch())
        .select(TokenRow::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(access_tokens::id.lt(after));
    }
    let rows: Vec<TokenRow> = query.load(conn).await?;
    rows.into_iter().map(Token::try_from).collect()
}

/// A person's token.
pub async fn find(conn: &mut AsyncPgConnection, user: UserId, id: TokenId) -> Result<Option<Token>> {
    let row: Option<TokenRow> = access_tokens::table
        .find(id.uuid())
        .filter(access_tokens::user_id.eq(user.uuid()))
        .select(TokenRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(Token::try_from).transpose()
}

/// A token, whosever it is.
pub async fn find_any(conn: &mut AsyncPgConnection, id: TokenId) -> Result<Option<Token>> {
    let row: Option<TokenRow> =
        access_tokens::table.find(id.uuid()).select(TokenRow::as_select()).first(conn).await.optional()?;
    row.map(Token::try_from).transpose()
}

/// How many tokens a person has.
pub async fn count(conn: &mut AsyncPgConnection, user: UserId) -> Result<i64> {
    let theirs = access_tokens::table.filter(access_tokens::user_id.eq(user.uuid()));
    Ok(theirs.count().get_result(conn).await?)
}

/// Removes a person's token; says whether there was one.
pub async fn delete(conn: &mut AsyncPgConnection, user: UserId, id: TokenId) -> Result<bool> {
    let theirs = access_tokens::table.find(id.uuid()).filter(access_tokens::user_id.eq(user.uuid()));
    Ok(diesel::delete(theirs).execute(conn).await? == 1)
}

/// Removes a person's tokens; says which.
pub async fn delete_all(conn: &mut AsyncPgConnection, user: UserId) -> Result<Vec<TokenId>> {
    let theirs = access_tokens::table.filter(access_tokens::user_id.eq(user.uuid()));
    let ids: Vec<Uuid> = diesel::delete(theirs).returning(access_tokens::id).get_results(conn).await?;
    Ok(ids.into_iter().map(Into::into).collect())
}

/// Names of a person's tokens that have not ended, oldest first.
pub async fn names(conn: &mut AsyncPgConnection, user: UserId, now: Time) -> Result<Vec<String>> {
    Ok(access_tokens::table
        .filter(access_tokens::user_id.eq(user.uuid()))
        .filter(access_tokens::expires_at.is_null().or(access_tokens::expires_at.gt(now)))
        .order(access_tokens::id)
        .select(access_tokens::name)
        .load(conn)
        .await?)
}

/// Remembers when tokens were last used, in one statement.
pub async fn used(conn: &mut AsyncPgConnection, uses: &[(TokenId, Time)]) -> Result<()> {
    let ids: Vec<Uuid> = uses.iter().map(|(id, _)| id.uuid()).collect();
    let times: Vec<Time> = uses.iter().map(|(_, at)| *at).collect();
    sql("UPDATE access_tokens t SET last_used_at = greatest(t.last_used_at, u.at)
         FROM unnest($1, $2) AS u(id, at) WHERE t.id = u.id")
    .bind::<st::Array<st::Uuid>, _>(ids)
    .bind::<st::Array<st::Timestamptz>, _>(times)
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes tokens that ended before `before`; says how many.
pub async fn purge(conn: &mut AsyncPgConnection, before: Time) -> Result<usize> {
    Ok(diesel::delete(access_tokens::table.filter(access_tokens::expires_at.lt(before)))
        .execute(conn)
        .await?)
}
