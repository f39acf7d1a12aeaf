//! Job handlers: what is done after the answer.
//!
//! A job may run more than once, so a handler repeats nothing that it has done before, or does it again
//! to the same effect.

mod control;
mod link_invitations;
mod purge_expired;
mod send_mail;
mod shorten_ranks;
mod sweep_blobs;

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use tenon_core::{
    BoxError, Error,
    ids::JobId,
    jobs::{Job, LinkInvitations, PurgeExpired, SendMail, ShortenRanks, SweepBlobs},
    outside::OutsideText,
    ports::{
        blob::BlobError,
        queue::{LeasedJob, Outcome, Progress},
    },
};
use tokio::time::Instant;
use tracing::Instrument;

pub use control::Control;

use crate::App;

/// What a handler knows of its job besides the payload.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The application.
    pub app: &'a App,
    /// The same at every attempt.
    pub id: JobId,
    /// The request that caused the job, if one did.
    pub correlation_id: Option<&'a str>,
    control: &'a Control,
}

impl Context<'_> {
    /// Whether somebody asked for the job's end. A handler that can stop midway answers [`Failure::Cancelled`].
    pub fn is_cancelled(&self) -> bool {
        self.control.is_cancelled()
    }

    /// Returns when somebody asks for the job's end.
    pub async fn cancelled(&self) {
        self.control.cancelled().await;
    }

    /// Says how far the job is, 0 to 100, and what it is at. Administrators see it before long, and so does its owner.
    pub fn progress(&self, percent: u8, note: impl Into<String>) {
        self.control
            .report(Progress { percent: percent.min(100), note: Some(OutsideText::new(&note.into())) });
    }

    /// What the job's own writes are recorded under.
    pub fn correlation_id(&self) -> String {
        self.correlation_id.map_or_else(|| format!("job.{}", self.id), str::to_owned)
    }
}

/// A payload with its behaviour.
pub trait Handle: Job {
    /// Does what the job says.
    fn handle(self, cx: Context<'_>) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Why a job was not done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Trying again may help.
    #[error("{0}")]
    Retry(#[source] BoxError),
    /// Trying again will not help.
    #[error("{0}")]
    Fatal(#[source] BoxError),
    /// It stopped because somebody asked for it.
    #[error("cancelled")]
    Cancelled,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable { .. }
            | Error::RateLimited { .. }
            | Error::LimitReached { .. }
            | Error::Stale { .. }
            | Error::Internal(_) => Self::Retry(Box::new(error)),
            _ => Self::Fatal(Box::new(error)),
        }
    }
}

impl From<BlobError> for Failure {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Permanent(_) => Self::Fatal(Box::new(error)),
            _ => Self::Retry(Box::new(error)),
        }
    }
}

impl From<tenon_db::Error> for Failure {
    fn from(error: tenon_db::Error) -> Self {
        Error::from(error).into()
    }
}

/// The kinds of jobs that a process knows how to do.
#[derive(Debug, Clone)]
pub(crate) struct Handlers(Vec<Handler>);

impl Default for Handlers {
    fn default() -> Self {
        Self(HANDLERS.to_vec())
    }
}

impl Handlers {
    /// These, and another.
    pub(crate) fn and<J: Handle>(mut self) -> Self {
        self.0.push(handler::<J>());
        self
    }

    /// The kinds of jobs.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|handler| handler.name)
    }

    fn find(&self, name: &str) -> Option<&Handler> {
        self.0.iter().find(|handler| handler.name == name)
    }
}

#[derive(Debug, Clone, Copy)]
struct Handler {
    name: &'static str,
    run: for<'a> fn(Context<'a>, serde_json::Value) -> BoxFuture<'a, Result<(), Failure>>,
}

const HANDLERS: [Handler; 5] = [
    handler::<SendMail>(),
    handler::<PurgeExpired>(),
    handler::<SweepBlobs>(),
    handler::<ShortenRanks>(),
    handler::<LinkInvitations>(),
];

