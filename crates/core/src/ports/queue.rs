//! Durable jobs.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{BoxError, Time, ids::JobId};

/// Payloads are at most this long, in bytes of JSON.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;

/// A job to be enqueued.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewJob {
    /// Made by the application, so that an outbox row forwarded twice is one job.
    pub id: JobId,
    /// Name of the handler; stable for ever.
    pub name: String,
    /// What the handler gets, JSON of at most [`MAX_PAYLOAD_BYTES`].
    pub payload: serde_json::Value,
    /// Queue; a worker takes from one or more.
    pub queue: String,
    /// −100 to 100, higher first.
    pub priority: i16,
    /// Not before.
    pub run_at: Time,
    /// How often it is tried before it is dead.
    pub max_attempts: i32,
    /// The request that caused it.
    pub correlation_id: Option<String>,
}

/// A job in a worker's hands.
#[derive(Debug, Clone, PartialEq)]
pub struct LeasedJob {
    /// Its id, for the handler to remember.
    pub id: JobId,
    /// Name of the handler.
    pub name: String,
    /// What the handler gets.
    pub payload: serde_json::Value,
    /// Queue it came from.
    pub queue: String,
    /// 1 on the first try.
    pub attempt: i32,
    /// How often it is tried.
    pub max_attempts: i32,
    /// The request that caused it.
    pub correlation_id: Option<String>,
}

/// How a job ended for now.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Finished.
    Done,
    /// To be tried again, not before `at`.
    Retry {
        /// Not before.
        at: Time,
        /// Why it failed.
        error: String,
    },
    /// Kept for an administrator, with its error.
    Dead {
        /// Why it failed.
        error: String,
    },
    /// Handed back untried: the attempt is not counted.
    Released,
}

/// A job that takes this many workers with it is dead, whatever attempts it has left.
pub const MAX_LOST_WORKERS: i32 = 3;

/// What a queue can do beyond the laws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Survives a restart of the process.
    pub durable: bool,
    /// Lives in the application's own Postgres: `db::jobs::insert` on the caller's connection
    /// enqueues in the caller's transaction. Any other queue is fed from the outbox.
    pub transactional: bool,
    /// Honours priorities.
    pub priority: bool,
}

/// Why the queue refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// A payload over [`MAX_PAYLOAD_BYTES`].
    #[error("the payload of job {name} has {bytes} bytes, more than the {MAX_PAYLOAD_BYTES} allowed")]
    PayloadTooLarge {
        /// Name of the job.
        name: String,
        /// Its length.
        bytes: usize,
    },
    /// Worth trying again.
    #[error("the queue is not available")]
    Unavailable(#[source] BoxError),
}

/// Delivers each job at least once, and never to two workers within one lease.
#[async_trait]
pub trait Queue: Send + Sync {
    /// What this queue can do beyond the laws.
    fn capabilities(&self) -> Capabilities;
    /// Adds jobs, all or none; one whose id is already known is skipped.
    async fn push(&self, jobs: Vec<NewJob>) -> Result<(), QueueError>;
    /// Takes up to `limit` ready jobs of `queues` for `worker`, by priority then time, for `lease`. A
    /// job whose lease ran out is ready again, its attempt counted; one that ran out of attempts that
    /// way, or took three workers with it, is dead.
    async fn fetch(
        &self,
        worker: &str,
        queues: &[String],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<LeasedJob>, QueueError>;
    /// Ends the worker's hold on jobs. One that the worker no longer holds is left as it is. A
    /// [`Outcome::Retry`] of the last attempt is [`Outcome::Dead`].
    async fn settle(&self, worker: &str, outcomes: Vec<(JobId, Outcome)>) -> Result<(), QueueError>;
    /// Extends the lease of what the worker still holds, and says which of `jobs` that is.
    async fn renew(&self, worker: &str, jobs: &[JobId], lease: Duration) -> Result<Vec<JobId>, QueueError>;
    /// Tells waiting workers that jobs of `queues` were committed. It may be lost: workers look by
    /// themselves now and then.
    async fn notify(&self, queues: &[String]);
    /// Returns when a job of `queues` may be ready, or after `at_most`.
    async fn wait(&self, queues: &[String], at_most: Duration);
}
