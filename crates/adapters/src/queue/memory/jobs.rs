//! What the memory adapter knows, and the rules by which it changes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
};

use tenon_core::{
    Time,
    ids::JobId,
    ports::queue::{
        Beat, Cancel, End, Ended, Held, LeasedJob, MAX_LOST_WORKERS, NewJob, Outcome, Progress, Seen,
        SeenState,
    },
};

use super::super::LOST_WORKER;

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
    /// What ended and was not forgotten, by age.
    ended: BTreeMap<u64, Ended>,
    /// The places of jobs among those.
    ended_at: HashMap<JobId, u64>,
    ends: u64,
}

struct Job {
    new: NewJob,
    attempts: i32,
    lost_workers: i32,
    cancel_asked: bool,
    progress: Option<Progress>,
    started_at: Option<Time>,
    error: Option<String>,
    lease: Option<Lease>,
}

struct Lease {
    worker: String,
    until: Time,
}

impl Jobs {
    pub(super) fn dead(&self) -> Vec<(JobId, String)> {
        let error = |ended: &Ended| match &ended.end {
            End::Dead { error } => Some((ended.id, error.to_string())),
            End::Done | End::Cancelled => None,
        };
        self.ended.values().filter_map(error).collect()
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
        if self.live.contains_key(&id) || self.ended_at.contains_key(&id) {
            return id;
        }
        if let Some(waiting) = new.unique_key.as_ref().and_then(|key| self.unique.get(key)) {
            return *waiting;
        }
        if let Some(lock) = &new.lock {
            self.locked.entry(lock.clone()).or_default().push_back(id);
        }
        let attempts = new.attempts;
        self.live.insert(
            id,
            Job {
                new,
                attempts,
                lost_workers: 0,
                cancel_asked: false,
                progress: None,
                started_at: None,
                error: None,
                lease: None,
            },
        );
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
        ready.into_iter().filter_map(|(_, _, id)| self.lease(id, worker, now, until)).collect()
    }

    pub(super) fn settle_all(&mut self, worker: &str, outcomes: Vec<(JobId, Outcome)>, now: Time) {
        for (id, outcome) in outcomes {
            self.settle(worker, id, outcome, now);
        }
    }

    pub(super) fn renew_all(&mut self, worker: &str, beats: &[Beat], now: Time, until: Time) -> Vec<Held> {
        self.take_back_expired(now);
        beats.iter().filter_map(|beat| self.renew(worker, beat, until)).collect()
    }

    pub(super) fn cancel(&mut self, id: JobId, now: Time) -> Cancel {
        let Some(job) = self.live.get_mut(&id) else { return Cancel::Late };
        if job.lease.is_some() {
            job.cancel_asked = true;
            return Cancel::Asked;
        }
        self.leave(id);
        self.finish(id, End::Cancelled, now);
        Cancel::Taken
    }

    pub(super) fn ended(&self, limit: usize) -> Vec<Ended> {
        self.ended.values().take(limit).cloned().collect()
    }

    pub(super) fn forget(&mut self, ended: &[Ended]) {
        for ended in ended {
            if let Some(place) = ended.mark.parse().ok().filter(|place| self.ended.contains_key(place)) {
                self.ended.remove(&place);
                self.ended_at.remove(&ended.id);
            }
        }
    }

    pub(super) fn inspect(&self, ids: &[JobId]) -> Vec<Seen> {
        ids.iter().filter_map(|id| self.seen(*id)).collect()
    }

    /// Takes out of these what waits.
    pub(super) fn take(&mut self, ids: &[JobId]) -> Vec<Seen> {
        let mut taken = vec![];
        for seen in self.inspect(ids).into_iter().filter(|seen| seen.state == SeenState::Waiting) {
            self.leave(seen.id);
            self.remove(seen.id);
            taken.push(seen);
        }
        taken
    }

    pub(super) fn running(&self) -> Vec<(String, usize)> {
        let mut running = BTreeMap::<&str, usize>::new();
        for job in self.live.values().filter(|job| job.lease.is_some()) {
            *running.entry(&job.new.queue).or_default() += 1;
        }
        running.into_iter().map(|(queue, count)| (queue.to_owned(), count)).collect()
    }

