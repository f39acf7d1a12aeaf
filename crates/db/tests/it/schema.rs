//! `schema.rs` says what a migrated database has, and migrations are safe to run.

use std::{collections::BTreeSet, time::Duration};

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use tenon_db::{
    Db, DbConfig,
    migrations::{self, MigrateError},
};
use tenon_testkit::TestDb;

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = st::Text)]
    line: String,
}

/// Columns as `schema.rs` writes them: `table.column -> Type`.
fn written() -> BTreeSet<String> {
    let mut columns = BTreeSet::new();
    let (mut table, mut renamed) = (String::new(), None);
    for line in include_str!("../../src/schema.rs").lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("#[sql_name = \"") {
            renamed = Some(name.trim_end_matches("\"]").to_owned());
        } else if line.starts_with("diesel::joinable") {
            // Relations are not in the catalogue in this form.
        } else if let Some((column, kind)) = line.trim_end_matches(',').split_once(" -> ") {
            let column = renamed.take().unwrap_or_else(|| column.to_owned());
            columns.insert(format!("{table}.{column} -> {kind}"));
        } else if let Some((name, _)) = line.split_once(" (")
            && line.ends_with('{')
        {
            name.clone_into(&mut table);
        }
    }
    columns
}

#[tokio::test]
async fn the_schema_written_down_is_that_of_a_migrated_database() {
    let db = TestDb::new().await;
    let mut conn = db.db().conn().await.unwrap();
    let kind = "CASE udt_name WHEN 'uuid' THEN 'Uuid' WHEN 'text' THEN 'Text' WHEN 'bool' THEN 'Bool' WHEN 'int2' THEN 'SmallInt'
                WHEN 'int4' THEN 'Integer' WHEN 'int8' THEN 'BigInt' WHEN 'float8' THEN 'Double' WHEN 'timestamptz' THEN 'Timestamptz' WHEN 'bytea' THEN 'Bytea'
                WHEN 'jsonb' THEN 'Jsonb' WHEN 'json' THEN 'Json' WHEN '_text' THEN 'Array<Text>' ELSE udt_name END";
    let columns: Vec<Column> = diesel::sql_query(format!(
        "SELECT table_name || '.' || column_name || ' -> ' || CASE is_nullable WHEN 'YES' THEN 'Nullable<' || {kind} || '>' ELSE {kind} END AS line
         FROM information_schema.columns WHERE table_schema = 'public'"
    ))
    .load(&mut *conn)
    .await
    .unwrap();
    let present: BTreeSet<String> = columns.into_iter().map(|c| c.line).collect();
    let tables: BTreeSet<String> =
        written().iter().filter_map(|c| Some(c.split_once('.')?.0.to_owned())).collect();
    let present: BTreeSet<String> =
        present.into_iter().filter(|c| c.split_once('.').is_some_and(|(t, _)| tables.contains(t))).collect();
    assert!(tables.len() > 20, "{tables:?}");
    assert_eq!(written(), present);
}

#[tokio::test(flavor = "multi_thread")]
async fn l35_two_processes_that_migrate_at_once_do_it_once() {
    let db = TestDb::empty().await;
    let (one, other) = tokio::join!(migrations::run(db.db()), migrations::run(db.db()));
    let mut applied = [one.unwrap().len(), other.unwrap().len()];
    applied.sort_unstable();
    assert_eq!(applied, [0, migrations::known().unwrap().len()]);
    migrations::check(db.db()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_another_that_migrates_waits_as_long_as_it_takes() {
    let db = TestDb::empty().await;
    let mut other = db.db().dedicated().await.unwrap();
    other.batch_execute("SELECT pg_advisory_lock(x'74656e6f6e000001'::bigint)").await.unwrap();
    let hasty = DbConfig { statement_timeout: Duration::from_millis(50), ..DbConfig::new(db.url()) };
    let hasty = Db::open(hasty);
    // Until it has waited for longer than a statement may take.
    let holding = async {
        other
            .batch_execute(
                "DO $$ BEGIN
                   WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                                     AND wait_event = 'advisory' AND clock_timestamp() - query_start > '200 ms')
                   LOOP PERFORM pg_sleep(0.01); PERFORM pg_stat_clear_snapshot(); END LOOP;
                 END $$",
            )
            .await
            .unwrap();
        drop(other);
    };
    let (applied, ()) = tokio::join!(migrations::run(&hasty), holding);
    assert_eq!(applied.unwrap(), migrations::known().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_newer_than_the_program_is_refused_and_left_alone() {
    let db = TestDb::new().await;
    let mut conn = db.db().conn().await.unwrap();
    conn.batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000000')")
        .await
        .unwrap();
    for refused in [migrations::run(db.db()).await.map(drop), migrations::check(db.db()).await] {
        let error = refused.unwrap_err();
        assert!(matches!(error, MigrateError::DatabaseNewer { .. }), "{error}");
        assert!(error.to_string().contains("29991231000000"));
    }
    // A process that was there before goes on: every release runs on the schema of the next one.
    migrations::check_running(db.db()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_was_edited_after_it_was_applied_is_refused_by_name() {
    let db = TestDb::new().await;
    let mut conn = db.db().conn().await.unwrap();
    let first = migrations::known().unwrap().remove(0);
    conn.batch_execute(&format!(
        "UPDATE applied_migrations SET sha256 = repeat('0', 64), release = '0.0.7' WHERE version = '{first}'"
    ))
    .await
    .unwrap();
    for refused in [migrations::run(db.db()).await.map(drop), migrations::check(db.db()).await] {
        let error = refused.unwrap_err();
        assert!(matches!(error, MigrateError::Edited { .. }), "{error}");
        assert!(error.to_string().contains(&first) && error.to_string().contains("0.0.7"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_before_texts_were_remembered_remembers_them_from_its_next_migration_on() {
    let db = TestDb::new().await;
    let mut conn = db.db().conn().await.unwrap();
    conn.batch_execute(
        "DROP TABLE applied_migrations;
         DELETE FROM __diesel_schema_migrations WHERE version = '20261129000100'",
    )
    .await
    .unwrap();
    assert_eq!(migrations::run(db.db()).await.unwrap(), ["20261129000100"]);
    let remembered: Vec<Column> =
        diesel::sql_query("SELECT version AS line FROM applied_migrations ORDER BY version")
            .load(&mut *conn)
            .await
            .unwrap();
    let remembered: Vec<String> = remembered.into_iter().map(|column| column.line).collect();
    assert_eq!(remembered, migrations::known().unwrap());
    migrations::check(db.db()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_is_behind_by_every_migration() {
    let db = TestDb::empty().await;
    let error = migrations::check(db.db()).await.unwrap_err();
    assert!(
        matches!(error, MigrateError::Behind { pending } if pending == migrations::known().unwrap().len())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_migration_can_be_taken_back() {
    let db = TestDb::empty().await;
    migrations::run(db.db()).await.unwrap();
    let mut conn = db.db().conn().await.unwrap();
    let mut downs: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("down.sql"))
        .collect();
    downs.sort();
    for down in downs.into_iter().rev() {
        conn.batch_execute(&std::fs::read_to_string(&down).unwrap()).await.unwrap();
    }
    let left: Vec<Column> = diesel::sql_query(
        "SELECT tablename::text AS line FROM pg_tables WHERE schemaname = 'public' AND tablename <> '__diesel_schema_migrations'",
    )
    .load(&mut *conn)
    .await
    .unwrap();
    assert!(left.is_empty());
}
