//! The drill: a restore into a cluster made for it, to know that there would be one, and how long it would take.

use std::{fs::File, path::Path};

use anyhow::Context;
use chrono::{DateTime, Utc};
use tenon_adapters::blob;
use tenon_app::invariants::Seen;
use tenon_core::secrets::Secret;
use tenon_db::{
    Db, backups,
    managed::{Managed, ManagedConfig},
    migrations,
};

use super::{
    Kind, Manifest, Target,
    create::seconds,
    manifest, noting_failure, now,
    recovery::{self, Goal, Moment, Timeline, lists_for},
    restore::{load, verify_first},
    restored,
};
use crate::{commands, config::Config, database};

/// What is rehearsed.
#[derive(Debug)]
pub(crate) enum Drill {
    /// The restore of a whole backup: this one, or the newest.
    Backup(Option<String>),
    /// The recovery of the newest base backup and the archived log, up to its end.
    Log,
}

/// What was rehearsed.
#[derive(Debug)]
pub(crate) struct Drilled {
    pub(crate) manifest: Manifest,
    pub(crate) files: u64,
    pub(crate) seen: Seen,
    /// When the last change was made that the archived log has; none of a whole backup, or when there was none since.
    pub(crate) last_change: Option<DateTime<Utc>>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) finished_at: DateTime<Utc>,
}

impl Drilled {
    /// Seconds that it took.
    pub(crate) fn took(&self) -> f64 {
        (self.finished_at - self.started_at).as_seconds_f64()
    }
}

/// Rehearses in a scratch cluster; writes down in `live`, if it answers, that and how fast it went.
pub(crate) async fn drill(
    config: &Config,
    live: &Db,
    target: &Target,
    what: &Drill,
) -> anyhow::Result<Drilled> {
    let [success, failure, duration] = match what {
        Drill::Backup(_) => [
            "backup_drill_last_success_timestamp_seconds",
            "backup_drill_last_failure_timestamp_seconds",
            "backup_drill_duration_seconds",
        ],
        Drill::Log => [
            "backup_log_drill_last_success_timestamp_seconds",
            "backup_log_drill_last_failure_timestamp_seconds",
            "backup_log_drill_duration_seconds",
        ],
    };
    let attempted = Box::pin(async {
        let scratch = Scratch::new(config)?;
        match what {
            Drill::Backup(id) => restore(config, target, id.as_deref(), scratch.path()).await,
            Drill::Log => recover(config, live, target, scratch.path()).await,
        }
    });
    let drilled = match what {
        // Whoever names one reads the answer.
        Drill::Backup(Some(_)) => attempted.await?,
        _ => noting_failure(live, failure, attempted).await?,
    };
    let noted = async {
        let mut conn = live.conn().await?;
        for (name, value) in [(success, seconds(drilled.finished_at)), (duration, drilled.took())] {
            backups::set_figure(&mut conn, name, value).await?;
        }
        Ok::<_, tenon_db::Error>(())
    };
    if let Err(error) = noted.await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "That the drill went well could not be left in the database"
        );
    }
    Ok(drilled)
}

/// Begins the names of directories that drills work in.
const SCRATCH: &str = "drill-";

/// A directory that is removed at the end: on the disk of the data, which has room for it. Root's server runs as somebody
/// else, who may not get there.
struct Scratch {
    dir: tempfile::TempDir,
    /// Locked as long as the drill runs.
    _lock: File,
}