    fn seen(&self, id: JobId) -> Option<Seen> {
        if let Some(ended) = self.ended_at.get(&id).and_then(|place| self.ended.get(place)) {
            let error = match &ended.end {
                End::Dead { error } => Some(error.to_string()),
                End::Done | End::Cancelled => None,
            };
            return Some(Seen {
                id,
                state: SeenState::Ended,
                attempts: ended.attempts,
                run_at: ended.ended_at,
                started_at: ended.started_at,
                error,
                cancel_asked: false,
                progress: None,
            });
        }
        let job = self.live.get(&id)?;
        let state = match &job.lease {
            Some(lease) => SeenState::Running { worker: lease.worker.clone() },
            None => SeenState::Waiting,
        };
        Some(Seen {
            id,
            state,
            attempts: job.attempts,
            run_at: job.new.run_at,
            started_at: job.started_at,
            error: job.error.clone(),
            cancel_asked: job.cancel_asked,
            progress: job.progress.clone(),
        })
    }

    /// Takes a waiting job from its place and its key.
    fn leave(&mut self, id: JobId) {
        let Some(job) = self.live.get(&id) else { return };
        let (queue, place) = (job.new.queue.clone(), job.place());
        if let Some(waiting) = self.waiting.get_mut(&queue) {
            waiting.remove(&place);
        }
        self.free_key(id);
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
        let Some(job) = self.live.get_mut(&id) else { return };
        if let Some(key) = &job.new.unique_key
            && *self.unique.entry(key.clone()).or_insert(id) != id
        {
            // Another was added while this one ran: both wait, and that one has the key.
            job.new.unique_key = None;
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

    fn lease(&mut self, id: JobId, worker: &str, now: Time, until: Time) -> Option<LeasedJob> {
        self.free_key(id);
        let job = self.live.get_mut(&id)?;
        self.waiting.get_mut(&job.new.queue)?.remove(&job.place());
        job.attempts += 1;
        job.started_at = Some(now);
        job.lease = Some(Lease { worker: worker.to_owned(), until });
        self.leased.insert((until, id));
        Some(LeasedJob {
            id,
            name: job.new.name.clone(),
            payload: job.new.payload.clone(),
            queue: job.new.queue.clone(),
            attempt: job.attempts,
            max_attempts: job.new.max_attempts,
            lost_workers: job.lost_workers,
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

    fn settle(&mut self, worker: &str, id: JobId, outcome: Outcome, now: Time) {
        let Some(job) = self.release(worker, id) else { return };
        let end = match outcome {
            Outcome::Done => End::Done,
            Outcome::Cancelled => End::Cancelled,
            Outcome::Dead { error } => End::Dead { error },
            Outcome::Retry { .. } | Outcome::Released if job.cancel_asked => End::Cancelled,
            Outcome::Retry { error, .. } if job.attempts >= job.new.max_attempts => End::Dead { error },
            Outcome::Retry { at, error } => {
                job.new.run_at = at;
                job.error = Some(error.into());
                return self.queue_up(id);
            }
            Outcome::Released => {
                job.attempts -= 1;
                return self.queue_up(id);
            }
        };
        self.finish(id, end, now);
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
                self.finish(id, End::Cancelled, now);
            } else if job.attempts >= job.new.max_attempts || job.lost_workers >= MAX_LOST_WORKERS {
                self.finish(id, End::Dead { error: LOST_WORKER.into() }, now);
            } else {
                job.error = Some(LOST_WORKER.to_owned());
                self.queue_up(id);
            }
        }
    }

    fn finish(&mut self, id: JobId, end: End, now: Time) {
        let Some(job) = self.remove(id) else { return };
        let (attempts, started_at, ended_at) = (job.attempts, job.started_at, now);
        self.ends += 1;
        let mark = self.ends.to_string();
        self.ended.insert(self.ends, Ended { id, mark, end, attempts, started_at, ended_at });
        self.ended_at.insert(id, self.ends);
    }

    /// Forgets a job that is in no place and in nobody's hands.
    fn remove(&mut self, id: JobId) -> Option<Job> {
        let job = self.live.remove(&id)?;
        if let Some(lock) = &job.new.lock {
            self.pass_on(lock, id);
        }
        Some(job)
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
