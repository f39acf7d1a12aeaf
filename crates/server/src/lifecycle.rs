//! From start to a drained end.
//!
//! Every task of the process lives in one tracked set. A signal, or the end of a task the process cannot do
//! without, cancels the token that all of them watch; then there is so much time to finish. A process that balancers
//! send requests to first leaves for a while: it says that it is not ready, and works on.

mod systemd;

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::systemd::Supervisor;

/// Of the time to stop, what is left for telling others: handing jobs back, writing down what was used.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long what runs may go on, so that the process is done within `grace`.
pub(crate) fn grace_of_work(grace: Duration) -> Duration {
    grace.saturating_sub(FAREWELL.min(grace / 4))
}

/// The tasks of this process, and whether it is stopping.
#[derive(Debug, Clone)]
pub(crate) struct Lifecycle {
    tasks: TaskTracker,
    /// The process was asked to stop, and may work on for as long as `drain`.
    leaving: CancellationToken,
    drain: Arc<OnceLock<Duration>>,
    stopping: CancellationToken,
    /// Nobody is waited for any more.
    at_once: CancellationToken,
    failure: Arc<Mutex<Option<anyhow::Error>>>,
    supervisor: Arc<Supervisor>,
}

impl Lifecycle {
    /// A process that has nothing to do yet, and heeds signals from now on.
    pub(crate) fn begin() -> anyhow::Result<Self> {
        let this = Self {
            tasks: TaskTracker::new(),
            leaving: CancellationToken::new(),
            drain: Arc::default(),
            stopping: CancellationToken::new(),
            at_once: CancellationToken::new(),
            failure: Arc::default(),
            supervisor: Arc::new(Supervisor::of_this_process()),
        };
        this.heed_signals()?;
        Ok(this)
    }

    /// Lets the process work on for so long after it was asked to stop.
    pub(crate) fn drain_for(&self, drain: Duration) {
        // Once is enough.
        let _ = self.drain.set(drain);
    }

    /// Cancelled when the process is asked to stop.
    pub(crate) fn leaving(&self) -> CancellationToken {
        self.leaving.clone()
    }

    /// Whether the process will be gone soon.
    pub(crate) fn leaves(&self) -> bool {
        self.leaving.is_cancelled() || self.stopping.is_cancelled()
    }

    /// Cancelled when the process stops.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// The tracked set, for tasks that watch [`Lifecycle::stopping`] themselves.
    pub(crate) const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Runs something useful until the process stops; then it is dropped where it waits.
    pub(crate) fn background(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping();
        self.tasks.spawn(async move {
            stopping.run_until_cancelled(work).await;
        });
    }

    /// Runs something that the process cannot do without: when it fails, or ends before it was asked to, the
    /// process stops and fails. It watches [`Lifecycle::stopping`] itself.
    pub(crate) fn essential(
        &self,
        name: &'static str,
        work: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let this = self.clone();
        // On a task of its own, so that a panic is seen.
        let work = self.tasks.spawn(work);
        self.tasks.spawn(async move {
            let result = work.await.unwrap_or_else(|panic| Err(panic.into()));
            let result = result.with_context(|| format!("the {name} failed"));
            let failure = match result {
                Ok(()) if this.stopping.is_cancelled() => return,
                Ok(()) => anyhow::anyhow!("the {name} ended by itself"),
                Err(error) => error,
            };
            this.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
            this.stopping.cancel();
        });
    }

    /// Does `reload` whenever the process is sent SIGHUP.
    pub(crate) fn on_hangup(&self, reload: impl Fn() + Send + 'static) -> anyhow::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let supervisor = Arc::clone(&self.supervisor);
        self.background(async move {
            while hangup.recv().await.is_some() {
                supervisor.reloading();
                reload();
                supervisor.ready();
            }
        });
        Ok(())
    }