impl Scratch {
    fn new(config: &Config) -> anyhow::Result<Self> {
        let dir = if rustix::process::geteuid().is_root() {
            commands::up::temporary_dir()?
        } else {
            std::fs::create_dir_all(&config.data_dir)
                .and_then(|()| clear_leftovers(&config.data_dir))
                .and_then(|()| tempfile::Builder::new().prefix(SCRATCH).tempdir_in(&config.data_dir))
                .with_context(|| format!("cannot make a directory in {}", config.data_dir.display()))?
        };
        let lock = File::create(dir.path().join("lock"))?;
        lock.lock()?;
        Ok(Self { dir, _lock: lock })
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes what drills left that were killed: everything is in there, and may be encrypted elsewhere.
fn clear_leftovers(data_dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(data_dir)?.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(SCRATCH) {
            continue;
        }
        let runs = File::open(entry.path().join("lock")).is_ok_and(|lock| lock.try_lock().is_err());
        let served = Managed::running(&entry.path().join("postgres")).is_some();
        if runs || served {
            tracing::warn!("{} is left alone, for it is in use", entry.path().display());
        } else {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

async fn restore(
    config: &Config,
    target: &Target,
    id: Option<&str>,
    scratch: &Path,
) -> anyhow::Result<Drilled> {
    let started_at = now();
    let manifest = manifest::find(target, id, Kind::Full).await?;
    anyhow::ensure!(
        manifest.kind == Kind::Full,
        "the backup {} is a base backup; with --to-latest the newest one is tried, with the log",
        manifest.id
    );
    manifest.refuse_newer()?;
    verify_first(target, &manifest).await?;
    let server = Managed::start(ManagedConfig {
        data_dir: scratch.join("postgres"),
        bin_dir: config.database.bin_dir.clone(),
        run_as: config.database.run_as.clone(),
        // It is thrown away.
        settings: [("fsync", "off"), ("full_page_writes", "off")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        ..ManagedConfig::default()
    })
    .await?;
    let rehearsed = rehearse(config, target, &manifest, &server).await;
    server.stop().await?;
    let (files, seen) = rehearsed?;
    Ok(Drilled { manifest, files, seen, last_change: None, started_at, finished_at: now() })
}

async fn rehearse(
    config: &Config,
    target: &Target,
    manifest: &Manifest,
    server: &Managed,
) -> anyhow::Result<(u64, Seen)> {
    let db = Db::open(database::db_config(config, server.url()));
    let major = backups::server(&mut db.dedicated().await?).await?.major.try_into()?;
    load(config, target, manifest, &server.url(), major).await?;
    restored::compare_counts(&db, manifest).await?;
    migrations::run(&db).await?;
    let files = restored::rehearse_files(&db, target, manifest).await?;
    Ok((files, look(config, target, manifest, &db).await?))
}

async fn recover(config: &Config, live: &Db, target: &Target, scratch: &Path) -> anyhow::Result<Drilled> {
    let started_at = now();
    let goal = Goal { moment: Moment::Latest, timeline: Timeline::Latest, from: None };
    let (manifest, server) = recovery::rehearse(config, live, target, &goal, scratch).await?;
    let examined = async {
        let db = Db::open(database::db_config(config, server.url()));
        let last_change = backups::last_replayed(&mut db.dedicated().await?).await?;
        migrations::run(&db).await?;
        let storage = blob::connect(config.storage.clone()).await?;
        let files =
            restored::account_for(&db, &storage, target, &lists_for(target, started_at).await?).await?;
        anyhow::ensure!(
            files.lost.is_empty(),
            "neither the storage nor a backup has these files that the recovered database refers to: {}",
            files.lost.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ")
        );
        let seen = look(config, target, &manifest, &db).await?;
        anyhow::ensure!(
            seen.workspaces > 0 || manifest.counts.workspaces == 0,
            "the recovered database shows nobody anything, and there were {} workspaces",
            manifest.counts.workspaces
        );
        anyhow::Ok((files.present + files.restored, seen, last_change))
    }
    .await;
    server.stop().await?;
    let (files, seen, last_change) = examined?;
    Ok(Drilled { manifest, files, seen, last_change, started_at, finished_at: now() })
}

/// Looks at a database as its members would.
async fn look(config: &Config, target: &Target, manifest: &Manifest, db: &Db) -> anyhow::Result<Seen> {
    // Keys that were configured are not in a backup; any will do to look.
    let keys = match restored::keys_of(target, manifest).await? {
        Some(keys) => keys,
        None => Secret::new(format!("drill:{}\n", "A".repeat(43))),
    };
    let config = Config { storage: blob::Config::Memory {}, ..config.clone() };
    restored::look(&config, db, Some(&keys)).await
}
