//! Jobs that a write enqueues.

use std::time::Duration;

use tenon_core::{
    Error, Result, Time,
    ids::JobId,
    jobs::Job,
    ports::queue::{Capabilities, MAX_PAYLOAD_BYTES, NewJob, is_queue_name},
};

use super::Tx;

/// How a job is enqueued, where it differs from what its kind says.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Options {
    id: Option<JobId>,
    queue: Option<String>,
    priority: Option<i16>,
    start: Start,
    max_attempts: Option<i32>,
    lock: Option<String>,
    unique_key: Option<String>,
    if_possible: bool,
}

#[derive(Debug, Clone, Copy, Default)]
enum Start {
    #[default]
    Now,
    At(Time),
    After(Duration),
}

impl Options {
    /// Under this id; a second job with the same id is not added. Not for more than one job.
    pub const fn id(mut self, id: JobId) -> Self {
        self.id = Some(id);
        self
    }

    /// Into this queue.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// −100 to 100, higher first.
    pub const fn priority(mut self, priority: i16) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Not before `time`.
    pub const fn run_at(mut self, time: Time) -> Self {
        self.start = Start::At(time);
        self
    }

    /// Not before `delay` has passed since the write began.
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.start = Start::After(delay);
        self
    }

    /// How often it is tried before it is dead.
    pub const fn max_attempts(mut self, attempts: i32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// Jobs with the same lock run one after another, in order of enqueueing.
    pub fn lock(mut self, lock: impl Into<String>) -> Self {
        self.lock = Some(lock.into());
        self
    }

    /// While a job with this key waits, another is not added.
    pub fn unique_key(mut self, key: impl Into<String>) -> Self {
        self.unique_key = Some(key.into());
        self
    }

    /// Lock and unique key are left out where the queue knows none: for jobs that run right without them, only not
    /// as well. Otherwise such a queue is refused.
    pub const fn if_possible(mut self) -> Self {
        self.if_possible = true;
        self
    }

    fn apply(&self, job: &mut NewJob, can: Capabilities, now: Time) -> Result<()> {
        if let Some(queue) = &self.queue {
            job.queue.clone_from(queue);
        }
        job.priority = self.priority.unwrap_or(job.priority);
        job.max_attempts = self.max_attempts.unwrap_or(job.max_attempts);
        job.run_at = match self.start {
            Start::Now => now,
            Start::At(time) => time,
            Start::After(delay) => now + delay,
        };
        job.lock = self.supported("locks", self.lock.as_ref(), can.locks)?;
        job.unique_key = self.supported("unique keys", self.unique_key.as_ref(), can.unique_keys)?;
        let wrong = |what: String| Err(Error::internal(format!("job {}: {what}", job.name)));
        if !is_queue_name(&job.queue) {
            return wrong(format!("{:?} is no name of a queue", job.queue));
        }
        if !(-100..=100).contains(&job.priority) {
            return wrong(format!("a priority is from -100 to 100, not {}", job.priority));
        }
        if job.max_attempts < 1 {
            return wrong("it is tried at least once".to_owned());
        }
        Ok(())
    }

    fn supported(&self, what: &str, wish: Option<&String>, can: bool) -> Result<Option<String>> {
        if can || wish.is_none() {
            Ok(wish.cloned())
        } else if self.if_possible {
            Ok(None)
        } else {
            Err(Error::internal(format!("the configured queue does not support {what}")))
        }
    }
}

impl Tx<'_> {
    /// Enqueues a job with this write.
    pub fn enqueue<J: Job>(&mut self, job: &J) -> Result<()> {
        self.enqueue_with(job, &Options::default()).map(drop)
    }

    /// Enqueues a job with this write, as `options` say, and answers its id. Where another job of its unique key
    /// waits it is not added, and nobody has that id.
    pub fn enqueue_with<J: Job>(&mut self, job: &J, options: &Options) -> Result<JobId> {
        let id = options.id.unwrap_or_else(|| self.app.id());
        let mut new = new_job(id, job, self.now, Some(self.correlation_id.clone()))?;
        options.apply(&mut new, self.app.queue.capabilities(), self.now)?;
        self.jobs.push(new);
        Ok(id)
    }

    /// Enqueues many jobs with this write: however many, in one statement.
    pub fn enqueue_all<'j, J: Job>(
        &mut self,
        jobs: impl IntoIterator<Item = &'j J>,
        options: &Options,
    ) -> Result<Vec<JobId>> {
        jobs.into_iter().map(|job| self.enqueue_with(job, options)).collect()
    }
}

/// A job ready for the queue; refuses a payload that is too large.
pub fn new_job<J: Job>(id: JobId, job: &J, run_at: Time, correlation_id: Option<String>) -> Result<NewJob> {
    let payload = serde_json::to_value(job).map_err(Error::internal)?;
    let bytes = payload.to_string().len();
    if bytes > MAX_PAYLOAD_BYTES {
        return Err(Error::internal(format!(
            "the payload of job {} has {bytes} bytes, more than the {MAX_PAYLOAD_BYTES} allowed",
            J::NAME
        )));
    }
    Ok(NewJob {
        id,
        name: J::NAME.to_owned(),
        payload,
        queue: J::QUEUE.to_owned(),
        priority: J::PRIORITY,
        run_at,
        max_attempts: J::MAX_ATTEMPTS,
        attempts: 0,
        correlation_id,
        lock: None,
        unique_key: None,
    })
}
