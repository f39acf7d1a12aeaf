//! The pause between tries while the queue is away.

use std::time::Duration;

use tenon_core::ports::queue::QueueError;
use tokio::time::Instant;

/// Longest time between two tries while the queue is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

#[derive(Default)]
pub(super) struct Pause {
    length: Duration,
    until: Option<Instant>,
}

impl Pause {
    pub(super) fn is_on(&self) -> bool {
        self.until.is_some_and(|until| until > Instant::now())
    }

    pub(super) async fn over(&self) {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Ends the pause after a success, begins a longer one after a failure. Says so once.
    pub(super) fn after(&mut self, failure: Option<&QueueError>) {
        let Some(error) = failure else {
            if self.until.take().is_some() {
                tracing::info!("The queue is back.");
            }
            self.length = Duration::ZERO;
            return;
        };
        if self.until.is_none() {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "The queue is away; jobs wait until it is back."
            );
        }
        self.length = (self.length * 2).clamp(Duration::from_millis(250), LONGEST_PAUSE);
        self.until = Some(Instant::now() + self.length);
    }
}
