//! Migrations, embedded: applied under a lock, and never under a database newer than the binary.
//!
//! Each database remembers the text of what was applied, so that a migration that was edited afterwards is told, rather
//! than taken for applied.

use diesel::{ExpressionMethods, QueryDsl, QueryableByName, sql_types as st};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::{error::Error, locks::Lock, pool::Db};

const EMBEDDED: EmbeddedMigrations = embed_migrations!("../../migrations");
/// Version and SHA-256 of each, oldest first.
const TEXTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));
/// Of the advisory lock under which one process at a time migrates.
const LOCK: i64 = Lock::Migrations as i64;
/// The oldest server that has all we use.
pub const MIN_POSTGRES: i32 = 14;

/// Why the database cannot be used as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// Too old a server.
    #[error("PostgreSQL {found} is too old: Tenon needs {MIN_POSTGRES} or newer")]
    PostgresTooOld {
        /// Major version of the server.
        found: i32,
    },
    /// A newer release has been here.
    #[error(
        "the database is newer than this program: it has migration {found}, which this release does not know; use the newer release, or restore a backup of before the upgrade"
    )]
    DatabaseNewer {
        /// Version of the unknown migration.
        found: String,
    },
    /// A migration has another text than the one that was applied.
    #[error(
        "the migration {version} is not the one that this database had: it was edited after {release} applied it, and what was edited is missing here; use the program that made the database, or restore into a new one"
    )]
    Edited {
        /// Version of the migration.
        version: String,
        /// The release that applied it.
        release: String,
    },
    /// Not all migrations are applied.
    #[error("{pending} migrations are not applied; run `tenon migrate`")]
    Behind {
        /// How many.
        pending: usize,
    },
    /// The database is away or refuses.
    #[error("the database could not be reached")]
    Database(#[from] Error),
    /// A migration failed; it left nothing behind.
    #[error("a migration failed")]
    Failed(#[source] tenon_core::BoxError),
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = st::Text)]
    version: String,
}

#[derive(QueryableByName)]
struct Server {
    #[diesel(sql_type = st::Integer)]
    version: i32,
}

/// Applies what is pending and says which migrations those were.
///
/// Two processes that migrate at once do it one after the other.
pub async fn run(db: &Db) -> Result<Vec<String>, MigrateError> {
    let mut conn = db.dedicated().await?;
    check_server(&mut conn).await?;
    // Whoever waits for another, or rewrites a large table, takes as long as it takes.
    conn.batch_execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
        .await
        .map_err(Error::from)?;
    diesel::sql_query("SELECT pg_advisory_lock($1)")
        .bind::<st::BigInt, _>(LOCK)
        .execute(&mut conn)
        .await
        .map_err(Error::from)?;
    refuse_newer(&mut conn).await?;
    refuse_edited(&mut conn).await?;
    // The harness blocks on the connection, so it has a thread of its own; the lock goes with the connection.
    let migrating = tokio::task::spawn_blocking(move || {
        let mut harness = AsyncMigrationHarness::new(conn);
        let applied = harness.run_pending_migrations(EMBEDDED).map_err(MigrateError::Failed)?;
        let applied = applied.into_iter().map(|v| v.to_string()).collect();
        Ok::<_, MigrateError>((harness.into_inner(), applied))
    });
    let (mut conn, applied) = migrating.await.map_err(|e| MigrateError::Failed(Box::new(e)))??;
    remember(&mut conn).await?;
    Ok(applied)
}

/// Succeeds when the database is exactly at this binary's head: what a process asks before it starts.
pub async fn check(db: &Db) -> Result<(), MigrateError> {
    let mut conn = db.conn().await?;
    refuse_newer(&mut conn).await?;
    refuse_edited(&mut conn).await?;
    drop(conn);
    check_running(db).await
}

/// Succeeds when the database has all that this binary needs: what a process asks while it runs. A newer release may
/// have migrated meanwhile, on this machine or another, and takes over in a moment; until then this one goes on, for
/// every release runs on the schema of the next one.
pub async fn check_running(db: &Db) -> Result<(), MigrateError> {
    let mut conn = db.conn().await?;
    let applied = applied(&mut conn).await?;
    let pending = known()?.iter().filter(|v| !applied.contains(v)).count();
    if pending == 0 { Ok(()) } else { Err(MigrateError::Behind { pending }) }
}

