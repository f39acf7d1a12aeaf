//! Jobs in memory: gone with the process, and otherwise held to the same laws.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tenon_core::{
    Time,
    ids::JobId,
    ports::{
        clock::Clock,
        queue::{Capabilities, LeasedJob, MAX_LOST_WORKERS, NewJob, Outcome, Queue, QueueError},
    },
};

use super::bell::Bell;

/// Finished jobs remembered, dead ones included.
const HISTORY: usize = 10_000;

/// The memory adapter. Unlike the others it shows its dead, since nothing else can.
pub struct MemoryQueue {
    clock: Arc<dyn Clock>,
    jobs: Mutex<Jobs>,
    bell: Bell,
}

/// A waiting job's place: higher priority first, then earlier, then smaller id.
type Place = (Reverse<i16>, Time, JobId);

#[derive(Default)]
struct Jobs {
    live: HashMap<JobId, Job>,
    waiting: HashMap<String, BTreeSet<Place>>,
    leased: BTreeSet<(Time, JobId)>,
    /// Finished jobs and, of the dead, their errors.
    finished: HashMap<JobId, Option<String>>,
    finished_by_age: VecDeque<JobId>,
}

struct Job {
    new: NewJob,
    attempts: i32,
    lost_workers: i32,
    lease: Option<Lease>,
}

struct Lease {
    worker: String,
    until: Time,
}

impl MemoryQueue {
    /// An empty queue.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, jobs: Mutex::default(), bell: Bell::default() }
    }

    /// The dead, with their errors.
    pub fn dead(&self) -> Vec<(JobId, String)> {
        let jobs = self.jobs();
        jobs.finished.iter().filter_map(|(id, error)| Some((*id, error.clone()?))).collect()
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities { durable: false, transactional: false, priority: true }
    }

    async fn push(&self, new: Vec<NewJob>) -> Result<(), QueueError> {
        super::refuse_large_payloads(&new)?;
        self.jobs().add_all(new);
        self.bell.ring();
        Ok(())
    }

    async fn fetch(
        &self,
        worker: &str,
        queues: &[String],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<LeasedJob>, QueueError> {
        let now = self.clock.now();
        let mut jobs = self.jobs();
        jobs.take_back_expired(now);
        let mut ready: Vec<Place> = queues
            .iter()
            .filter_map(|queue| jobs.waiting.get(queue))
            .flat_map(|waiting| waiting.iter().filter(|place| place.1 <= now).take(limit))
            .copied()
            .collect();
        ready.sort_unstable();
        ready.dedup();
        ready.truncate(limit);
        Ok(ready.into_iter().filter_map(|(_, _, id)| jobs.lease(id, worker, now + lease)).collect())
    }

    async fn settle(&self, worker: &str, outcomes: Vec<(JobId, Outcome)>) -> Result<(), QueueError> {
        self.jobs().settle_all(worker, outcomes);
        self.bell.ring();
        Ok(())
    }

    async fn renew(&self, worker: &str, ids: &[JobId], lease: Duration) -> Result<Vec<JobId>, QueueError> {
        let now = self.clock.now();
        let mut jobs = self.jobs();
        jobs.take_back_expired(now);
        Ok(ids.iter().copied().filter(|id| jobs.renew(worker, *id, now + lease)).collect())
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
}

impl Jobs {
    /// Adds what is not known yet.
    fn add_all(&mut self, new: Vec<NewJob>) {
        for new in new {
            let id = new.id;
            if !self.live.contains_key(&id) && !self.finished.contains_key(&id) {
                self.live.insert(id, Job { new, attempts: 0, lost_workers: 0, lease: None });
                self.queue_up(id);
            }
        }
    }

    fn settle_all(&mut self, worker: &str, outcomes: Vec<(JobId, Outcome)>) {
        for (id, outcome) in outcomes {
            self.settle(worker, id, outcome);
        }
    }

    /// Puts a live job without a lease into its place.
    fn queue_up(&mut self, id: JobId) {
        if let Some(job) = self.live.get(&id) {
            self.waiting.entry(job.new.queue.clone()).or_default().insert(job.place());
        }
    }

    fn lease(&mut self, id: JobId, worker: &str, until: Time) -> Option<LeasedJob> {
        let job = self.live.get_mut(&id)?;
        self.waiting.get_mut(&job.new.queue)?.remove(&job.place());
        job.attempts += 1;
        job.lease = Some(Lease { worker: worker.to_owned(), until });
        self.leased.insert((until, id));
        Some(LeasedJob {
            id,
            name: job.new.name.clone(),
            payload: job.new.payload.clone(),
            queue: job.new.queue.clone(),
            attempt: job.attempts,
            max_attempts: job.new.max_attempts,
            correlation_id: job.new.correlation_id.clone(),
        })
    }

    /// Ends the worker's lease; `None` when it holds none.
    fn release(&mut self, worker: &str, id: JobId) -> Option<&mut Job> {
        let job = self.live.get_mut(&id)?;
        let lease = job.lease.take_if(|lease| lease.worker == worker)?;
        self.leased.remove(&(lease.until, id));
        Some(job)
    }

    fn settle(&mut self, worker: &str, id: JobId, outcome: Outcome) {
        let Some(job) = self.release(worker, id) else { return };
        match outcome {
            Outcome::Done => self.finish(id, None),
            Outcome::Dead { error } => self.finish(id, Some(error)),
            Outcome::Retry { error, .. } if job.attempts >= job.new.max_attempts => {
                self.finish(id, Some(error));
            }
            Outcome::Retry { at, .. } => {
                job.new.run_at = at;
                self.queue_up(id);
            }
            Outcome::Released => {
                job.attempts -= 1;
                self.queue_up(id);
            }
        }
    }

    fn renew(&mut self, worker: &str, id: JobId, until: Time) -> bool {
        let Some(job) = self.live.get_mut(&id) else { return false };
        let Some(lease) = job.lease.as_mut().filter(|lease| lease.worker == worker) else { return false };
        self.leased.remove(&(lease.until, id));
        self.leased.insert((until, id));
        lease.until = until;
        true
    }

    fn take_back_expired(&mut self, now: Time) {
        while let Some(&(until, id)) = self.leased.first() {
            if until > now {
                break;
            }
            self.leased.pop_first();
            let Some(job) = self.live.get_mut(&id) else { continue };
            job.lease = None;
            job.lost_workers += 1;
            if job.attempts >= job.new.max_attempts || job.lost_workers >= MAX_LOST_WORKERS {
                self.finish(id, Some(super::LOST_WORKER.to_owned()));
            } else {
                self.queue_up(id);
            }
        }
    }

    fn finish(&mut self, id: JobId, error: Option<String>) {
        self.live.remove(&id);
        self.finished.insert(id, error);
        self.finished_by_age.push_back(id);
        if self.finished_by_age.len() > HISTORY
            && let Some(oldest) = self.finished_by_age.pop_front()
        {
            self.finished.remove(&oldest);
        }
    }

    fn next_due(&self, queues: &[String]) -> Option<Time> {
        let waiting = queues.iter().filter_map(|queue| self.waiting.get(queue)).flatten();
        waiting.map(|place| place.1).min()
    }
}

impl Job {
    fn place(&self) -> Place {
        (Reverse(self.new.priority), self.new.run_at, self.new.id)
    }
}
