//! Wakes the workers of this process.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::{sync::Notify, time::timeout};

/// Wakes everybody who waits; somebody between looking and waiting is not missed.
#[derive(Default)]
pub(super) struct Bell(Notify);

impl Bell {
    pub(super) fn ring(&self) {
        self.0.notify_waiters();
        self.0.notify_one();
    }

    /// Forgets the rings until now: whoever begins to look need not look again for them.
    pub(super) fn looks(&self) {
        let _ = self.0.notified().now_or_never();
    }

    /// Returns at the next ring, or after `at_most`.
    pub(super) async fn wait(&self, at_most: Duration) {
        let _ = timeout(at_most, self.0.notified()).await;
    }
}
