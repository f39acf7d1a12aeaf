//! Making a backup of a running instance.
//!
//! The dump and the list of files are of one snapshot. The bytes of the files are copied after it: their keys are written
//! once, and removed files keep their bytes for longer than any backup takes.

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use tenon_adapters::blob;
use tenon_db::{
    Db,
    backups::{self, Snapshot},
    migrations,
};

use super::{
    Alone, Target, files,
    manifest::{self, FORMAT, Kind, Manifest, State},
    noting_failure, now,
    postgres::Program,
    prune::{self, Pruned},
    target::Stored,
};
use crate::config::Config;

/// What was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) manifest: Manifest,
    /// Files that the target did not have before.
    pub(crate) copied: u64,
    pub(crate) copied_bytes: u64,
    pub(crate) pruned: Pruned,
}

/// Keys that the installation made for itself.
#[derive(Debug, Serialize, serde::Deserialize)]
pub(super) struct Keys {
    pub(super) signing_keys: String,
}

/// Makes a backup of `db` and of the files it refers to, and removes backups that are kept no longer.
pub(crate) async fn create(
    config: &Config,
    db: &Db,
    target: &Target,
    patience: Duration,
) -> anyhow::Result<Made> {
    // Somebody else's turn is no failure.
    let alone = Alone::with(db, patience).await?;
    let made = Box::pin(create_alone(config, db, target, alone));
    noting_failure(db, "backup_last_failure_timestamp_seconds", made).await
}

async fn create_alone(config: &Config, db: &Db, target: &Target, mut alone: Alone) -> anyhow::Result<Made> {
    let room = prune::make_room(config, target).await;
    let (manifest, tally) = make(config, db, target, &mut alone, false).await?;
    measured(db, &manifest).await?;
    let pruned = prune::remove(config, target, false)
        .await
        .context("the backup is whole, but old ones could not be removed")?;
    let pruned = room.and(pruned);
    Ok(Made { manifest, copied: tally.copied, copied_bytes: tally.copied_bytes, pruned })
}

/// A safety backup, of what is about to be replaced. It removes none, and does not count as the backup of the day.
pub(super) async fn create_for_safety(config: &Config, db: &Db, target: &Target) -> anyhow::Result<Manifest> {
    let mut alone = Alone::with(db, Duration::ZERO).await?;
    Ok(make(config, db, target, &mut alone, true).await?.0)
}

async fn make(
    config: &Config,
    db: &Db,
    target: &Target,
    alone: &mut Alone,
    safety: bool,
) -> anyhow::Result<(Manifest, files::Tally)> {
    let started_at = now();
    let id = manifest::new_id(started_at);
    let mut snapshot = Snapshot::take(db).await.context("the database could not be reached")?;
    let snapshot_at = now();
    let migration = migrations::head(snapshot.conn()).await?;
    let migration = migration.context("the database is empty; run `tenon migrate` first")?;
    let postgres = major(&mut snapshot).await?;
    let counts = backups::count(snapshot.conn()).await?;
    let known = files::known(snapshot.conn()).await?;
    let database = dump(config, db, target, &id, postgres, snapshot.id()).await?;
    drop(snapshot);

    let Parts { files, keys, tally } = Parts::store(config, target, &id, known).await?;
    let manifest = Manifest {
        format: FORMAT,
        id,
        kind: Kind::Full,
        tenon: env!("CARGO_PKG_VERSION").to_owned(),
        migration,
        postgres,
        started_at,
        snapshot_at,
        finished_at: now(),
        recipients: target.recipients(),
        database,
        files,
        keys,
        counts,
        file_count: tally.files,
        file_bytes: tally.bytes,
        lost_files: tally.lost.clone(),
        safety,
        cluster: None,
    };
    alone.still().await?;
    manifest.write(target).await?;
    Ok((manifest, tally))
}

/// What any backup has beside the database.
pub(super) struct Parts {
    pub(super) files: Stored,
    pub(super) keys: Option<Stored>,
    pub(super) tally: files::Tally,
}

