//! `tenon up`.

mod greeting;

use std::{fs::Permissions, os::unix::fs::PermissionsExt};

use anyhow::Context;
use tenon_db::migrations;

use super::{maintenance, scheduler, serve, worker};
use crate::{
    config::Config,
    database::Database,
    files,
    lifecycle::Lifecycle,
    listener::{self, Listeners},
    output::Output,
    telemetry::{self, Face, Figures},
    wiring,
};

/// Runs everything in this process until told to stop; the database stops last.
///
/// What can be refused without a trace is refused first: with the port taken, nothing is made.
pub(crate) async fn run(config: &Config, output: &Output) -> anyhow::Result<()> {
    telemetry::log(&config.log, Face::Person)?;
    files::raise_limit();
    let figures = Figures::record()?;
    let lifecycle = Lifecycle::begin()?;
    let listeners = listener::open(&config.server)?;
    let config = listener::with_public_url(config, &listeners);
    let database = Database::own(&config).await?;
    let ran = run_on(&config, listeners, &database, figures, lifecycle, output).await;
    let closed = database.close().await;
    ran.and(closed)
}

async fn run_on(
    config: &Config,
    listeners: Listeners,
    database: &Database,
    figures: Figures,
    lifecycle: Lifecycle,
    output: &Output,
) -> anyhow::Result<()> {
    let applied = migrations::run(&database.db).await?;
    if !applied.is_empty() {
        tracing::info!(migrations = applied.len(), "Brought the database to this release");
    }
    let app = wiring::app(config, database.db.clone()).await?;
    maintenance::heed(&app, &lifecycle).await?;
    let address = listener::addresses(&listeners);
    let claim = tenon_app::claims::open(&app, "start").await?;
    serve::start_metrics(config, figures, &app, serve::checks(config, &app, &lifecycle), &lifecycle).await?;
    worker::start(config, &app, &lifecycle)?;
    scheduler::start(&app, &lifecycle);
    serve::start_http(config, &app, listeners, &lifecycle);
    output.say(&greeting::Greeting::new(config, &address, database, claim.as_deref()))?;
    lifecycle.run(config.server.shutdown_grace.duration()).await
}

/// A directory that is removed when dropped, and that the database's account can enter.
pub(crate) fn temporary_dir() -> anyhow::Result<tempfile::TempDir> {
    let dir =
        tempfile::Builder::new().prefix("tenon-").tempdir().context("cannot make a temporary directory")?;
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
    Ok(dir)
}
