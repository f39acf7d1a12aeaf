//! `tenon worker`, and its part of `tenon up`.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use tenon_app::{App, worker::Worker};
use tenon_core::jobs::QUEUES;
use tenon_db::migrations;

use super::{maintenance, serve, service};
use crate::{
    config::{Config, Sources},
    database::Database,
    lifecycle::{Lifecycle, grace_of_work},
    wiring,
};

/// How long a job stays with a worker that has gone silent.
const LEASE: Duration = Duration::from_secs(30);
/// Most jobs taken ahead, while they are short.
const PREFETCH: usize = 200;

/// Works until told to stop.
pub(crate) async fn run(sources: &Sources) -> anyhow::Result<()> {
    let config = &sources.load()?;
    let (figures, lifecycle) = service::begin(sources, config)?;
    let database = Database::configured(config)?;
    migrations::check(&database.db).await?;
    let app = wiring::app_without_requests(config, database.db.clone()).await?;
    maintenance::heed(&app, &lifecycle).await?;
    let checks = serve::checks_with_queue(config, &app, &lifecycle);
    serve::start_metrics(config, figures, &app, checks, &lifecycle).await?;
    start(config, &app, &lifecycle)?;
    lifecycle.run(config.server.shutdown_grace.duration()).await
}

/// Starts to take jobs from the configured queues.
pub(crate) fn start(config: &Config, app: &Arc<App>, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    let queues: Vec<String> = match config.worker.queues.as_slice() {
        [] => QUEUES.iter().map(|queue| (*queue).to_owned()).collect(),
        some => some.to_vec(),
    };
    tracing::info!(
        worker.queues = queues.join(","),
        worker.concurrency = config.worker.concurrency,
        "Taking jobs"
    );
    let worker = Worker {
        app: Arc::clone(app),
        name: format!("{}-{}", std::process::id(), app.id::<uuid::Uuid>()),
        queues,
        concurrency: usize::try_from(config.worker.concurrency)
            .context("worker.concurrency is too large for this machine")?,
        prefetch: PREFETCH,
        lease: LEASE,
        grace: grace_of_work(config.server.shutdown_grace.duration()),
    };
    let stopping = lifecycle.stopping();
    lifecycle.essential("worker", async move {
        worker.run(stopping).await;
        Ok(())
    });
    Ok(())
}
