//! Logins and their refresh tokens.

use diesel::{prelude::*, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    ids::{SessionId, UserId},
    page::Page,
    secrets::TokenHash,
    sessions::Session,
};
use uuid::Uuid;

use crate::{
    error::Result,
    schema::{refresh_tokens, sessions},
    sql::sql,
};

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = sessions)]
struct SessionRow {
    id: Uuid,
    user_id: Uuid,
    created_at: Time,
    last_seen_at: Time,
    expires_at: Time,
    user_agent: String,
    address: String,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            id: row.id.into(),
            user_id: row.user_id.into(),
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
            user_agent: row.user_agent,
            address: row.address,
        }
    }
}

/// Adds a login.
pub async fn insert(conn: &mut AsyncPgConnection, session: &Session) -> Result<()> {
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(session.id.uuid()),
            sessions::user_id.eq(session.user_id.uuid()),
            sessions::user_agent.eq(&session.user_agent),
            sessions::address.eq(&session.address),
            sessions::created_at.eq(session.created_at),
            sessions::last_seen_at.eq(session.last_seen_at),
            sessions::expires_at.eq(session.expires_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Living sessions of a person, newest first.
pub async fn of_user(
    conn: &mut AsyncPgConnection,
    user: UserId,
    now: Time,
    page: &Page<Uuid>,
) -> Result<Vec<Session>> {
    let mut query = sessions::table
        .filter(sessions::user_id.eq(user.uuid()))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(now))
        .order(sessions::id.desc())
        .limit(page.fetch())
        .select(SessionRow::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(sessions::id.lt(after));
    }
    let rows: Vec<SessionRow> = query.load(conn).await?;
    Ok(rows.into_iter().map(Session::from).collect())
}

/// A session, revoked or not.
pub async fn find(conn: &mut AsyncPgConnection, id: SessionId) -> Result<Option<Session>> {
    let row: Option<SessionRow> =
        sessions::table.find(id.uuid()).select(SessionRow::as_select()).first(conn).await.optional()?;
    Ok(row.map(Session::from))
}

/// Whether a session of a person exists, revoked or not.
pub async fn exists(conn: &mut AsyncPgConnection, user: UserId, id: SessionId) -> Result<bool> {
    let row: Option<Uuid> = sessions::table
        .find(id.uuid())
        .filter(sessions::user_id.eq(user.uuid()))
        .select(sessions::id)
        .first(conn)
        .await
        .optional()?;
    Ok(row.is_some())
}

/// Whether a person ever signed in with this client, as far as is remembered.
pub async fn knows_device(conn: &mut AsyncPgConnection, user: UserId, user_agent: &str) -> Result<bool> {
    let row: Option<Uuid> = sessions::table
        .filter(sessions::user_id.eq(user.uuid()))
        .filter(sessions::user_agent.eq(user_agent))
        .select(sessions::id)
        .first(conn)
        .await
        .optional()?;
    Ok(row.is_some())
}

/// How many accounts have begun a session at exactly this client address since then.
pub async fn accounts_at(conn: &mut AsyncPgConnection, address: &str, since: Time) -> Result<i64> {
    let accounts = sessions::table
        .filter(sessions::address.eq(address))
        .filter(sessions::created_at.gt(since))
        .select(diesel::dsl::count(sessions::user_id).aggregate_distinct())
        .first(conn)
        .await?;
    Ok(accounts)
}

/// Removes a login that was nobody's.
pub async fn forget(conn: &mut AsyncPgConnection, id: SessionId) -> Result<()> {
    diesel::delete(sessions::table.find(id.uuid())).execute(conn).await?;
    Ok(())
}

/// Ends a person's living sessions, all or all but one; says which.
pub async fn revoke_all(
    conn: &mut AsyncPgConnection,
    user: UserId,
    but: Option<SessionId>,
    now: Time,
) -> Result<Vec<SessionId>> {
    #[derive(QueryableByName)]
    struct Ended {
        #[diesel(sql_type = st::Uuid)]
        id: Uuid,
    }
    let rows: Vec<Ended> = sql("UPDATE sessions SET revoked_at = $3
         WHERE user_id = $1 AND id IS DISTINCT FROM $2 AND revoked_at IS NULL AND expires_at > $3 RETURNING id")
    .bind::<st::Uuid, _>(user.uuid())
    .bind::<st::Nullable<st::Uuid>, _>(but.map(SessionId::uuid))
    .bind::<st::Timestamptz, _>(now)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|r| r.id.into()).collect())
}

