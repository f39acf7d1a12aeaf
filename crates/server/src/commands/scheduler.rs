//! `tenon scheduler`, and its part of `tenon up`.

use std::sync::Arc;

use tenon_app::App;
use tenon_db::migrations;

use super::{maintenance, serve, service};
use crate::{config::Sources, database::Database, lifecycle::Lifecycle, wiring};

/// Schedules until told to stop.
pub(crate) async fn run(sources: &Sources) -> anyhow::Result<()> {
    let config = &sources.load()?;
    let (figures, lifecycle) = service::begin(sources, config)?;
    let database = Database::configured(config)?;
    migrations::check(&database.db).await?;
    let app = wiring::app_without_requests(config, database.db.clone()).await?;
    maintenance::heed(&app, &lifecycle).await?;
    let checks = serve::checks_with_queue(config, &app, &lifecycle);
    serve::start_metrics(config, figures, &app, checks, &lifecycle).await?;
    start(&app, &lifecycle);
    lifecycle.run(config.server.shutdown_grace.duration()).await
}

/// Starts the scheduler, and the relay of jobs to a queue outside the database.
pub(crate) fn start(app: &Arc<App>, lifecycle: &Lifecycle) {
    let (scheduling, relaying) = (Arc::clone(app), Arc::clone(app));
    let (stopping, stopping_too) = (lifecycle.stopping(), lifecycle.stopping());
    lifecycle.essential("scheduler", async move {
        tenon_app::scheduler::run(scheduling, stopping).await;
        Ok(())
    });
    // It ends at once where there is nothing to relay.
    lifecycle.tasks().spawn(tenon_app::relay::run(relaying, stopping_too));
}