const fn handler<J: Handle>() -> Handler {
    Handler {
        name: J::NAME,
        run: |cx, payload| {
            Box::pin(async move {
                let job: J = serde_json::from_value(payload).map_err(|e| Failure::Fatal(Box::new(e)))?;
                if let Some(owner) = job.owner() {
                    cx.control.belongs_to(owner);
                }
                job.handle(cx).await
            })
        },
    }
}

/// Runs one job to its outcome, whatever happens in it.
pub async fn run(app: &App, job: &LeasedJob, control: &Control) -> Outcome {
    let began = Instant::now();
    let span = tracing::info_span!(
        "job",
        job.id = %job.id,
        job.name = job.name,
        job.attempt = job.attempt,
        correlation.id = job.correlation_id,
    );
    let handler = app.handlers.find(&job.name);
    let outcome = attempt(app, job, handler, control).instrument(span.clone()).await;
    let (label, error) = match &outcome {
        Outcome::Done => ("done", None),
        Outcome::Retry { error, .. } => ("retried", Some(error)),
        Outcome::Dead { error } => ("dead", Some(error)),
        Outcome::Released => ("released", None),
        Outcome::Cancelled => ("cancelled", None),
    };
    let _in_span = span.enter();
    match error {
        None => tracing::debug!(job.outcome = label, "The job has ended."),
        Some(error) if label == "retried" => {
            tracing::warn!(%error, "The job failed and will be tried again.");
        }
        Some(error) => tracing::error!(%error, "The job is dead and waits for an administrator."),
    }
    // An unknown name is no label: anybody who can enqueue could make series without end.
    let name = handler.map_or("unknown", |handler| handler.name);
    metrics::histogram!("job_duration_seconds", "job" => name, "outcome" => label)
        .record(began.elapsed().as_secs_f64());
    outcome
}

async fn attempt(app: &App, job: &LeasedJob, handler: Option<&Handler>, control: &Control) -> Outcome {
    let Some(handler) = handler else {
        return Outcome::Dead { error: format!("unknown job {}", job.name).into() };
    };
    let cx = Context { app, id: job.id, correlation_id: job.correlation_id.as_deref(), control };
    let (error, may_retry) =
        match AssertUnwindSafe((handler.run)(cx, job.payload.clone())).catch_unwind().await {
            Ok(Ok(())) => return Outcome::Done,
            Ok(Err(Failure::Retry(cause))) => (OutsideText::of_error(&*cause), true),
            Ok(Err(Failure::Cancelled)) => return Outcome::Cancelled,
            Ok(Err(Failure::Fatal(cause))) => (OutsideText::of_error(&*cause), false),
            Err(panic) => (format!("panicked: {}", message(&*panic)).into(), true),
        };
    if may_retry && job.attempt < job.max_attempts {
        Outcome::Retry { at: app.now() + backoff(job.attempt, app.random()), error }
    } else {
        Outcome::Dead { error }
    }
}

/// 1, 2, 4… seconds after the first, second, third… attempt, at most an hour; give or take a quarter, so that what
/// failed together does not come back together.
fn backoff(attempt: i32, random: [u8; 2]) -> Duration {
    let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(20);
    let base = Duration::from_secs(1 << doublings).min(Duration::from_hours(1));
    let share = f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX);
    base.mul_f64(0.75 + share / 2.0).min(Duration::from_hours(1))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_never_agree() {
        assert_eq!(backoff(1, [0, 0]), Duration::from_millis(750));
        assert_eq!(backoff(1, [255, 255]), Duration::from_millis(1250));
        assert_eq!(backoff(4, [0, 0]), Duration::from_secs(6));
        for attempt in [13, 60, i32::MAX] {
            assert!(backoff(attempt, [255, 255]) <= Duration::from_hours(1));
            assert!(backoff(attempt, [0, 0]) >= Duration::from_mins(45));
        }
    }
}
