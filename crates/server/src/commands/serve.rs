//! `tenon serve`, and what it has in common with `tenon up`.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use tenon_app::App;
use tenon_core::BoxError;
use tenon_db::migrations;
use tenon_http::{api, frame::Frame, live::Hub, readiness::Check, serve};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    database::Database,
    lifecycle::Lifecycle,
    listener,
    telemetry::{self, Figures},
    wiring,
};

/// How often uses of tokens are written down.
const TOKEN_USES: Duration = Duration::from_secs(30);

/// Serves until told to stop.
pub(crate) async fn run(config: &Config) -> anyhow::Result<()> {
    telemetry::log(&config.log)?;
    let figures = Figures::record()?;
    let lifecycle = Lifecycle::begin()?;
    let database = Database::configured(config)?;
    migrations::check(&database.db).await?;
    let app = wiring::app(config, database.db.clone()).await?;
    start_metrics(config, figures, &lifecycle).await?;
    start_http(config, &app, &lifecycle)?;
    lifecycle.run(config.server.shutdown_grace.duration()).await
}

/// Starts to answer requests.
pub(crate) fn start_http(config: &Config, app: &Arc<App>, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    let listener = listener::open(&config.server)?;
    let address = listener::address(&listener);
    let hub = Hub::start(Arc::clone(app), lifecycle.tasks().clone(), lifecycle.stopping());
    let frame = Frame::around(app, wiring::http(config)).asking(checks(app, &lifecycle.stopping())).with(hub);
    start_token_uses(app, lifecycle);
    let service = tenon_http::assemble(api::table(), frame).service;
    let grace = config.server.shutdown_grace.duration();
    let stopping = lifecycle.stopping();
    lifecycle
        .essential("HTTP server", async move { Ok(serve::serve(service, listener, stopping, grace).await?) });
    tracing::info!(address, url = %config.public_url, "Tenon answers at {address}");
    Ok(())
}

/// Starts to answer whoever collects figures, if that is configured.
pub(crate) async fn start_metrics(
    config: &Config,
    figures: Figures,
    lifecycle: &Lifecycle,
) -> anyhow::Result<()> {
    lifecycle.background(figures.clone().upkeep());
    if let Some(address) = config.metrics.listen {
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address} for metrics"))?;
        lifecycle.background(telemetry::endpoint::serve(listener, figures, config.metrics.token.clone()));
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

/// What must be well for this process to be sent requests.
fn checks(app: &Arc<App>, stopping: &CancellationToken) -> Vec<Check> {
    let database = Arc::clone(app);
    let migrated = Arc::clone(app);
    let stopping = stopping.clone();
    vec![
        Check::new("database", move || {
            let app = Arc::clone(&database);
            async move { app.read().await.map(drop).map_err(BoxError::from) }
        }),
        Check::new("migrations", move || {
            let app = Arc::clone(&migrated);
            async move { migrations::check(app.db()).await.map_err(BoxError::from) }
        }),
        Check::new("draining", move || {
            let stops = stopping.is_cancelled();
            async move { if stops { Err(BoxError::from("the process is stopping")) } else { Ok(()) } }
        }),
    ]
}