/// Ends one session; says whether it was alive.
pub async fn revoke(conn: &mut AsyncPgConnection, id: SessionId, now: Time) -> Result<bool> {
    let living = sessions::table.find(id.uuid()).filter(sessions::revoked_at.is_null());
    let rows = diesel::update(living).set(sessions::revoked_at.eq(now)).execute(conn).await?;
    Ok(rows == 1)
}

/// A refresh token as it was issued, and the state of its session.
#[derive(Debug, Clone, QueryableByName)]
pub struct Refresh {
    #[diesel(sql_type = st::Uuid)]
    session_id: Uuid,
    #[diesel(sql_type = st::Uuid)]
    user_id: Uuid,
    /// When it was exchanged for another, if it was.
    #[diesel(sql_type = st::Nullable<st::Timestamptz>)]
    pub rotated_at: Option<Time>,
    /// Whether the session is alive and its person active.
    #[diesel(sql_type = st::Bool)]
    pub is_alive: bool,
}

impl Refresh {
    /// Whose.
    pub fn user(&self) -> UserId {
        self.user_id.into()
    }
    /// Of which session.
    pub fn session(&self) -> SessionId {
        self.session_id.into()
    }
}

/// Finds a refresh token and holds its session until the transaction ends, so that two exchanges of one token
/// happen one after the other.
pub async fn find_refresh(
    conn: &mut AsyncPgConnection,
    hash: TokenHash,
    now: Time,
) -> Result<Option<Refresh>> {
    // The token is read again after the lock was waited for.
    sql("SELECT 1 FROM sessions WHERE id = (SELECT session_id FROM refresh_tokens WHERE hash = $1) FOR UPDATE")
        .bind::<st::Bytea, _>(hash.0)
        .execute(conn)
        .await?;
    let rows: Vec<Refresh> = sql(
        "SELECT s.id AS session_id, s.user_id, r.rotated_at, (s.revoked_at IS NULL AND s.expires_at > $2 AND u.is_active) AS is_alive
         FROM refresh_tokens r JOIN sessions s ON s.id = r.session_id JOIN users u ON u.id = s.user_id
         WHERE r.hash = $1",
    )
    .bind::<st::Bytea, _>(hash.0)
    .bind::<st::Timestamptz, _>(now)
    .load(conn)
    .await?;
    Ok(rows.into_iter().next())
}

/// Adds a refresh token to a session.
pub async fn insert_refresh(
    conn: &mut AsyncPgConnection,
    session: SessionId,
    hash: TokenHash,
    now: Time,
) -> Result<()> {
    diesel::insert_into(refresh_tokens::table)
        .values((
            refresh_tokens::hash.eq(hash.0.to_vec()),
            refresh_tokens::session_id.eq(session.uuid()),
            refresh_tokens::issued_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Marks a refresh token as exchanged, unless it was before, and lets its session live on.
pub async fn rotate(
    conn: &mut AsyncPgConnection,
    session: SessionId,
    hash: TokenHash,
    now: Time,
    expires_at: Time,
) -> Result<()> {
    let unused = refresh_tokens::table.find(hash.0.to_vec()).filter(refresh_tokens::rotated_at.is_null());
    diesel::update(unused).set(refresh_tokens::rotated_at.eq(now)).execute(conn).await?;
    diesel::update(sessions::table.find(session.uuid()))
        .set((sessions::last_seen_at.eq(now), sessions::expires_at.eq(expires_at)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes what ended before `before`: sessions, and exchanged refresh tokens; says how many sessions.
pub async fn purge(conn: &mut AsyncPgConnection, before: Time) -> Result<usize> {
    diesel::delete(refresh_tokens::table.filter(refresh_tokens::rotated_at.lt(before))).execute(conn).await?;
    let ended = sessions::table.filter(sessions::expires_at.lt(before).or(sessions::revoked_at.lt(before)));
    Ok(diesel::delete(ended).execute(conn).await?)
}
