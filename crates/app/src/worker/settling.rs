//! Telling the queue how jobs ended, so that one that cannot be told of does not keep the others.

use futures_util::future::{BoxFuture, FutureExt};
use tenon_core::{
    BoxError,
    ids::JobId,
    ports::queue::{Outcome, Queue, QueueError},
};

/// What is written down of a job whose outcome the queue refuses.
pub(crate) const UNRECORDED: &str = "The job ended, and how it ended could not be recorded.";

/// Settles all of them at once. When the queue refuses the batch, halves of it are tried, down to the one that is to
/// blame: that job is dead with a plain text. One that cannot even be that stays leased, and is taken back when its
/// lease ends.
pub(super) fn settle<'a>(
    queue: &'a dyn Queue,
    worker: &'a str,
    outcomes: Vec<(JobId, Outcome)>,
) -> BoxFuture<'a, Result<(), QueueError>> {
    async move {
        if outcomes.is_empty() {
            return Ok(());
        }
        match queue.settle(worker, outcomes.clone()).await {
            Err(QueueError::Refused(cause)) => {
                let mut first = outcomes;
                let second = first.split_off(first.len() / 2);
                if first.is_empty() {
                    return give_up(queue, worker, second, &cause).await;
                }
                settle(queue, worker, first).await?;
                settle(queue, worker, second).await
            }
            settled => settled,
        }
    }
    .boxed()
}

async fn give_up(
    queue: &dyn Queue,
    worker: &str,
    outcomes: Vec<(JobId, Outcome)>,
    cause: &BoxError,
) -> Result<(), QueueError> {
    for (id, outcome) in outcomes {
        tracing::error!(job.id = %id, job.outcome = ?outcome, error = &**cause as &dyn std::error::Error, "The queue refuses the outcome of a job; the job is dead.");
        let dead = Outcome::Dead { error: UNRECORDED.into() };
        match queue.settle(worker, vec![(id, dead)]).await {
            Err(QueueError::Refused(cause)) => {
                tracing::error!(job.id = %id, error = &*cause as &dyn std::error::Error, "Nothing can be recorded of a job; it comes back when its lease ends.");
            }
            settled => settled?,
        }
    }
    Ok(())
}