impl Parts {
    /// Stores the files that the database knew, their list, and the generated keys.
    pub(super) async fn store(
        config: &Config,
        target: &Target,
        id: &str,
        known: files::Spool<backups::File>,
    ) -> anyhow::Result<Self> {
        let storage = blob::connect(config.storage.clone()).await?;
        let previous = previous(target).await?;
        let (list, tally) = files::copy(target, &storage, id, known, previous).await?;
        let place = manifest::place(id);
        let files = files::store(target, &format!("{place}files"), list).await?;
        let keys = match generated_keys(config)? {
            None => None,
            Some(keys) => {
                let text = serde_json::to_vec(&keys)?;
                Some(target.put(&format!("{place}keys"), true, move |sink| Ok(sink.write_all(&text)?)).await?)
            }
        };
        Ok(Self { files, keys, tally })
    }
}

/// The files of the newest backup that was encrypted to the same keys; those of another would not open with today's.
async fn previous(target: &Target) -> anyhow::Result<Option<files::Lines<files::Entry>>> {
    let recipients = target.recipients();
    for found in manifest::list(target).await?.into_iter().rev() {
        if let State::Whole(manifest) = found.state
            && manifest.recipients == recipients
        {
            return match files::of(target, &manifest).await {
                Ok(lines) => Ok(Some(lines)),
                Err(error) => {
                    tracing::warn!(
                        backup.id = manifest.id,
                        error = &*error as &dyn std::error::Error,
                        "The list of files of an earlier backup cannot be read, so all files are copied again"
                    );
                    Ok(None)
                }
            };
        }
    }
    Ok(None)
}

pub(super) async fn major(snapshot: &mut Snapshot) -> anyhow::Result<u32> {
    let server = backups::server(snapshot.conn()).await?;
    u32::try_from(server.major).context("the server does not say its version")
}

async fn dump(
    config: &Config,
    db: &Db,
    target: &Target,
    id: &str,
    postgres: u32,
    snapshot: &str,
) -> anyhow::Result<Stored> {
    let snapshot = format!("--snapshot={snapshot}");
    // Compressed once, by us: with zstd, which not every `pg_dump` has.
    let program = Program::find(config, "pg_dump", postgres, db.url()).await?.args([
        "--format=custom",
        "--compress=0",
        "--no-owner",
        "--no-privileges",
        "--no-password",
        &snapshot,
    ]);
    let object = format!("{}database", manifest::place(id));
    target.put(&object, true, |sink| program.write_to(sink)).await
}

/// The keys in the data directory, unless others are configured.
fn generated_keys(config: &Config) -> anyhow::Result<Option<Keys>> {
    if !config.auth.signing_keys.is_empty() {
        return Ok(None);
    }
    let path = crate::keys::file(&config.data_dir);
    match std::fs::read_to_string(&path) {
        Ok(signing_keys) => Ok(Some(Keys { signing_keys })),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("cannot read the signing keys in {}", path.display())),
    }
}

/// Writes down for the figures of whoever runs that there is a new backup.
pub(super) async fn measured(db: &Db, manifest: &Manifest) -> anyhow::Result<()> {
    let took = (manifest.finished_at - manifest.started_at).as_seconds_f64();
    let [when, how_long, size] = match manifest.kind {
        Kind::Full => {
            ["backup_last_success_timestamp_seconds", "backup_last_duration_seconds", "backup_size_bytes"]
        }
        Kind::Base => [
            "backup_base_last_success_timestamp_seconds",
            "backup_base_last_duration_seconds",
            "backup_base_size_bytes",
        ],
    };
    let lost = u64::try_from(manifest.lost_files.len()).unwrap_or(u64::MAX);
    let mut conn = db.conn().await?;
    for (name, value) in [
        (when, seconds(manifest.finished_at)),
        (how_long, took),
        (size, approximately(manifest.size())),
        ("backup_lost_files", approximately(lost)),
    ] {
        backups::set_figure(&mut conn, name, value).await?;
    }
    Ok(())
}

pub(super) fn seconds(at: DateTime<Utc>) -> f64 {
    approximately(u64::try_from(at.timestamp()).unwrap_or_default())
}

#[expect(clippy::cast_precision_loss, reason = "a figure need not be exact beyond fifteen digits")]
pub(super) const fn approximately(count: u64) -> f64 {
    count as f64
}
