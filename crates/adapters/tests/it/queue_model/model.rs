//! What a queue is, in as few words as possible.

use std::{collections::BTreeSet, time::Duration};

use tenon_core::{
    Time,
    ids::JobId,
    ports::queue::{MAX_LOST_WORKERS, Outcome},
};

/// Where a job of the model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    Waits,
    Held { by: usize, until: Time },
    Ended { dead: bool },
}

#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) queue: usize,
    pub(super) priority: i16,
    pub(super) run_at: Time,
    pub(super) lock: Option<u8>,
    /// Lost when another comes to wait under it.
    pub(super) key: Option<u8>,
    pub(super) attempts: i32,
    pub(super) max_attempts: i32,
    pub(super) lost_workers: i32,
    pub(super) cancel_asked: bool,
    pub(super) at: At,
}

/// All its jobs, and what was said of queues.
pub(super) struct Model {
    /// In order of enqueueing.
    pub(super) jobs: Vec<Job>,
    pub(super) paused: BTreeSet<usize>,
    /// When leases were last looked at; the queue in Postgres does it every few seconds, and only when jobs are fetched.
    looked: Option<Time>,
    look_every: Duration,
}

impl Model {
    pub(super) fn new(look_every: Duration) -> Self {
        Self { jobs: vec![], paused: BTreeSet::new(), looked: None, look_every }
    }

    /// The job that waits under a key.
    pub(super) fn waiting(&self, key: u8) -> Option<JobId> {
        let waits = |job: &&Job| job.at == At::Waits && job.key == Some(key);
        self.jobs.iter().find(waits).map(|job| job.id)
    }

    /// What may be handed out, the most urgent first.
    pub(super) fn ready(&self, queues: &[usize], now: Time) -> Vec<JobId> {
        let is_live = |job: &Job| !matches!(job.at, At::Ended { .. });
        let mut ready: Vec<&Job> = vec![];
        for (place, job) in self.jobs.iter().enumerate() {
            let behind =
                job.lock.is_some() && self.jobs[..place].iter().any(|o| o.lock == job.lock && is_live(o));
            let open = queues.contains(&job.queue) && !self.paused.contains(&job.queue);
            if job.at == At::Waits && job.run_at <= now && open && !behind {
                ready.push(job);
            }
        }
        ready.sort_by_key(|job| (-job.priority, job.run_at, job.id));
        ready.into_iter().map(|job| job.id).collect()
    }

    pub(super) fn find(&mut self, id: JobId) -> &mut Job {
        self.jobs.iter_mut().find(|job| job.id == id).unwrap()
    }

    pub(super) fn held(&self, by: usize) -> Vec<JobId> {
        let holds = |job: &&Job| matches!(job.at, At::Held { by: holder, .. } if holder == by);
        self.jobs.iter().filter(holds).map(|job| job.id).collect()
    }

    /// Lets a job wait again; its key may be another's by now.
    fn comes_back(&mut self, id: JobId) {
        let key = self.find(id).key;
        let taken = key.is_some_and(|key| self.waiting(key).is_some());
        let job = self.find(id);
        job.key = key.filter(|_| !taken);
        job.at = At::Waits;
    }

    pub(super) fn look(&mut self, now: Time) {
        if self.looked.is_some_and(|looked| looked + self.look_every > now) {
            return;
        }
        self.looked = Some(now);
        let mut gone: Vec<(Time, JobId)> = vec![];
        for job in &self.jobs {
            if let At::Held { until, .. } = job.at
                && until <= now
            {
                gone.push((until, job.id));
            }
        }
        gone.sort_unstable();
        for (_, id) in gone {
            let job = self.find(id);
            job.lost_workers += 1;
            if job.cancel_asked {
                job.at = At::Ended { dead: false };
            } else if job.attempts >= job.max_attempts || job.lost_workers >= MAX_LOST_WORKERS {
                job.at = At::Ended { dead: true };
            } else {
                self.comes_back(id);
            }
        }
    }

    pub(super) fn settle(&mut self, id: JobId, outcome: &Outcome) {
        let job = self.find(id);
        match outcome {
            Outcome::Retry { .. } | Outcome::Released if job.cancel_asked => {
                job.at = At::Ended { dead: false }
            }
            Outcome::Retry { .. } if job.attempts >= job.max_attempts => job.at = At::Ended { dead: true },
            Outcome::Retry { at, .. } => {
                job.run_at = *at;
                self.comes_back(id);
            }
            Outcome::Released => {
                job.attempts -= 1;
                self.comes_back(id);
            }
            Outcome::Dead { .. } => job.at = At::Ended { dead: true },
            Outcome::Done | Outcome::Cancelled => job.at = At::Ended { dead: false },
        }
    }
}
