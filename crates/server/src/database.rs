//! Which database: the configured one, one that is running within the data directory, or one we run.

use std::path::PathBuf;

use anyhow::Context;
use tenon_db::{
    Db, DbConfig,
    managed::{Managed, ManagedConfig},
};

use crate::config::Config;

/// An open database, and the server under it if that is ours to stop.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) db: Db,
    managed: Option<Managed>,
}

impl Database {
    /// Opens the database of this installation for a moment: one that `tenon up` runs is used beside it.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        match Managed::running(&home(config)) {
            Some(url) if config.database.url.is_none() => {
                Ok(Self { db: Db::open(db_config(config, url)), managed: None })
            }
            _ => Self::own(config).await,
        }
    }

    /// Opens the database of this installation for as long as this process runs.
    pub(crate) async fn own(config: &Config) -> anyhow::Result<Self> {
        let (url, managed) = if let Some(url) = &config.database.url {
            (url.expose().clone(), None)
        } else {
            let managed = Managed::start(managed_config(config)).await?;
            (managed.url(), Some(managed))
        };
        Ok(Self { db: Db::open(db_config(config, url)), managed })
    }

    /// Opens the configured database.
    pub(crate) fn configured(config: &Config) -> anyhow::Result<Self> {
        let url = config.database.url.as_ref().context(
            "database.url is not set; set it, or use `tenon up`, which runs a database of its own",
        )?;
        Ok(Self { db: Db::open(db_config(config, url.expose().clone())), managed: None })
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

fn home(config: &Config) -> PathBuf {
    config.data_dir.join("postgres")
}

fn managed_config(config: &Config) -> ManagedConfig {
    ManagedConfig {
        data_dir: home(config),
        bin_dir: config.database.bin_dir.clone(),
        run_as: config.database.run_as.clone(),
        settings: Vec::new(),
    }
}

fn db_config(config: &Config, url: String) -> DbConfig {
    DbConfig {
        pool_size: config.database.pool_size,
        acquire_timeout: config.database.acquire_timeout.duration(),
        statement_timeout: config.database.statement_timeout.duration(),
        ..DbConfig::new(url)
    }
}