/// The newest migration that the database of `conn` has; none when it never had any.
pub async fn head(conn: &mut AsyncPgConnection) -> Result<Option<String>, MigrateError> {
    Ok(applied(conn).await?.pop())
}

/// Versions of the embedded migrations, oldest first.
pub fn known() -> Result<Vec<String>, MigrateError> {
    use diesel::{migration::MigrationSource, pg::Pg};
    let migrations = MigrationSource::<Pg>::migrations(&EMBEDDED).map_err(MigrateError::Failed)?;
    let mut versions: Vec<String> = migrations.iter().map(|m| m.name().version().to_string()).collect();
    versions.sort();
    Ok(versions)
}

async fn check_server(conn: &mut AsyncPgConnection) -> Result<(), MigrateError> {
    let server: Server =
        diesel::sql_query("SELECT current_setting('server_version_num')::int / 10000 AS version")
            .get_result(conn)
            .await
            .map_err(Error::from)?;
    refuse_old(server.version)
}

const fn refuse_old(found: i32) -> Result<(), MigrateError> {
    if found < MIN_POSTGRES { Err(MigrateError::PostgresTooOld { found }) } else { Ok(()) }
}

async fn refuse_newer(conn: &mut AsyncPgConnection) -> Result<(), MigrateError> {
    let known = known()?;
    match applied(conn).await?.into_iter().find(|v| !known.contains(v)) {
        Some(found) => Err(MigrateError::DatabaseNewer { found }),
        None => Ok(()),
    }
}

/// Compares what this database remembers with what is embedded.
async fn refuse_edited(conn: &mut AsyncPgConnection) -> Result<(), MigrateError> {
    use crate::schema::applied_migrations::dsl;
    // Databases of before have no such table.
    if !exists(conn, "applied_migrations").await? {
        return Ok(());
    }
    let remembered: Vec<(String, String, String)> = dsl::applied_migrations
        .select((dsl::version, dsl::sha256, dsl::release))
        .order(dsl::version)
        .load(conn)
        .await
        .map_err(Error::from)?;
    for (version, sha256, release) in remembered {
        if TEXTS.iter().any(|(known, text)| *known == version && *text != sha256) {
            return Err(MigrateError::Edited { version, release });
        }
    }
    Ok(())
}

/// Writes down the texts of what is applied, where they are not yet.
async fn remember(conn: &mut AsyncPgConnection) -> Result<(), MigrateError> {
    use crate::schema::applied_migrations::dsl;
    let rows: Vec<_> = TEXTS
        .iter()
        .map(|(version, sha256)| {
            let release = dsl::release.eq(env!("CARGO_PKG_VERSION"));
            (dsl::version.eq(version), dsl::sha256.eq(sha256), release)
        })
        .collect();
    diesel::insert_into(dsl::applied_migrations)
        .values(rows)
        .on_conflict_do_nothing()
        .execute(conn)
        .await
        .map_err(Error::from)?;
    Ok(())
}

async fn exists(conn: &mut AsyncPgConnection, table: &str) -> Result<bool, MigrateError> {
    #[derive(QueryableByName)]
    struct Exists {
        #[diesel(sql_type = st::Bool)]
        exists: bool,
    }
    let found: Exists = diesel::sql_query("SELECT to_regclass($1) IS NOT NULL AS exists")
        .bind::<st::Text, _>(table)
        .get_result(conn)
        .await
        .map_err(Error::from)?;
    Ok(found.exists)
}

async fn applied(conn: &mut AsyncPgConnection) -> Result<Vec<String>, MigrateError> {
    if !exists(conn, "__diesel_schema_migrations").await? {
        return Ok(vec![]);
    }
    let rows: Vec<Version> =
        diesel::sql_query("SELECT version::text FROM __diesel_schema_migrations ORDER BY version")
            .load(conn)
            .await
            .map_err(Error::from)?;
    Ok(rows.into_iter().map(|r| r.version).collect())
}

#[cfg(test)]
mod tests {
    use super::refuse_old;

    #[test]
    fn an_old_server_is_refused_with_what_it_is_and_what_is_needed() {
        let refused = refuse_old(13).unwrap_err().to_string();
        assert_eq!(refused, "PostgreSQL 13 is too old: Tenon needs 14 or newer");
        refuse_old(14).unwrap();
    }
}
