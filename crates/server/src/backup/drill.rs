//! The drill: a restore into a cluster made for it, to know that there would be one, and how long it would take.

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
    restore::{load, verify_first},
    restored,
};
use crate::{commands, config::Config, database};

/// What was rehearsed.
#[derive(Debug)]
pub(crate) struct Drilled {
    pub(crate) manifest: Manifest,
    pub(crate) files: u64,
    pub(crate) seen: Seen,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) finished_at: DateTime<Utc>,
}

/// Restores a backup, the newest one when `id` is absent, into a scratch cluster; writes down in `live`, if it answers,
/// that and how fast it went.
pub(crate) async fn drill(
    config: &Config,
    live: &Db,
    target: &Target,
    id: Option<&str>,
) -> anyhow::Result<Drilled> {
    let attempted = Box::pin(attempt(config, target, id));
    let drilled = noting_failure(live, "backup_drill_last_failure_timestamp_seconds", attempted).await?;
    let mut conn = live.conn().await?;
    for (name, value) in [
        ("backup_drill_last_success_timestamp_seconds", seconds(drilled.finished_at)),
        ("backup_drill_duration_seconds", (drilled.finished_at - drilled.started_at).as_seconds_f64()),
    ] {
        backups::set_figure(&mut conn, name, value).await?;
    }
    Ok(drilled)
}

async fn attempt(config: &Config, target: &Target, id: Option<&str>) -> anyhow::Result<Drilled> {
    let started_at = now();
    let manifest = manifest::find(target, id, Kind::Full).await?;
    anyhow::ensure!(
        manifest.kind == Kind::Full,
        "the backup {} is a base backup; a drill restores whole ones",
        manifest.id
    );
    manifest.refuse_newer()?;
    verify_first(target, &manifest).await?;
    let scratch = commands::up::temporary_dir()?;
    let server = Managed::start(ManagedConfig {
        data_dir: scratch.path().join("postgres"),
        bin_dir: config.database.bin_dir.clone(),
        run_as: config.database.run_as.clone(),
        // It is thrown away.
        settings: [("fsync", "off"), ("full_page_writes", "off")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        patience: None,
    })
    .await?;
    let rehearsed = rehearse(config, target, &manifest, &server).await;
    server.stop().await?;
    let (files, seen) = rehearsed?;
    Ok(Drilled { manifest, files, seen, started_at, finished_at: now() })
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
    // Keys that were configured are not in a backup; any will do to look.
    let keys = match restored::keys_of(target, manifest).await? {
        Some(keys) => keys,
        None => Secret::new(format!("drill:{}\n", "A".repeat(43))),
    };
    let config = Config { storage: blob::Config::Memory {}, ..config.clone() };
    let seen = restored::look(&config, &db, Some(&keys)).await?;
    Ok((files, seen))
}
