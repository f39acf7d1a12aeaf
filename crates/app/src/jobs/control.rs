//! The line between a running job and the worker that holds it.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tenon_core::{ids::UserId, ports::queue::Progress};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Asks a job to end, and hears how far it is. Clones are the same line.
#[derive(Debug, Clone, Default)]
pub struct Control {
    cancel: CancellationToken,
    said: Arc<Said>,
    heard: Arc<Notify>,
}

/// What a job said of itself.
#[derive(Debug, Default)]
struct Said {
    latest: Mutex<Option<Progress>>,
    owner: OnceLock<UserId>,
    has_reported: AtomicBool,
}

impl Control {
    /// A line whose reports ring `heard`.
    pub(crate) fn ringing(heard: Arc<Notify>) -> Self {
        Self { heard, ..Self::default() }
    }

    /// Asks for the end.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// What was said since last asked.
    pub fn take_progress(&self) -> Option<Progress> {
        self.said.latest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Somebody waits for the job.
    pub(super) fn belongs_to(&self, owner: UserId) {
        self.said.owner.get_or_init(|| owner);
    }

    /// Who waits for the job, once it has said how far it is: of what takes no time nobody wants to hear.
    pub(crate) fn owner_who_heard(&self) -> Option<UserId> {
        self.said.owner.get().copied().filter(|_| self.said.has_reported.load(Ordering::SeqCst))
    }

    pub(super) fn report(&self, progress: Progress) {
        self.said.has_reported.store(true, Ordering::SeqCst);
        *self.said.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        self.heard.notify_one();
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    pub(super) async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_report_is_heard_once_and_a_wish_for_ever() {
        let heard = Arc::new(Notify::new());
        let control = Control::ringing(heard.clone());
        assert_eq!(control.take_progress(), None);
        let half = Progress { percent: 50, note: Some("half of it".into()) };
        control.report(half.clone());
        assert!(heard.notified().now_or_never().is_some());
        assert_eq!((control.take_progress(), control.take_progress()), (Some(half), None));
        assert!(!control.is_cancelled());
        control.clone().cancel();
        assert!(control.is_cancelled() && control.cancelled().now_or_never().is_some());
    }
}