    /// Says that the process is ready, waits until it is to stop, and gives its tasks `grace` to finish.
    pub(crate) async fn run(self, grace: Duration) -> anyhow::Result<()> {
        self.supervisor.ready();
        let heartbeat = self.heartbeat();
        self.stopping.cancelled().await;
        self.supervisor.stopping();
        tracing::info!(grace.seconds = grace.as_secs(), "Stopping: what runs may finish");
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => {}
            () = self.at_once.cancelled() => tracing::warn!("Stopped at once, at a second signal"),
            () = tokio::time::sleep(grace) => {
                tracing::warn!(tasks.left = self.tasks.len(), "Stopped with work left: the grace is over");
            }
        }
        heartbeat.abort();
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(Ok(()), Err)
    }

    /// Stops the process at the first signal, once it has drained, and its waiting for tasks at the second.
    fn heed_signals(&self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let this = self.clone();
        let mut signalled = async move || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        // Not of the drained set: it is never done.
        TaskTracker::new().spawn(async move {
            signalled().await;
            this.leaving.cancel();
            let drain = this.drain.get().copied().unwrap_or_default();
            if !drain.is_zero() {
                tracing::info!(
                    drain.seconds = drain.as_secs_f64(),
                    "Draining: not ready any more, and still serving what comes"
                );
                if tokio::time::timeout(drain, signalled()).await.is_ok() {
                    this.at_once.cancel();
                }
            }
            this.stopping.cancel();
            signalled().await;
            this.at_once.cancel();
        });
        Ok(())
    }

    /// Feeds the watchdog, to the end of the draining and not within the drained set. A task among the others, so
    /// that it falls silent when no thread of the runtime gets to it.
    fn heartbeat(&self) -> tokio::task::JoinHandle<()> {
        let supervisor = self.supervisor.clone();
        TaskTracker::new().spawn(async move {
            while let Some(interval) = supervisor.watchdog() {
                supervisor.alive();
                tokio::time::sleep(interval).await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Lifecycle, grace_of_work};

    const GRACE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn the_failure_of_an_essential_task_stops_and_fails_the_process() {
        let lifecycle = Lifecycle::begin().unwrap();
        let stopping = lifecycle.stopping();
        lifecycle.essential("other", async move {
            stopping.cancelled().await;
            Ok(())
        });
        lifecycle.essential("listener", async { anyhow::bail!("the port is gone") });
        let error = lifecycle.run(GRACE).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "the listener failed: the port is gone");
    }

    #[tokio::test]
    async fn an_essential_task_that_ends_by_itself_is_a_failure() {
        let lifecycle = Lifecycle::begin().unwrap();
        lifecycle.essential("worker", async { Ok(()) });
        assert_eq!(lifecycle.run(GRACE).await.unwrap_err().to_string(), "the worker ended by itself");
    }

    #[test]
    fn work_ends_before_the_process_must() {
        assert_eq!(grace_of_work(Duration::from_secs(30)), Duration::from_secs(27));
        assert_eq!(grace_of_work(Duration::from_secs(2)), Duration::from_millis(1500));
        assert_eq!(grace_of_work(Duration::ZERO), Duration::ZERO);
    }

    #[tokio::test]
    async fn the_panic_of_an_essential_task_stops_and_fails_the_process() {
        let lifecycle = Lifecycle::begin().unwrap();
        lifecycle.essential("worker", async { panic!("the roof came down") });
        let error = format!("{:#}", lifecycle.run(GRACE).await.unwrap_err());
        assert!(error.starts_with("the worker failed: ") && error.contains("panicked"), "{error}");
    }

    #[tokio::test]
    async fn work_that_outlasts_the_grace_is_left() {
        let lifecycle = Lifecycle::begin().unwrap();
        lifecycle.tasks().spawn(std::future::pending::<()>());
        lifecycle.stopping().cancel();
        lifecycle.run(Duration::from_millis(1)).await.unwrap();
    }

    #[tokio::test]
    async fn work_that_runs_is_waited_for_and_background_work_is_not() {
        let lifecycle = Lifecycle::begin().unwrap();
        let (done, finished) = tokio::sync::oneshot::channel();
        let stopping = lifecycle.stopping();
        lifecycle.tasks().spawn(async move {
            stopping.cancelled().await;
            tokio::task::yield_now().await;
            done.send(()).unwrap();
        });
        lifecycle.background(std::future::pending());
        lifecycle.stopping().cancel();
        lifecycle.run(GRACE).await.unwrap();
        finished.await.unwrap();
    }
}
