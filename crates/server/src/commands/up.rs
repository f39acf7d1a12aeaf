//! `tenon up`.

use std::{fs::Permissions, os::unix::fs::PermissionsExt};

use anyhow::Context;
use tenon_db::migrations;

use super::{scheduler, serve, worker};
use crate::{
    config::Config,
    database::Database,
    lifecycle::Lifecycle,
    telemetry::{self, Figures},
    wiring,
};

/// Runs everything in this process until told to stop; the database stops last.
pub(crate) async fn run(config: &Config) -> anyhow::Result<()> {
    telemetry::log(&config.log)?;
    let figures = Figures::record()?;
    let lifecycle = Lifecycle::begin()?;
    let database = Database::own(config).await?;
    let ran = run_on(config, &database, figures, lifecycle).await;
    let closed = database.close().await;
    ran.and(closed)
}

async fn run_on(
    config: &Config,
    database: &Database,
    figures: Figures,
    lifecycle: Lifecycle,
) -> anyhow::Result<()> {
    let applied = migrations::run(&database.db).await?;
    if !applied.is_empty() {
        tracing::info!(migrations = applied.len(), "Brought the database to this release");
    }
    let app = wiring::app(config, database.db.clone()).await?;
    serve::start_metrics(config, figures, &lifecycle).await?;
    worker::start(config, &app, &lifecycle)?;
    scheduler::start(&app, &lifecycle);
    serve::start_http(config, &app, &lifecycle)?;
    lifecycle.run(config.server.shutdown_grace.duration()).await
}

/// A directory that is removed when dropped, and that the database's account can enter.
pub(crate) fn temporary_dir() -> anyhow::Result<tempfile::TempDir> {
    let dir =
        tempfile::Builder::new().prefix("tenon-").tempdir().context("cannot make a temporary directory")?;
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
    Ok(dir)
}
