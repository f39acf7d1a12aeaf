//! What a backup reads of the database, all in one snapshot, and what it leaves in it.

use chrono::{DateTime, Utc};
use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use serde::{Deserialize, Serialize};
use tenon_core::ids::{UserId, WorkspaceId};
use uuid::Uuid;

use crate::{Db, error::Result, locks::Lock, sql::sql};

/// How much there is of what people would miss first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, QueryableByName)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Counts {
    #[diesel(sql_type = st::BigInt)]
    pub users: i64,
    #[diesel(sql_type = st::BigInt)]
    pub workspaces: i64,
    #[diesel(sql_type = st::BigInt)]
    pub workspace_members: i64,
    #[diesel(sql_type = st::BigInt)]
    pub projects: i64,
    #[diesel(sql_type = st::BigInt)]
    pub project_members: i64,
    #[diesel(sql_type = st::BigInt)]
    pub stories: i64,
    #[diesel(sql_type = st::BigInt)]
    pub comments: i64,
    #[diesel(sql_type = st::BigInt)]
    pub attachments: i64,
    #[diesel(sql_type = st::BigInt)]
    pub changes: i64,
}

/// A file that the database knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
pub struct File {
    /// Where its bytes are.
    #[diesel(sql_type = st::Text)]
    pub key: String,
    /// How many they are.
    #[diesel(sql_type = st::BigInt)]
    pub size: i64,
    /// Their SHA-256, in hexadecimal digits.
    #[diesel(sql_type = st::Text)]
    pub sha256: String,
    /// What they are.
    #[diesel(sql_type = st::Text)]
    pub media_type: String,
    /// Whether anything still refers to it; if not, its bytes go when the backup window is over.
    #[diesel(sql_type = st::Bool)]
    pub referenced: bool,
}

/// The server that a database is on.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Server {
    /// Major version.
    #[diesel(sql_type = st::Integer)]
    pub major: i32,
    /// Version in full.
    #[diesel(sql_type = st::Text)]
    pub version: String,
}

/// One moment of the database, for as long as this lives.
pub struct Snapshot {
    conn: AsyncPgConnection,
    id: String,
}

impl Snapshot {
    /// Takes hold of the present moment.
    pub async fn take(db: &Db) -> Result<Self> {
        let mut conn = db.dedicated().await?;
        conn.batch_execute(
            // However long what is read in it takes, and what others read in it.
            "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        )
        .await?;
        let row: Word = sql("SELECT pg_export_snapshot() AS word").get_result(&mut conn).await?;
        Ok(Self { conn, id: row.word })
    }

    /// By which other connections join it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The connection that is in it.
    pub fn conn(&mut self) -> &mut AsyncPgConnection {
        &mut self.conn
    }
}

/// Every file the database knows, by key in byte order. Only within a transaction, as that of [`Snapshot`] is.
pub struct Files(());

impl Files {
    /// Begins.
    pub async fn open(conn: &mut AsyncPgConnection) -> Result<Self> {
        conn.batch_execute(
            "DECLARE backup_files NO SCROLL CURSOR FOR
             SELECT b.key, b.size, encode(b.sha256, 'hex') AS sha256,
               coalesce(a.media_type, 'application/octet-stream') AS media_type,
               b.unreferenced_at IS NULL AS referenced
             FROM blobs b LEFT JOIN attachments a ON a.blob_key = b.key ORDER BY b.key COLLATE \"C\"",
        )
        .await?;
        Ok(Self(()))
    }

