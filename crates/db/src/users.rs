//! People.

use diesel::{prelude::*, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    emails::Email,
    ids::UserId,
    page::Page,
    text::Color,
    users::{FullName, Lang, ProfilePatch, Timezone, User, Username},
};
use uuid::Uuid;

use crate::{error::Result, locks::Lock, schema::users, sql::sql};

/// Of the advisory lock under which administrators are made and unmade, so that one is always left.
const ADMINS_LOCK: i64 = Lock::Administrators as i64;

/// A person with the hash of their password.
#[derive(Debug, Clone)]
pub struct Account {
    /// The person.
    pub user: User,
    /// argon2id in PHC form; none for whoever never had a password.
    pub password_hash: Option<String>,
}

/// A row to be.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Id.
    pub id: UserId,
    /// Unique handle.
    pub username: Username,
    /// Unique address.
    pub email: Email,
    /// argon2id in PHC form.
    pub password_hash: Option<String>,
    /// Name.
    pub full_name: FullName,
    /// Shade.
    pub color: Color,
    /// Language.
    pub lang: Lang,
    /// Time zone.
    pub timezone: Timezone,
    /// Administers the instance.
    pub is_admin: bool,
    /// When terms and privacy policy were accepted.
    pub accepted_at: Option<Time>,
    /// When the address was verified; an account without is not active.
    pub verified_at: Option<Time>,
    /// Now.
    pub created_at: Time,
}

#[derive(Debug, Queryable, Selectable, QueryableByName)]
#[diesel(table_name = users)]
struct UserRow {
    id: Uuid,
    username: String,
    email: String,
    password_hash: Option<String>,
    full_name: String,
    color: i16,
    lang: String,
    timezone: String,
    is_active: bool,
    is_admin: bool,
    verified_at: Option<Time>,
    last_login_at: Option<Time>,
    created_at: Time,
    version: i64,
}

impl UserRow {
    fn into_account(self) -> Result<Account> {
        let user = User {
            id: self.id.into(),
            username: Username::stored(self.username),
            email: Email::stored(&self.email),
            full_name: FullName::stored(&self.full_name),
            color: Color::parse(self.color)?,
            lang: Lang::of(&self.lang).unwrap_or_default(),
            timezone: Timezone::parse(&self.timezone).unwrap_or_default(),
            is_active: self.is_active,
            is_admin: self.is_admin,
            verified_at: self.verified_at,
            last_login_at: self.last_login_at,
            created_at: self.created_at,
            version: self.version,
        };
        Ok(Account { user, password_hash: self.password_hash })
    }
}

/// Adds a person, unless the handle or the address is taken; says whether it did.
pub async fn insert(conn: &mut AsyncPgConnection, new: &NewUser) -> Result<bool> {
    let rows = diesel::insert_into(users::table)
        .values((
            users::id.eq(new.id.uuid()),
            users::username.eq(new.username.as_str()),
            users::email.eq(new.email.as_str()),
            users::password_hash.eq(new.password_hash.as_deref()),
            users::full_name.eq(new.full_name.as_str()),
            users::color.eq(new.color.get()),
            users::lang.eq(new.lang.code()),
            users::timezone.eq(new.timezone.as_str()),
            users::is_active.eq(new.verified_at.is_some()),
            users::is_admin.eq(new.is_admin),
            users::accepted_terms_at.eq(new.accepted_at),
            users::accepted_privacy_at.eq(new.accepted_at),
            users::verified_at.eq(new.verified_at),
            users::created_at.eq(new.created_at),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(rows == 1)
}

/// A person.
pub async fn find(conn: &mut AsyncPgConnection, id: UserId) -> Result<Option<User>> {
    Ok(account(conn, id).await?.map(|a| a.user))
}

/// A person with the hash of their password.
pub async fn account(conn: &mut AsyncPgConnection, id: UserId) -> Result<Option<Account>> {
    let row: Option<UserRow> =
        users::table.find(id.uuid()).select(UserRow::as_select()).first(conn).await.optional()?;
    row.map(UserRow::into_account).transpose()
}

/// Whose address it is.
pub async fn by_email(conn: &mut AsyncPgConnection, email: &Email) -> Result<Option<Account>> {
    let rows: Vec<UserRow> = users::table
        .filter(users::email.eq_any(email.spellings()))
        .select(UserRow::as_select())
        .load(conn)
        .await?;
    let exact = rows.iter().position(|row| row.email == email.as_str()).unwrap_or(0);
    rows.into_iter().nth(exact).map(UserRow::into_account).transpose()
}

/// Accounts whose address an earlier release kept with letters outside ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Respelt {
    /// Have their address in ASCII now.
    pub changed: usize,
    /// Keep it: another account has it in ASCII, or it has no ASCII form.
    pub kept: usize,
}

/// Puts addresses that an earlier release kept as they were written into ASCII, where nobody has them so.
pub async fn respell_emails(conn: &mut AsyncPgConnection) -> Result<Respelt> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = st::Uuid)]
        id: Uuid,
        #[diesel(sql_type = st::Text)]
        email: String,
    }
    let rows: Vec<Row> =
        sql("SELECT id, email FROM users WHERE email ~ '[^\\x01-\\x7f]' ORDER BY id").load(conn).await?;
    let mut respelt = Respelt::default();
    for row in rows {
        let changed = match Email::parse(&row.email) {
            Ok(email) => {
                sql("UPDATE users SET email = $2, version = version + 1
                     WHERE id = $1 AND NOT EXISTS (SELECT FROM users WHERE email = $2)")
                .bind::<st::Uuid, _>(row.id)
                .bind::<st::Text, _>(email.as_str())
                .execute(conn)
                .await?
            }
            Err(_) => 0,
        };
        respelt.changed += changed;
        respelt.kept += 1 - changed;
    }
    Ok(respelt)
}

