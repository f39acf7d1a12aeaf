//! `tenon serve`, and what it has in common with `tenon up`.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use rustix::fs::Access;
use tenon_adapters::blob;
use tenon_app::App;
use tenon_core::BoxError;
use tenon_db::migrations;
use tenon_http::{
    Assembled, api,
    frame::Frame,
    live::Hub,
    readiness::{Check, Readiness},
    serve::{self, Terms},
};

use super::{maintenance, service};
use crate::{
    config::{Config, Sources},
    database::Database,
    files,
    lifecycle::{Lifecycle, grace_of_work},
    listener::{self, Listeners},
    telemetry::{Figures, backups, components, endpoint::Endpoint},
    wiring,
};

/// How often uses of tokens are written down.
const TOKEN_USES: Duration = Duration::from_secs(30);

/// Serves until told to stop.
pub(crate) async fn run(sources: &Sources) -> anyhow::Result<()> {
    let config = sources.load()?;
    let (figures, lifecycle) = service::begin(sources, &config)?;
    let database = Database::configured(&config)?;
    let listeners = listener::open(&config.server)?;
    let config = listener::with_public_url(&config, &listeners);
    migrations::check(&database.db).await?;
    let app = wiring::app(&config, database.db.clone()).await?;
    maintenance::heed(&app, &lifecycle).await?;
    start_metrics(&config, figures, &app, checks(&config, &app, &lifecycle), &lifecycle).await?;
    start_http(&config, &app, listeners, &lifecycle);
    // What is written here need not wait until the scheduler looks.
    lifecycle.tasks().spawn(tenon_app::relay::run(Arc::clone(&app), lifecycle.stopping()));
    lifecycle.run(config.server.shutdown_grace.duration()).await
}

/// Starts to answer requests.
pub(crate) fn start_http(config: &Config, app: &Arc<App>, listeners: Listeners, lifecycle: &Lifecycle) {
    let address = listener::addresses(&listeners);
    let hub = Hub::start(Arc::clone(app), lifecycle.tasks().clone(), lifecycle.stopping());
    let frame = Frame::around(app, wiring::http(config)).asking(checks(config, app, lifecycle)).with(hub);
    start_token_uses(app, lifecycle);
    let Assembled { service, parse_errors, .. } = tenon_http::assemble(api::table(), frame);
    if !listeners.are_passed {
        lifecycle.drain_for(config.server.drain.duration());
    }
    let terms = Terms {
        leaving: lifecycle.leaving(),
        stopping: lifecycle.stopping(),
        grace: grace_of_work(config.server.shutdown_grace.duration()),
        connections: files::connections(config.database.pool_size),
    };
    lifecycle.essential("HTTP server", async move {
        Ok(serve::serve(service, parse_errors, listeners.sockets, terms).await?)
    });
    tracing::info!(address, url = %config.public_url, "Tenon answers at {address}");
}

/// Starts to answer whoever collects figures or asks how this process is, if that is configured.
pub(crate) async fn start_metrics(
    config: &Config,
    figures: Figures,
    app: &App,
    checks: Vec<Check>,
    lifecycle: &Lifecycle,
) -> anyhow::Result<()> {
    let figures = figures.with_database(app.db().clone());
    lifecycle.background(figures.clone().upkeep());
    lifecycle.background(backups::follow(app.db().clone()));
    let readiness = Arc::new(Readiness::new(checks));
    lifecycle.background(components::follow(Arc::clone(&readiness)));
    if let Some(address) = config.metrics.listen {
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address} for metrics"))?;
        let bound = listener.local_addr().unwrap_or(address);
        tracing::info!(address = %bound, "Figures are at http://{bound}/metrics");
        let token = config.metrics.token.clone();
        let endpoint = Endpoint { figures, token, readiness };
        lifecycle.background(endpoint.serve(listener));
    }
    Ok(())
}

/// Writes down now and then, and at the end, when tokens were last used.
fn start_token_uses(app: &Arc<App>, lifecycle: &Lifecycle) {
    let app = Arc::clone(app);
    let stopping = lifecycle.stopping();
    lifecycle.tasks().spawn(async move {
        while stopping.run_until_cancelled(tokio::time::sleep(TOKEN_USES)).await.is_some() {
            write_token_uses(&app).await;
        }
        write_token_uses(&app).await;
    });
}

async fn write_token_uses(app: &App) {
    if let Err(error) = tenon_app::tokens::flush_uses(app).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "Cannot write down which tokens were used");
    }
}

/// What must be well for this process to be sent requests, and what makes it answer them poorer: without the bus, changes
/// of other processes are found by looking; without the limiter's Redis, each process counts calls by itself.
pub(crate) fn checks(config: &Config, app: &Arc<App>, lifecycle: &Lifecycle) -> Vec<Check> {
    let (bus, limiter) = (Arc::clone(app), Arc::clone(app));
    let mut checks = checks_without_bus(config, app, lifecycle);
    checks.push(Check::degrading("bus", move || {
        let app = Arc::clone(&bus);
        async move { app.bus.check().await.map_err(|e| e.0) }
    }));
    checks.push(Check::degrading("limiter", move || {
        let app = Arc::clone(&limiter);
        async move { app.limiter.check().await.map_err(|e| e.0) }
    }));
    checks
}

/// What must be well for a process that works off jobs. One that only serves writes them into the database.
pub(crate) fn checks_with_queue(config: &Config, app: &Arc<App>, lifecycle: &Lifecycle) -> Vec<Check> {
    let mut checks = checks_without_bus(config, app, lifecycle);
    if app.queue.remote().is_some() {
        let queue = Arc::clone(app);
        checks.push(Check::new("queue", move || {
            let app = Arc::clone(&queue);
            async move {
                match app.queue.remote() {
                    Some(remote) => remote.running().await.map(drop).map_err(BoxError::from),
                    None => Ok(()),
                }
            }
        }));
    }
    checks
}

/// What must be well for any process: a worker does its work without the bus.
pub(crate) fn checks_without_bus(config: &Config, app: &Arc<App>, lifecycle: &Lifecycle) -> Vec<Check> {
    let (database, migrated, files) = (Arc::clone(app), Arc::clone(app), Arc::clone(app));
    let ending = lifecycle.clone();
    let directory = match &config.storage {
        blob::Config::Filesystem(storage) => Some(storage.directory.clone()),
        _ => None,
    };
    vec![
        Check::new("database", move || {
            let app = Arc::clone(&database);
            async move { app.read().await.map(drop).map_err(BoxError::from) }
        }),
        Check::new("migrations", move || {
            let app = Arc::clone(&migrated);
            async move { migrations::check_running(app.db()).await.map_err(BoxError::from) }
        }),
        Check::new("storage", move || {
            let (app, directory) = (Arc::clone(&files), directory.clone());
            async move {
                if let Some(directory) = directory {
                    // A listing would not miss it: an absent directory has no files.
                    rustix::fs::access(&directory, Access::WRITE_OK | Access::EXEC_OK)?;
                }
                app.blobs.list("readiness/", None, 1).await.map(drop).map_err(BoxError::from)
            }
        }),
        Check::new("draining", move || {
            let stops = ending.leaves();
            async move { if stops { Err(BoxError::from("the process is stopping")) } else { Ok(()) } }
        }),
    ]
}
