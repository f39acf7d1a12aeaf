//! What the memory adapter knows, and the rules by which it changes.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
};

use tenon_core::{
    Time,
    ids::JobId,
    ports::queue::{Beat, Cancel, Held, LeasedJob, MAX_LOST_WORKERS, NewJob, Outcome, Progress},
};

use super::super::LOST_WORKER;

/// Finished jobs remembered, dead ones included.
const HISTORY: usize = 10_000;

/// A waiting job's place: higher priority first, then earlier, then smaller id.
type Place = (Reverse<i16>, Time, JobId);

#[derive(Default)]
pub(super) struct Jobs {
    live: HashMap<JobId, Job>,
    waiting: HashMap<String, BTreeSet<Place>>,
    leased: BTreeSet<(Time, JobId)>,
    /// The jobs of each lock in order of enqueueing; only the first has a place.
    locked: HashMap<String, VecDeque<JobId>>,
    /// The waiting job of each unique key.
    unique: HashMap<String, JobId>,
    paused: HashSet<String>,
    /// Finished jobs and, of the dead, their errors.
    finished: HashMap<JobId, Option<String>>,
    finished_by_age: VecDeque<JobId>,
}

struct Job {
    new: NewJob,
    attempts: i32,
    lost_workers: i32,
    cancel_asked: bool,
    progress: Option<Progress>,
    lease: Option<Lease>,
}

struct Lease {
    worker: String,
    until: Time,
}

impl Jobs {
    pub(super) fn dead(&self) -> Vec<(JobId, String)> {
        self.finished.iter().filter_map(|(id, error)| Some((*id, error.clone()?))).collect()
    }

    pub(super) fn progress(&self, id: JobId) -> Option<Progress> {
        self.live.get(&id)?.progress.clone()
    }

    /// Adds what is not known yet; gives the id of each job, or of the one that waits under its key.
    pub(super) fn add_all(&mut self, new: Vec<NewJob>) -> Vec<JobId> {
        new.into_iter().map(|new| self.add(new)).collect()
    }

    fn add(&mut self, new: NewJob) -> JobId {
        let id = new.id;
        if self.live.contains_key(&id) || self.finished.contains_key(&id) {
            return id;
        }
        if let Some(waiting) = new.unique_key.as_ref().and_then(|key| self.unique.get(key)) {
            return *waiting;
        }
        if let Some(lock) = &new.lock {
            self.locked.entry(lock.clone()).or_default().push_back(id);
        }
        let (lost_workers, cancel_asked, progress) = (0, false, None);
        self.live.insert(id, Job { new, attempts: 0, lost_workers, cancel_asked, progress, lease: None });
        self.queue_up(id);
        id
    }

    pub(super) fn fetch(
        &mut self,
        worker: &str,
        queues: &[String],
        limit: usize,
        now: Time,
        until: Time,
    ) -> Vec<LeasedJob> {
        self.take_back_expired(now);
        let mut ready: Vec<Place> = queues
            .iter()
            .filter(|queue| !self.paused.contains(*queue))
            .filter_map(|queue| self.waiting.get(queue))
            .flat_map(|waiting| waiting.iter().filter(|place| place.1 <= now).take(limit))
            .copied()
            .collect();
        ready.sort_unstable();
        ready.dedup();
        ready.truncate(limit);
        ready.into_iter().filter_map(|(_, _, id)| self.lease(id, worker, until)).collect()
    }

    pub(super) fn settle_all(&mut self, worker: &str, outcomes: Vec<(JobId, Outcome)>) {
        for (id, outcome) in outcomes {
            self.settle(worker, id, outcome);
        }
    }

    pub(super) fn renew_all(&mut self, worker: &str, beats: &[Beat], now: Time, until: Time) -> Vec<Held> {
        self.take_back_expired(now);
        beats.iter().filter_map(|beat| self.renew(worker, beat, until)).collect()
    }

