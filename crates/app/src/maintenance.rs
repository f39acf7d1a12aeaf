//! Maintenance mode: the API answers nobody but probes and administrators who read, workers take no jobs.
//!
//! The database says whether it is on, so it survives restarts; every process keeps what it last read, and reads
//! again every second. A process that cannot read goes on as before.

use std::{sync::Arc, time::Duration};

use tenon_core::{
    Result, Time,
    maintenance::{Message, Notice},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::App;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// What this process knows of maintenance.
#[derive(Debug, Clone)]
pub struct Maintenance(watch::Sender<Option<Arc<Notice>>>);

impl Default for Maintenance {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Maintenance {
    /// The maintenance that is going on, if one is.
    pub fn notice(&self) -> Option<Arc<Notice>> {
        self.0.borrow().clone()
    }

    /// Whether the installation is being maintained.
    pub fn is_on(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Returns once the installation is being maintained, or once it is not.
    pub async fn turned(&self, on: bool) {
        // Fails only when the sender is gone, and that is here.
        let _ = self.0.subscribe().wait_for(|notice| notice.is_some() == on).await;
    }

    fn learn(&self, found: Option<Notice>) {
        metrics::gauge!("maintenance_mode").set(if found.is_some() { 1.0 } else { 0.0 });
        self.0.send_if_modified(|known| {
            if known.as_deref() == found.as_ref() {
                return false;
            }
            match (known.is_some(), &found) {
                (false, Some(_)) => tracing::info!("Maintenance has begun"),
                (true, None) => tracing::info!("Maintenance is over"),
                _ => {}
            }
            *known = found.map(Arc::new);
            true
        });
    }
}

/// Begins maintenance, or changes what people are told of the one that is going on.
pub async fn begin(app: &App, message: Option<Message>, until: Option<Time>) -> Result<Notice> {
    app.write(&[], "command-line", async |tx| {
        let notice = Notice { since: tx.now(), message, until };
        tenon_db::maintenance::begin(tx.conn(), &notice).await?;
        Ok(tenon_db::maintenance::current(tx.conn()).await?.unwrap_or(notice))
    })
    .await
}

/// Ends maintenance; false when there was none.
pub async fn end(app: &App) -> Result<bool> {
    app.write(&[], "command-line", async |tx| Ok(tenon_db::maintenance::end(tx.conn()).await?)).await
}

/// The maintenance that is going on, as the database has it.
pub async fn current(app: &App) -> Result<Option<Notice>> {
    Ok(tenon_db::maintenance::current(&mut *app.read().await?).await?)
}

/// Looks once, before a process begins its work.
pub async fn look(app: &App) -> Result<()> {
    app.maintenance.learn(current(app).await?);
    Ok(())
}

/// Goes on looking, until `shutdown`.
pub async fn watch(app: Arc<App>, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        if let Err(error) = look(&app).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "maintenance could not be looked up");
        }
    }
}
