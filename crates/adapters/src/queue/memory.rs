//! Jobs in memory: gone with the process, and otherwise held to the same laws.

mod jobs;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tenon_core::{
    ids::JobId,
    ports::{
        clock::Clock,
        queue::{
            Beat, Cancel, Capabilities, Ended, Held, LeasedJob, NewJob, Outcome, Progress, Queue, QueueError,
            Remote, Seen,
        },
    },
};

use self::jobs::Jobs;
use super::bell::Bell;

/// The memory adapter. Unlike the others it shows its dead, since nothing else can.
pub struct MemoryQueue {
    clock: Arc<dyn Clock>,
    jobs: Mutex<Jobs>,
    bell: Bell,
}

impl MemoryQueue {
    /// An empty queue.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, jobs: Mutex::default(), bell: Bell::default() }
    }

    /// The dead that were not forgotten yet, with their errors.
    pub fn dead(&self) -> Vec<(JobId, String)> {
        self.jobs().dead()
    }

    /// How far a running job said it is.
    pub fn progress(&self, job: JobId) -> Option<Progress> {
        self.jobs().progress(job)
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: false,
            transactional: false,
            priority: true,
            locks: true,
            unique_keys: true,
            cancel: true,
            pause: true,
        }
    }

    async fn push(&self, new: Vec<NewJob>) -> Result<Vec<JobId>, QueueError> {
        super::refuse_large_payloads(&new)?;
        let ids = self.jobs().add_all(new);
        self.bell.ring();
        Ok(ids)
    }

    async fn fetch(
        &self,
        worker: &str,
        queues: &[String],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<LeasedJob>, QueueError> {
        let now = self.clock.now();
        Ok(self.jobs().fetch(worker, queues, limit, now, now + lease))
    }

    async fn settle(&self, worker: &str, outcomes: Vec<(JobId, Outcome)>) -> Result<(), QueueError> {
        self.jobs().settle_all(worker, outcomes, self.clock.now());
        self.bell.ring();
        Ok(())
    }

    async fn renew(&self, worker: &str, beats: &[Beat], lease: Duration) -> Result<Vec<Held>, QueueError> {
        let now = self.clock.now();
        Ok(self.jobs().renew_all(worker, beats, now, now + lease))
    }

    async fn cancel(&self, job: JobId) -> Result<Cancel, QueueError> {
        let cancel = self.jobs().cancel(job, self.clock.now());
        // What waited behind its lock may be ready.
        self.bell.ring();
        Ok(cancel)
    }

    async fn pause(&self, queue: &str, paused: bool) -> Result<(), QueueError> {
        self.jobs().pause(queue, paused);
        self.bell.ring();
        Ok(())
    }

    async fn notify(&self, _queues: &[String]) {
        self.bell.ring();
    }

    async fn wait(&self, queues: &[String], at_most: Duration) {
        let next = self.jobs().next_due(queues);
        let until_due = next.map(|due| (due - self.clock.now()).to_std().unwrap_or_default());
        let at_most = until_due.map_or(at_most, |due| due.min(at_most));
        self.bell.wait(at_most).await;
    }
    fn remote(&self) -> Option<&dyn Remote> {
        Some(self)
    }
}

#[async_trait]
impl Remote for MemoryQueue {
    async fn ended(&self, limit: usize) -> Result<Vec<Ended>, QueueError> {
        Ok(self.jobs().ended(limit))
    }

    async fn forget(&self, ended: &[Ended]) -> Result<(), QueueError> {
        self.jobs().forget(ended);
        Ok(())
    }

    async fn inspect(&self, jobs: &[JobId]) -> Result<Vec<Seen>, QueueError> {
        Ok(self.jobs().inspect(jobs))
    }

    async fn take(&self, jobs: &[JobId]) -> Result<Vec<Seen>, QueueError> {
        let taken = self.jobs().take(jobs);
        // What waited behind their locks may be ready.
        self.bell.ring();
        Ok(taken)
    }

    async fn running(&self) -> Result<Vec<(String, usize)>, QueueError> {
        Ok(self.jobs().running())
    }
}
