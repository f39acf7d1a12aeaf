//! Which database: the configured one, one that is running within the data directory, or one we run.

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
    /// Opens the database of this installation.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let home = config.data_dir.join("postgres");
        let known = config.database.url.as_ref().map(|url| url.expose().clone());
        let (url, managed) = if let Some(url) = known.or_else(|| Managed::running(&home)) {
            (url, None)
        } else {
            let managed = Managed::start(managed_config(config, home)).await?;
            (managed.url(), Some(managed))
        };
        Ok(Self { db: Db::open(db_config(config, url)), managed })
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

fn managed_config(config: &Config, data_dir: std::path::PathBuf) -> ManagedConfig {
    ManagedConfig {
        data_dir,
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