/// Whose handle it is.
pub async fn by_username(conn: &mut AsyncPgConnection, username: &Username) -> Result<Option<Account>> {
    let row: Option<UserRow> = users::table
        .filter(users::username.eq(username.as_str()))
        .select(UserRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(UserRow::into_account).transpose()
}

/// Which of `candidates` somebody has already.
pub async fn taken(conn: &mut AsyncPgConnection, candidates: &[String]) -> Result<Vec<String>> {
    Ok(users::table.filter(users::username.eq_any(candidates)).select(users::username).load(conn).await?)
}

/// Whether an invitation waits for this address.
pub async fn is_invited(conn: &mut AsyncPgConnection, email: &Email) -> Result<bool> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = st::Bool)]
        found: bool,
    }
    let row: Found = sql(
        "SELECT EXISTS (SELECT 1 FROM invitations WHERE email = ANY($1) AND status = 'pending') AS found",
    )
    .bind::<st::Array<st::Text>, _>(email.spellings())
    .get_result(conn)
    .await?;
    Ok(row.found)
}

#[derive(AsChangeset)]
#[diesel(table_name = users)]
struct ProfileChange<'a> {
    username: Option<&'a str>,
    full_name: Option<&'a str>,
    color: Option<i16>,
    lang: Option<&'a str>,
    timezone: Option<&'a str>,
}

