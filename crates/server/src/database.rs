//! Which database: the configured one, one that is running within the data directory, or one we run.

mod place;

use std::path::Path;

use anyhow::Context;
use tenon_db::{
    Db, DbConfig,
    managed::{Managed, ManagedConfig, ManagedError},
};

use self::place::Place;

use crate::{backup, config::Config};

/// An open database, and the server under it if that is ours to stop.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) db: Db,
    managed: Option<Managed>,
    place: Option<Place>,
}

impl Database {
    /// Opens the database of this installation for a moment: one that `tenon up` runs is used beside it.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        if config.database.url.is_none() {
            let place = Place::of(&config.data_dir)?;
            if let Some(url) = Managed::running(&place.dir) {
                return Ok(Self { db: Db::open(db_config(config, url)), managed: None, place: Some(place) });
            }
        }
        Self::own(config).await
    }

    /// Opens the database of this installation for as long as this process runs.
    pub(crate) async fn own(config: &Config) -> anyhow::Result<Self> {
        if let Some(url) = &config.database.url {
            let db = Db::open(db_config(config, url.expose().clone()));
            return Ok(Self { db, managed: None, place: None });
        }
        let mut place = Place::of(&config.data_dir)?;
        let managed = match Managed::start(managed_config(config, &place)).await {
            Err(ManagedError::Unreachable { account, .. }) if place.can_move() => {
                place = place.moved(&config.data_dir)?;
                tracing::warn!(
                    database.directory = %place.dir.display(),
                    "The account {account} cannot enter the data directory, so the database is kept in {}",
                    place.dir.display()
                );
                Managed::start(managed_config(config, &place)).await?
            }
            started => started?,
        };
        Ok(Self {
            db: Db::open(db_config(config, managed.url())),
            managed: Some(managed),
            place: Some(place),
        })
    }

    /// Opens the configured database.
    pub(crate) fn configured(config: &Config) -> anyhow::Result<Self> {
        let url = config.database.url.as_ref().context(
            "database.url is not set; set it, or use `tenon up`, which runs a database of its own",
        )?;
        Ok(Self { db: Db::open(db_config(config, url.expose().clone())), managed: None, place: None })
    }

    /// Where the database is, when it is ours and could not be within the data directory.
    pub(crate) fn elsewhere(&self) -> Option<&Path> {
        self.place.as_ref().filter(|place| place.elsewhere).map(|place| place.dir.as_path())
    }

    /// Stops the server if we started it.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        drop(self.db);
        match self.managed {
            Some(managed) => managed.stop().await.context("cannot stop the database"),
            None => Ok(()),
        }
    }
}

/// Removes the database of a data directory that is about to be removed, if it is kept elsewhere.
pub(crate) fn remove_elsewhere(data_dir: &Path) -> anyhow::Result<()> {
    let place = Place::of(data_dir)?;
    if place.elsewhere {
        std::fs::remove_dir_all(&place.dir)
            .with_context(|| format!("cannot remove the database in {}", place.dir.display()))?;
    }
    Ok(())
}

/// How the PostgreSQL of `tenon up` is run for this installation.
pub(crate) fn managed(config: &Config) -> anyhow::Result<ManagedConfig> {
    Ok(managed_config(config, &Place::of(&config.data_dir)?))
}

fn managed_config(config: &Config, place: &Place) -> ManagedConfig {
    let settings = if config.backup.archive_wal { backup::archive_settings(config) } else { Vec::new() };
    ManagedConfig {
        data_dir: place.dir.clone(),
        bin_dir: config.database.bin_dir.clone(),
        run_as: config.database.run_as.clone(),
        settings,
        ..ManagedConfig::default()
    }
}

pub(crate) fn db_config(config: &Config, url: String) -> DbConfig {
    DbConfig {
        pool_size: config.database.pool_size,
        acquire_timeout: config.database.acquire_timeout.duration(),
        statement_timeout: config.database.statement_timeout.duration(),
        ..DbConfig::new(url)
    }
}
