//! The relay: hands jobs from the outbox to a queue that does not live in the database.
//!
//! A job leaves the outbox only once the queue has it. If the process dies in between, the queue is
//! given the job again and knows it by its id.

use std::{sync::Arc, time::Duration};

use tenon_core::{Error, Result};
use tenon_db::jobs::outbox;
use tokio_util::sync::CancellationToken;

use crate::App;

/// Longest time between two looks at the outbox; another process may have filled it.
const POLL: Duration = Duration::from_secs(1);
/// Time until the next try while the database or the queue is away.
const PAUSE: Duration = Duration::from_secs(5);
const BATCH: i64 = 500;

/// Forwards jobs as they are committed, until `shutdown`. Returns at once when the queue lives in the database.
pub async fn run(app: Arc<App>, shutdown: CancellationToken) {
    if app.queue.capabilities().transactional {
        return;
    }
    let mut away = false;
    while !shutdown.is_cancelled() {
        let forwarded = forward_all(&app).await;
        match &forwarded {
            Ok(_) if away => tracing::info!("Jobs are forwarded to the queue again."),
            Err(error) if !away => tracing::warn!(
                error = error as &dyn std::error::Error,
                "Jobs cannot be forwarded to the queue; they wait in the outbox."
            ),
            _ => {}
        }
        away = forwarded.is_err();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(if away { PAUSE } else { POLL }) => {}
            () = app.outbox_filled.notified(), if !away => {}
        }
    }
}

/// Forwards what is in the outbox, oldest first; answers how many jobs. With a queue in the database there is none.
pub async fn forward_all(app: &App) -> Result<usize> {
    let mut forwarded = 0;
    if app.queue.capabilities().transactional {
        return Ok(forwarded);
    }
    loop {
        let of_batch = forward(app).await?;
        forwarded += of_batch;
        if i64::try_from(of_batch).is_ok_and(|n| n < BATCH) {
            return Ok(forwarded);
        }
    }
}

async fn forward(app: &App) -> Result<usize> {
    app.write(&[], "relay", async |tx| {
        let (places, jobs): (Vec<_>, Vec<_>) = outbox::oldest(tx.conn(), BATCH).await?.into_iter().unzip();
        if !jobs.is_empty() {
            tx.app()
                .queue
                .push(jobs)
                .await
                .map_err(|e| Error::Unavailable { component: "queue", source: Box::new(e) })?;
            outbox::remove(tx.conn(), &places).await?;
        }
        Ok(places.len())
    })
    .await
}