    /// The next ones; none after the last.
    pub async fn next(&mut self, conn: &mut AsyncPgConnection) -> Result<Vec<File>> {
        Ok(sql("FETCH 2000 FROM backup_files").load(conn).await?)
    }
}

/// Counts what there is.
pub async fn count(conn: &mut AsyncPgConnection) -> Result<Counts> {
    let counts = sql("SELECT (SELECT count(*) FROM users) AS users,
           (SELECT count(*) FROM workspaces) AS workspaces,
           (SELECT count(*) FROM workspace_members) AS workspace_members,
           (SELECT count(*) FROM projects) AS projects,
           (SELECT count(*) FROM project_members) AS project_members,
           (SELECT count(*) FROM stories) AS stories,
           (SELECT count(*) FROM comments) AS comments,
           (SELECT count(*) FROM attachments) AS attachments,
           (SELECT count(*) FROM changes) AS changes")
    .get_result(conn)
    .await?;
    Ok(counts)
}

/// Somebody who can tell whether a workspace is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witness {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// A member of it, its owner if possible.
    pub person: UserId,
    /// Projects there that the person is in.
    pub projects: i64,
}

/// A member of each workspace that is not in the trash, of at most `limit`.
pub async fn witnesses(conn: &mut AsyncPgConnection, limit: i64) -> Result<Vec<Witness>> {
    let rows: Vec<WitnessRow> = sql("SELECT DISTINCT ON (w.id) w.id AS workspace, m.user_id AS person,
           (SELECT count(*) FROM project_members x JOIN projects p ON p.id = x.project_id
            WHERE x.user_id = m.user_id AND p.workspace_id = w.id AND p.deleted_at IS NULL) AS projects
         FROM workspaces w JOIN workspace_members m ON m.workspace_id = w.id JOIN users u ON u.id = m.user_id
         WHERE w.deleted_at IS NULL AND u.is_active
         ORDER BY w.id, (m.role = 'owner') DESC, m.user_id LIMIT $1")
    .bind::<st::BigInt, _>(limit)
    .load(conn)
    .await?;
    let witness = |row: WitnessRow| Witness {
        workspace: row.workspace.into(),
        person: row.person.into(),
        projects: row.projects,
    };
    Ok(rows.into_iter().map(witness).collect())
}

/// What is in a database that something is to be restored into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Nothing, or a Tenon that nobody has used.
    Nothing,
    /// People, and what is theirs.
    People,
    /// Tables that are not Tenon's.
    Strange,
}

/// Looks at the database of `conn`, whatever it is.
pub async fn content(conn: &mut AsyncPgConnection) -> Result<Content> {
    let row: Truth = sql("SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AND to_regclass('users') IS NOT NULL AS truth")
        .get_result(conn)
        .await?;
    if row.truth {
        let row: Truth = sql("SELECT EXISTS (SELECT FROM users) AS truth").get_result(conn).await?;
        return Ok(if row.truth { Content::People } else { Content::Nothing });
    }
    let row: Truth = sql("SELECT EXISTS (SELECT FROM pg_tables
           WHERE schemaname NOT IN ('pg_catalog', 'information_schema')) AS truth")
    .get_result(conn)
    .await?;
    Ok(if row.truth { Content::Strange } else { Content::Nothing })
}

/// What the cluster of `conn` calls itself, and the segment of its write-ahead log that is written now.
pub async fn cluster(conn: &mut AsyncPgConnection) -> Result<(String, String)> {
    let row: ClusterRow = sql("SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system,
           pg_walfile_name(pg_current_wal_insert_lsn()) AS segment")
    .get_result(conn)
    .await?;
    Ok((row.system, row.segment))
}

/// Lets the server keep its write-ahead log from here on, until [`release_log`] or the end of `conn`; answers by what name.
pub async fn hold_log(conn: &mut AsyncPgConnection) -> Result<String> {
    let row: Word = sql("SELECT slot_name::text AS word
         FROM pg_create_physical_replication_slot('tenon_backup_' || pg_backend_pid(), true, true)")
    .get_result(conn)
    .await?;
    Ok(row.word)
}

/// Lets the server recycle its write-ahead log again.
pub async fn release_log(conn: &mut AsyncPgConnection, slot: &str) -> Result<()> {
    sql("SELECT pg_drop_replication_slot($1)").bind::<st::Text, _>(slot).execute(conn).await?;
    Ok(())
}

/// Whether the server archives its write-ahead log.
pub async fn archives(conn: &mut AsyncPgConnection) -> Result<bool> {
    let row: Truth = sql("SELECT current_setting('archive_mode') <> 'off' AS truth").get_result(conn).await?;
    Ok(row.truth)
}

/// Whether the server still replays a write-ahead log.
pub async fn recovers(conn: &mut AsyncPgConnection) -> Result<bool> {
    let row: Truth = sql("SELECT pg_is_in_recovery() AS truth").get_result(conn).await?;
    Ok(row.truth)
}

/// When the last transaction was committed that the server replayed; none when it replayed none.
pub async fn last_replayed(conn: &mut AsyncPgConnection) -> Result<Option<DateTime<Utc>>> {
    #[derive(QueryableByName)]
    struct Replayed {
        #[diesel(sql_type = st::Nullable<st::Timestamptz>)]
        at: Option<DateTime<Utc>>,
    }
    let row: Replayed = sql("SELECT pg_last_xact_replay_timestamp() AS at").get_result(conn).await?;
    Ok(row.at)
}

/// Forgets how the cluster of `conn` was recovered.
pub async fn forget_recovery(conn: &mut AsyncPgConnection) -> Result<()> {
    for setting in [
        "restore_command",
        "recovery_target",
        "recovery_target_name",
        "recovery_target_xid",
        "recovery_target_lsn",
        "recovery_target_time",
        "recovery_target_inclusive",
        "recovery_target_timeline",
        "recovery_target_action",
    ] {
        conn.batch_execute(&format!("ALTER SYSTEM RESET {setting}")).await?;
    }
    Ok(())
}

/// Gathers statistics anew, without which a restored database is slow.
pub async fn analyze(conn: &mut AsyncPgConnection) -> Result<()> {
    at_leisure(conn).await?;
    Ok(conn.batch_execute("ANALYZE").await?)
}

/// The server of `conn`.
pub async fn server(conn: &mut AsyncPgConnection) -> Result<Server> {
    let server = sql("SELECT current_setting('server_version_num')::int / 10000 AS major,
           split_part(current_setting('server_version'), ' ', 1) AS version")
    .get_result(conn)
    .await?;
    Ok(server)
}

/// Whether what goes over `conn` is encrypted.
pub async fn is_encrypted(conn: &mut AsyncPgConnection) -> Result<bool> {
    let row: Truth =
        sql("SELECT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS truth")
            .get_result(conn)
            .await?;
    Ok(row.truth)
}

/// Lets what is done over a connection take as long as it takes, and the connection be silent for as long.
pub async fn at_leisure(conn: &mut AsyncPgConnection) -> Result<()> {
    Ok(conn.batch_execute("SET statement_timeout = 0; SET idle_session_timeout = 0").await?)
}

/// Where the server is in its write-ahead log, such as `0/3000138`.
pub async fn log_position(conn: &mut AsyncPgConnection) -> Result<String> {
    let row: Word = sql("SELECT pg_current_wal_insert_lsn()::text AS word").get_result(conn).await?;
    Ok(row.word)
}

/// Takes the lock of backups if nobody has it; it goes with the connection.
pub async fn try_lock(conn: &mut AsyncPgConnection) -> Result<bool> {
    let row: Truth = sql("SELECT pg_try_advisory_lock($1) AS truth")
        .bind::<st::BigInt, _>(Lock::Backups as i64)
        .get_result(conn)
        .await?;
    Ok(row.truth)
}

/// Writes down what was measured.
pub async fn set_figure(conn: &mut AsyncPgConnection, name: &str, value: f64) -> Result<()> {
    sql("INSERT INTO backup_figures (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value")
    .bind::<st::Text, _>(name)
    .bind::<st::Double, _>(value)
    .execute(conn)
    .await?;
    Ok(())
}

/// What was measured last, by name.
pub async fn figures(conn: &mut AsyncPgConnection) -> Result<Vec<(String, f64)>> {
    let rows: Vec<Figure> = sql("SELECT name, value FROM backup_figures").load(conn).await?;
    Ok(rows.into_iter().map(|row| (row.name, row.value)).collect())
}

#[derive(QueryableByName)]
struct WitnessRow {
    #[diesel(sql_type = st::Uuid)]
    workspace: Uuid,
    #[diesel(sql_type = st::Uuid)]
    person: Uuid,
    #[diesel(sql_type = st::BigInt)]
    projects: i64,
}

#[derive(QueryableByName)]
struct ClusterRow {
    #[diesel(sql_type = st::Text)]
    system: String,
    #[diesel(sql_type = st::Text)]
    segment: String,
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = st::Text)]
    word: String,
}

#[derive(QueryableByName)]
struct Truth {
    #[diesel(sql_type = st::Bool)]
    truth: bool,
}

#[derive(QueryableByName)]
struct Figure {
    #[diesel(sql_type = st::Text)]
    name: String,
    #[diesel(sql_type = st::Double)]
    value: f64,
}
