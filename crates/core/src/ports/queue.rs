//! Durable jobs.

mod remote;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::remote::{End, Ended, Remote, Seen, SeenState};
use crate::{BoxError, Time, ids::JobId, outside::OutsideText};

/// Payloads are at most this long, in bytes of JSON.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;

/// Whether a queue can be called that: up to 100 letters, digits, `_`, `-` and `.`.
pub fn is_queue_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (1..=100).contains(&name.len()) && name.chars().all(fits)
}

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
    /// How often it was tried in the queue it was moved from; none when it is new.
    #[serde(default)]
    pub attempts: i32,
    /// The request that caused it.
    pub correlation_id: Option<String>,
    /// Jobs with the same lock run one after another, in order of enqueueing: the next begins when the one before
    /// is done, dead or cancelled.
    #[serde(default)]
    pub lock: Option<String>,
    /// While a job with this key waits, another is not added.
    #[serde(default)]
    pub unique_key: Option<String>,
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
    /// How many workers vanished while they had it.
    pub lost_workers: i32,
    /// The request that caused it.
    pub correlation_id: Option<String>,
}

impl LeasedJob {
    /// Whether it is dead should this worker vanish, too, as others did before: it may be what they died of.
    pub const fn is_suspect(&self) -> bool {
        self.lost_workers > 0
            && (self.lost_workers + 1 >= MAX_LOST_WORKERS || self.attempt >= self.max_attempts)
    }
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
        error: OutsideText,
    },
    /// Kept for an administrator, with its error.
    Dead {
        /// Why it failed.
        error: OutsideText,
    },
    /// Handed back untried: the attempt is not counted.
    Released,
    /// Stopped because somebody asked for it.
    Cancelled,
}

impl Outcome {
    /// Whether the job has ended, whatever attempts it has left.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Done | Self::Dead { .. } | Self::Cancelled)
    }
}

/// How far a running job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// 0 to 100.
    pub percent: u8,
    /// What it is at.
    pub note: Option<OutsideText>,
}

/// A sign of life for a job that a worker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The job.
    pub id: JobId,
    /// How far it is, if that changed.
    pub progress: Option<Progress>,
}

/// A job that a worker still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The job.
    pub id: JobId,
    /// Somebody asked for its end.
    pub cancel_asked: bool,
}

/// What became of asking for a job's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// It waited, and never runs.
    Taken,
    /// It runs, and its worker will be told.
    Asked,
    /// It has ended, or never was.
    Late,
}

/// A job that takes this many workers with it is dead, whatever attempts it has left.
pub const MAX_LOST_WORKERS: i32 = 3;

/// What a queue can do beyond the laws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Survives a restart of the process.
    pub durable: bool,
    /// Lives in the application's own Postgres: `db::jobs::insert` on the caller's connection
    /// enqueues in the caller's transaction. Any other queue is [`Remote`] and fed from the outbox.
    pub transactional: bool,
    /// Honours priorities.
    pub priority: bool,
    /// Honours locks; refuses them otherwise.
    pub locks: bool,
    /// Honours unique keys; refuses them otherwise.
    pub unique_keys: bool,
    /// Cancels jobs; refuses to otherwise.
    pub cancel: bool,
    /// Pauses and resumes queues; refuses to otherwise.
    pub pause: bool,
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
    /// The queue cannot do this, as its [`Capabilities`] say.
    #[error("this queue does not support {0}")]
    Unsupported(&'static str),
    /// The queue is there and does not take what it was given; nothing of it was taken, and trying again will not help.
    #[error("the queue refuses what it was given")]
    Refused(#[source] BoxError),
    /// Worth trying again.
    #[error("the queue is not available")]
    Unavailable(#[source] BoxError),
}

/// Delivers each job at least once, and never to two workers within one lease.
#[async_trait]
pub trait Queue: Send + Sync {
    /// What this queue can do beyond the laws.
    fn capabilities(&self) -> Capabilities;
    /// Adds jobs, all or none, and gives the id of each. One whose id is already known is skipped; one whose unique
    /// key waits already is not added, and the id given is that of the one that waits.
    async fn push(&self, jobs: Vec<NewJob>) -> Result<Vec<JobId>, QueueError>;
    /// Takes up to `limit` ready jobs of `queues` for `worker`, by priority then time, for `lease`. A
    /// job whose lease ran out is ready again, its attempt counted; one that ran out of attempts that
    /// way, or took three workers with it, is dead. A paused queue hands out nothing.
    async fn fetch(
        &self,
        worker: &str,
        queues: &[String],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<LeasedJob>, QueueError>;
    /// Ends the worker's hold on jobs. One that the worker no longer holds is left as it is. A
    /// [`Outcome::Retry`] of the last attempt is [`Outcome::Dead`]; that or [`Outcome::Released`] of a job whose end
    /// was asked for is [`Outcome::Cancelled`].
    async fn settle(&self, worker: &str, outcomes: Vec<(JobId, Outcome)>) -> Result<(), QueueError>;
    /// Extends the lease of what the worker still holds, notes its progress, and says which of `beats` that is.
    async fn renew(&self, worker: &str, beats: &[Beat], lease: Duration) -> Result<Vec<Held>, QueueError>;
    /// Ends a waiting job at once, and asks for the end of a running one.
    async fn cancel(&self, job: JobId) -> Result<Cancel, QueueError>;
    /// Pauses a queue, so that nothing of it is handed out, or resumes it. What runs goes on.
    async fn pause(&self, queue: &str, paused: bool) -> Result<(), QueueError>;
    /// Tells waiting workers that jobs of `queues` were committed. It may be lost: workers look by
    /// themselves now and then.
    async fn notify(&self, queues: &[String]);
    /// Returns when a job of `queues` may be ready, or after `at_most`.
    async fn wait(&self, queues: &[String], at_most: Duration);
    /// What else it can be asked when it is not [`Capabilities::transactional`].
    fn remote(&self) -> Option<&dyn Remote>;
}