/// Changes a profile; a handle that somebody else has is a unique violation.
pub async fn update_profile(conn: &mut AsyncPgConnection, id: UserId, patch: &ProfilePatch) -> Result<()> {
    let change = ProfileChange {
        username: patch.username.as_ref().map(Username::as_str),
        full_name: patch.full_name.as_ref().map(FullName::as_str),
        color: patch.color.map(Color::get),
        lang: patch.lang.map(Lang::code),
        timezone: patch.timezone.as_ref().map(Timezone::as_str),
    };
    diesel::update(users::table.find(id.uuid()))
        .set((change, users::version.eq(users::version + 1)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Sets the hash of a password.
pub async fn set_password(conn: &mut AsyncPgConnection, id: UserId, hash: &str) -> Result<()> {
    diesel::update(users::table.find(id.uuid())).set(users::password_hash.eq(hash)).execute(conn).await?;
    Ok(())
}

/// Sets a verified address; one that somebody else has is a unique violation.
pub async fn set_email(conn: &mut AsyncPgConnection, id: UserId, email: &Email, now: Time) -> Result<()> {
    diesel::update(users::table.find(id.uuid()))
        .set((
            users::email.eq(email.as_str()),
            users::verified_at.eq(now),
            users::version.eq(users::version + 1),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Marks the address as verified and the account as active, unless it was verified before; says whether it did.
pub async fn verify(conn: &mut AsyncPgConnection, id: UserId, now: Time) -> Result<bool> {
    let rows = diesel::update(users::table.find(id.uuid()).filter(users::verified_at.is_null()))
        .set((users::verified_at.eq(now), users::is_active.eq(true), users::version.eq(users::version + 1)))
        .execute(conn)
        .await?;
    Ok(rows == 1)
}

/// Switches an account on or off.
pub async fn set_active(conn: &mut AsyncPgConnection, id: UserId, active: bool) -> Result<()> {
    diesel::update(users::table.find(id.uuid()))
        .set((users::is_active.eq(active), users::version.eq(users::version + 1)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes or unmakes an administrator.
pub async fn set_admin(conn: &mut AsyncPgConnection, id: UserId, admin: bool) -> Result<()> {
    diesel::update(users::table.find(id.uuid()))
        .set((users::is_admin.eq(admin), users::version.eq(users::version + 1)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Remembers a sign-in.
pub async fn signed_in(conn: &mut AsyncPgConnection, id: UserId, at: Time) -> Result<()> {
    diesel::update(users::table.find(id.uuid())).set(users::last_login_at.eq(at)).execute(conn).await?;
    Ok(())
}

/// Administrators who can sign in; nobody makes or unmakes one until the transaction ends.
pub async fn lock_admins(conn: &mut AsyncPgConnection) -> Result<i64> {
    sql("SELECT pg_advisory_xact_lock($1)").bind::<st::BigInt, _>(ADMINS_LOCK).execute(conn).await?;
    admins(conn).await
}

/// Administrators who can sign in.
pub async fn admins(conn: &mut AsyncPgConnection) -> Result<i64> {
    let admins = users::table.filter(users::is_admin.and(users::is_active));
    Ok(admins.count().get_result(conn).await?)
}

/// Removes a person with everything that is only theirs.
pub async fn delete(conn: &mut AsyncPgConnection, id: UserId) -> Result<()> {
    diesel::delete(users::table.find(id.uuid())).execute(conn).await?;
    Ok(())
}

/// Removes an account that was never verified, with its log; says whether it did.
pub async fn delete_unverified(conn: &mut AsyncPgConnection, id: UserId) -> Result<bool> {
    let rows = sql("WITH gone AS (DELETE FROM users WHERE id = $1 AND verified_at IS NULL RETURNING id)
         DELETE FROM streams s USING gone WHERE s.id = gone.id")
    .bind::<st::Uuid, _>(id.uuid())
    .execute(conn)
    .await?;
    Ok(rows == 1)
}

/// Removes the accounts made before `before` and never verified, with their logs; says how many.
pub async fn purge_unverified(conn: &mut AsyncPgConnection, before: Time) -> Result<usize> {
    Ok(sql("WITH gone AS (DELETE FROM users WHERE verified_at IS NULL AND created_at < $1 RETURNING id)
         DELETE FROM streams s USING gone WHERE s.id = gone.id")
    .bind::<st::Timestamptz, _>(before)
    .execute(conn)
    .await?)
}

/// Removes the logs of people who are gone, once their last change is older than `before`; says how many.
pub async fn purge_logs(conn: &mut AsyncPgConnection, before: Time) -> Result<usize> {
    Ok(sql("DELETE FROM streams s WHERE s.kind = 'person'
              AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = s.id)
              AND NOT EXISTS (SELECT 1 FROM changes c WHERE c.stream = s.id AND c.seq = s.seq AND c.at >= $1)")
        .bind::<st::Timestamptz, _>(before)
        .execute(conn)
        .await?)
}

/// People in order of arrival, whose handle, name or address contains `search`.
pub async fn list(
    conn: &mut AsyncPgConnection,
    search: Option<&str>,
    page: &Page<Uuid>,
) -> Result<Vec<User>> {
    let mut query =
        users::table.select(UserRow::as_select()).order(users::id).limit(page.fetch()).into_boxed();
    if let Some(after) = page.after {
        query = query.filter(users::id.gt(after));
    }
    if let Some(search) = search {
        let pattern = containing(search);
        query = query.filter(
            users::username
                .ilike(pattern.clone())
                .or(users::full_name.ilike(pattern.clone()))
                .or(users::email.ilike(pattern)),
        );
    }
    let rows: Vec<UserRow> = query.load(conn).await?;
    rows.into_iter().map(|row| row.into_account().map(|a| a.user)).collect()
}

/// How many [`list`] finds in all.
pub async fn count(conn: &mut AsyncPgConnection, search: Option<&str>) -> Result<i64> {
    let mut query = users::table.into_boxed();
    if let Some(search) = search {
        let pattern = containing(search);
        query = query.filter(
            users::username
                .ilike(pattern.clone())
                .or(users::full_name.ilike(pattern.clone()))
                .or(users::email.ilike(pattern)),
        );
    }
    Ok(query.count().get_result(conn).await?)
}

fn containing(search: &str) -> String {
    format!("%{}%", search.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
}