    pub(super) fn cancel(&mut self, id: JobId) -> Cancel {
        let Some(job) = self.live.get_mut(&id) else { return Cancel::Late };
        if job.lease.is_some() {
            job.cancel_asked = true;
            return Cancel::Asked;
        }
        let (queue, place) = (job.new.queue.clone(), job.place());
        if let Some(waiting) = self.waiting.get_mut(&queue) {
            waiting.remove(&place);
        }
        self.free_key(id);
        self.finish(id, None);
        Cancel::Taken
    }

    pub(super) fn pause(&mut self, queue: &str, paused: bool) {
        if paused {
            self.paused.insert(queue.to_owned());
        } else {
            self.paused.remove(queue);
        }
    }

    pub(super) fn next_due(&self, queues: &[String]) -> Option<Time> {
        let open = queues.iter().filter(|queue| !self.paused.contains(*queue));
        open.filter_map(|queue| self.waiting.get(queue)).flatten().map(|place| place.1).min()
    }

    /// Lets a live job without a lease wait: in its place, unless others come first by its lock.
    fn queue_up(&mut self, id: JobId) {
        let Some(job) = self.live.get(&id) else { return };
        if let Some(key) = &job.new.unique_key {
            // Another may have been added while this one ran; then both wait, and that one has the key.
            self.unique.entry(key.clone()).or_insert(id);
        }
        let chain = job.new.lock.as_ref().and_then(|lock| self.locked.get(lock));
        if chain.is_none_or(|chain| chain.front() == Some(&id)) {
            self.waiting.entry(job.new.queue.clone()).or_default().insert(job.place());
        }
    }

    /// Its key no longer keeps others out.
    fn free_key(&mut self, id: JobId) {
        if let Some(key) = self.live.get(&id).and_then(|job| job.new.unique_key.as_ref())
            && self.unique.get(key) == Some(&id)
        {
            self.unique.remove(key);
        }
    }

    fn lease(&mut self, id: JobId, worker: &str, until: Time) -> Option<LeasedJob> {
        self.free_key(id);
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
            Outcome::Done | Outcome::Cancelled => self.finish(id, None),
            Outcome::Dead { error } => self.finish(id, Some(error)),
            Outcome::Retry { .. } | Outcome::Released if job.cancel_asked => self.finish(id, None),
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

    fn renew(&mut self, worker: &str, beat: &Beat, until: Time) -> Option<Held> {
        let job = self.live.get_mut(&beat.id)?;
        let lease = job.lease.as_mut().filter(|lease| lease.worker == worker)?;
        self.leased.remove(&(lease.until, beat.id));
        self.leased.insert((until, beat.id));
        lease.until = until;
        if beat.progress.is_some() {
            job.progress.clone_from(&beat.progress);
        }
        Some(Held { id: beat.id, cancel_asked: job.cancel_asked })
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
            if job.cancel_asked {
                self.finish(id, None);
            } else if job.attempts >= job.new.max_attempts || job.lost_workers >= MAX_LOST_WORKERS {
                self.finish(id, Some(LOST_WORKER.to_owned()));
            } else {
                self.queue_up(id);
            }
        }
    }

    fn finish(&mut self, id: JobId, error: Option<String>) {
        let job = self.live.remove(&id);
        self.finished.insert(id, error);
        self.finished_by_age.push_back(id);
        if self.finished_by_age.len() > HISTORY
            && let Some(oldest) = self.finished_by_age.pop_front()
        {
            self.finished.remove(&oldest);
        }
        if let Some(lock) = job.and_then(|job| job.new.lock) {
            self.pass_on(&lock, id);
        }
    }

    /// Lets the next of a lock have its place.
    fn pass_on(&mut self, lock: &str, ended: JobId) {
        let Some(chain) = self.locked.get_mut(lock) else { return };
        chain.retain(|id| *id != ended);
        match chain.front().copied() {
            None => drop(self.locked.remove(lock)),
            Some(next) if self.live.get(&next).is_some_and(|job| job.lease.is_none()) => self.queue_up(next),
            Some(_) => {}
        }
    }
}

impl Job {
    fn place(&self) -> Place {
        (Reverse(self.new.priority), self.new.run_at, self.new.id)
    }
}
