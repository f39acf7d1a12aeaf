//! What a queue outside the database can be asked beyond the laws of every queue.
//!
//! The database keeps a row for each job that such a queue has, until the job has ended. So the queue is never the
//! only one that knows of a job: what it lost is pushed again, and what it says has ended becomes history.

use async_trait::async_trait;

use super::{Progress, QueueError};
use crate::{Time, ids::JobId, outside::OutsideText};

/// What such a queue knows of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The job.
    pub id: JobId,
    /// Where it is in its life.
    pub state: SeenState,
    /// How often it was tried.
    pub attempts: i32,
    /// Not before.
    pub run_at: Time,
    /// When it was last taken.
    pub started_at: Option<Time>,
    /// Why it last failed.
    pub error: Option<String>,
    /// Somebody asked for its end.
    pub cancel_asked: bool,
    /// How far it says it is.
    pub progress: Option<Progress>,
}

/// Where a job is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenState {
    /// Nobody has it.
    Waiting,
    /// In a worker's hands.
    Running {
        /// Who runs it.
        worker: String,
    },
    /// Over, and not forgotten yet.
    Ended,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Finished well.
    Done,
    /// Given up.
    Dead {
        /// Why.
        error: OutsideText,
    },
    /// Somebody asked for it.
    Cancelled,
}

/// A job that ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The job.
    pub id: JobId,
    /// Tells this end from another of the same job, which was tried again by hand.
    pub mark: String,
    /// How.
    pub end: End,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was last taken.
    pub started_at: Option<Time>,
    /// When.
    pub ended_at: Time,
}

/// A queue outside the database.
#[async_trait]
pub trait Remote: Send + Sync {
    /// What ended and was not forgotten, the oldest first.
    async fn ended(&self, limit: usize) -> Result<Vec<Ended>, QueueError>;
    /// Forgets these ends, since they are written down elsewhere. A job that was pushed anew stays.
    async fn forget(&self, ended: &[Ended]) -> Result<(), QueueError>;
    /// What is known of these jobs, in any order; nothing of one that was never pushed, was lost or forgotten.
    async fn inspect(&self, jobs: &[JobId]) -> Result<Vec<Seen>, QueueError>;
    /// Takes those of these jobs out of the queue that wait, and forgets them; says what they were.
    async fn take(&self, jobs: &[JobId]) -> Result<Vec<Seen>, QueueError>;
    /// How many jobs of each queue are in workers' hands.
    async fn running(&self) -> Result<Vec<(String, usize)>, QueueError>;
}
