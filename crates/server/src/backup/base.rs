//! Base backups: the cluster's own files, from which with the write-ahead log after them any moment can be restored.

use std::time::Duration;

use anyhow::Context;
use tenon_db::{
    Db,
    backups::{self, Snapshot},
    migrations,
};

use super::{
    Alone, Target,
    create::{Made, Parts, major, measured},
    files,
    manifest::{self, Cluster, FORMAT, Kind, Manifest, State},
    noting_failure, now,
    postgres::Program,
    prune,
};
use crate::config::Config;

/// The newest base backup, if it is younger than `age`.
pub(crate) async fn youngest(target: &Target, age: Duration) -> anyhow::Result<Option<Manifest>> {
    let since = now() - age;
    let found = manifest::list(target).await?.into_iter().rev().find_map(|found| match found.state {
        State::Whole(manifest) if manifest.kind == Kind::Base => Some(*manifest),
        _ => None,
    });
    Ok(found.filter(|manifest| manifest.snapshot_at > since))
}

/// Makes a base backup of the cluster that `db` is in; says as well whether the cluster archives its log.
pub(crate) async fn base(
    config: &Config,
    db: &Db,
    target: &Target,
    patience: Duration,
) -> anyhow::Result<(Made, bool)> {
    let alone = Alone::with(db, patience).await?;
    let made = Box::pin(base_alone(config, db, target, alone));
    noting_failure(db, "backup_base_last_failure_timestamp_seconds", made).await
}

async fn base_alone(
    config: &Config,
    db: &Db,
    target: &Target,
    mut alone: Alone,
) -> anyhow::Result<(Made, bool)> {
    let room = prune::make_room(config, target).await;
    let conn = alone.conn();
    let started_at = now();
    let id = manifest::new_id(started_at);
    let migration = migrations::head(conn).await?;
    let migration = migration.context("the database is empty; run `tenon migrate` first")?;
    let (system, first_segment) =
        backups::cluster(conn).await.context("the account may not read what a base backup needs")?;
    let archives = backups::archives(conn).await?;
    let mut before = Snapshot::take(db).await?;
    let postgres = major(&mut before).await?;
    let counts = backups::count(before.conn()).await?;
    drop(before);
    // A server that is slow to be read may else recycle the beginning of what it sends at the end.
    let slot = backups::hold_log(conn).await.context("the server cannot keep its log for the backup")?;
    let program = Program::find(config, "pg_basebackup", postgres, db.url()).await?.args([
        "--pgdata=-",
        "--format=tar",
        "--wal-method=fetch",
        "--checkpoint=fast",
        "--label=tenon",
        "--no-password",
    ]);
    let object = format!("{}base", manifest::place(&id));
    let database = target.put(&object, true, |sink| program.write_to(sink)).await?;
    let end = backups::log_position(conn).await?;
    backups::release_log(conn, &slot).await?;

    // The files of its end are those of its beginning and more.
    let mut after = Snapshot::take(db).await?;
    let snapshot_at = now();
    let known = files::known(after.conn()).await?;
    drop(after);
    let parts = Parts::store(config, target, &id, known).await?;
    let manifest = Manifest {
        format: FORMAT,
        id,
        kind: Kind::Base,
        tenon: env!("CARGO_PKG_VERSION").to_owned(),
        migration,
        postgres,
        started_at,
        snapshot_at,
        finished_at: now(),
        recipients: target.recipients(),
        database,
        files: parts.files,
        keys: parts.keys,
        counts,
        file_count: parts.tally.files,
        file_bytes: parts.tally.bytes,
        lost_files: parts.tally.lost,
        safety: false,
        cluster: Some(Cluster { system, first_segment, end: Some(end) }),
    };
    alone.still().await?;
    manifest.write(target).await?;
    measured(db, &manifest).await?;
    let pruned = prune::remove(config, target, false)
        .await
        .context("the backup is whole, but old ones could not be removed")?;
    let pruned = room.and(pruned);
    let made = Made { manifest, copied: parts.tally.copied, copied_bytes: parts.tally.copied_bytes, pruned };
    Ok((made, archives))
}
