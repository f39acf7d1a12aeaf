//! Jobs as messages of sqlxmq, fed from the outbox. ADR 9 says what of sqlxmq is used and what is not.
//!
//! Messages are spawned by its builder into its tables, which are in a schema of their own; taking, settling and
//! renewing are statements of ours on the same tables, since its runner can neither be asked for jobs nor hand any back.

mod statements;

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sqlx::{
    Executor, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgSslMode},
};
use sqlxmq::JobBuilder;
use tenon_core::{
    BoxError, Time,
    ids::JobId,
    ports::{
        clock::Clock,
        queue::{
            Beat, Cancel, Capabilities, End, Ended, Held, LeasedJob, MAX_LOST_WORKERS, NewJob, Outcome,
            Queue, QueueError, Remote, Seen, SeenState,
        },
    },
};
use tokio::{task::JoinSet, time::sleep};
use uuid::Uuid;

use super::{LOST_WORKER, bell::Bell};
use crate::{ConnectError, connect::install_tls_provider};

/// The longest that a worker waits without looking: what a lost notice costs.
const POLL: Duration = Duration::from_secs(1);
const SCHEMA: &str = include_str!("sqlxmq/schema.sql");
/// sqlxmq's own retries are not used: a failed message comes back when we say so.
const BACKOFF: Duration = Duration::from_secs(1);

pub(super) struct SqlxmqQueue {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    bell: Arc<Bell>,
    /// Hears notices for as long as the queue is there.
    _listener: JoinSet<()>,
}

/// A message's bytes: what is not a column.
#[derive(Serialize, Deserialize)]
struct Body<P> {
    payload: P,
    correlation_id: Option<String>,
}

type SeenRow = (Uuid, bool, Option<String>, i32, Time, Option<Time>, Option<String>);
type EndedRow = (i64, Uuid, String, Option<String>, i32, Option<Time>, Time);
type PolledRow = (Uuid, String, i32, i32, i32, String, Option<Vec<u8>>, Option<String>);

impl SqlxmqQueue {
    /// In the database at `url`, where it makes its schema. Must be called within a runtime: it listens in the
    /// background.
    pub(super) async fn connect(url: &str, clock: Arc<dyn Clock>) -> Result<Self, ConnectError> {
        install_tls_provider();
        let options: PgConnectOptions = url
            .parse()
            .map_err(|e: sqlx::Error| ConnectError::caused("The queue cannot read the database's URL.", e))?;
        let options = options.application_name("tenon-queue");
        // As with the other connections: encrypted, unless over a socket or told otherwise.
        let is_local = options.get_socket().is_some() || options.get_host().starts_with('/');
        let options = match options.get_ssl_mode() {
            PgSslMode::Prefer | PgSslMode::Allow if !is_local => options.ssl_mode(PgSslMode::VerifyFull),
            _ => options,
        };
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .acquire_timeout(Duration::from_secs(5))
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute("SET search_path = sqlxmq; SET statement_timeout = 30000").await?;
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        make_schema(&pool).await?;
        let bell = Arc::new(Bell::default());
        let mut listener = JoinSet::new();
        listener.spawn(listen(pool.clone(), bell.clone()));
        Ok(Self { pool, clock, bell, _listener: listener })
    }
}

/// Makes the schema where there is none, one process at a time.
async fn make_schema(pool: &PgPool) -> Result<(), ConnectError> {
    let away = |e| ConnectError::caused("The database of the queue cannot be reached.", e);
    let refused =
        |e| ConnectError::caused("The database does not let the queue make its schema `sqlxmq`.", e);
    let mut transaction = pool.begin().await.map_err(away)?;
    transaction.execute("SELECT pg_advisory_xact_lock(7223)").await.map_err(away)?;
    let is_there: bool = sqlx::query_scalar("SELECT to_regclass('sqlxmq.mq_ended') IS NOT NULL")
        .fetch_one(&mut *transaction)
        .await
        .map_err(refused)?;
    if is_there {
        // Or else the first job finds out.
        transaction.execute("SELECT FROM mq_ended LIMIT 0").await.map_err(refused)?;
        return Ok(());
    }
    transaction.execute("CREATE SCHEMA IF NOT EXISTS sqlxmq").await.map_err(refused)?;
    transaction.execute(sqlx::raw_sql(SCHEMA)).await.map_err(refused)?;
    transaction.commit().await.map_err(refused)
}

#[async_trait]
impl Queue for SqlxmqQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: true,
            transactional: false,
            priority: false,
            locks: false,
            unique_keys: false,
            cancel: false,
            pause: false,
        }
    }

    async fn push(&self, new: Vec<NewJob>) -> Result<Vec<JobId>, QueueError> {
        super::refuse_large_payloads(&new)?;
        if new.iter().any(|job| job.lock.is_some()) {
            return Err(QueueError::Unsupported("locks"));
        }
        if new.iter().any(|job| job.unique_key.is_some()) {
            return Err(QueueError::Unsupported("unique keys"));
        }
        let all: Vec<JobId> = new.iter().map(|job| job.id).collect();
        let mut transaction = self.pool.begin().await.map_err(unavailable)?;
        let known: Vec<Uuid> = sqlx::query_scalar(statements::KNOWN)
            .bind(uuids(&all))
            .fetch_all(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let mut known: HashSet<JobId> = known.into_iter().map(JobId::from).collect();
        let (mut ids, mut times, mut tried) = (vec![], vec![], vec![]);
        for job in &new {
            if !known.insert(job.id) {
                continue;
            }
            let body = Body { payload: &job.payload, correlation_id: job.correlation_id.clone() };
            let body = serde_json::to_vec(&body).map_err(unavailable)?;
            JobBuilder::new_with_id(job.id.uuid(), &job.name)
                .set_channel_name(&job.queue)
                .set_retries(u32::try_from(job.max_attempts - job.attempts - 1).unwrap_or(0))
                .set_retry_backoff(BACKOFF)
                // Not as its JSON, which would lose what JSONB does not keep.
                .set_raw_bytes(&body)
                .spawn(&mut *transaction)
                .await
                .map_err(unavailable)?;
            ids.push(job.id.uuid());
            times.push(job.run_at);
            tried.push(job.attempts);
        }
        sqlx::query(statements::PLACE)
            .bind(ids)
            .bind(times)
            .bind(tried)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        self.bell.ring();
        Ok(all)
    }

    async fn fetch(
        &self,
        worker: &str,
        queues: &[String],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<LeasedJob>, QueueError> {
        let now = self.clock.now();
        sqlx::query(statements::TAKE_BACK)
            .bind(now)
            .bind(MAX_LOST_WORKERS)
            .bind(LOST_WORKER)
            .execute(&self.pool)
            .await
            .map_err(unavailable)?;
        let rows: Vec<PolledRow> = sqlx::query_as(statements::POLL)
            .bind(queues)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(worker)
            .bind(now)
            .bind(now + lease)
            .fetch_all(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(rows.into_iter().map(leased).collect())
    }

    async fn settle(&self, worker: &str, outcomes: Vec<(JobId, Outcome)>) -> Result<(), QueueError> {
        let ids: Vec<Uuid> = outcomes.iter().map(|(id, _)| id.uuid()).collect();
        let (mut words, mut times, mut errors) = (vec![], vec![], vec![]);
        for (_, outcome) in &outcomes {
            let (word, at, error) = match outcome {
                Outcome::Done => ("done", None, None),
                Outcome::Retry { at, error } => ("retry", Some(*at), Some(error.as_str())),
                Outcome::Dead { error } => ("dead", None, Some(error.as_str())),
                Outcome::Released => ("released", None, None),
                Outcome::Cancelled => ("cancelled", None, None),
            };
            words.push(word);
            times.push(at);
            errors.push(error);
        }
        sqlx::query(statements::SETTLE)
            .bind(worker)
            .bind(ids)
            .bind(words)
            .bind(times)
            .bind(errors)
            .bind(self.clock.now())
            .execute(&self.pool)
            .await
            .map_err(unavailable)?;
        if outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Released | Outcome::Retry { .. })) {
            self.notify(&[]).await;
        }
        Ok(())
    }

    async fn renew(&self, worker: &str, beats: &[Beat], lease: Duration) -> Result<Vec<Held>, QueueError> {
        let ids: Vec<Uuid> = beats.iter().map(|beat| beat.id.uuid()).collect();
        let held: Vec<Uuid> = sqlx::query_scalar(statements::RENEW)
            .bind(worker)
            .bind(ids)
            .bind(self.clock.now() + lease)
            .fetch_all(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(held.into_iter().map(|id| Held { id: id.into(), cancel_asked: false }).collect())
    }

    async fn cancel(&self, _job: JobId) -> Result<Cancel, QueueError> {
        Err(QueueError::Unsupported("cancelling"))
    }

    async fn pause(&self, _queue: &str, _paused: bool) -> Result<(), QueueError> {
        Err(QueueError::Unsupported("pausing"))
    }

    async fn notify(&self, _queues: &[String]) {
        self.bell.ring();
        // Others look for themselves before long.
        let _ = sqlx::query("SELECT pg_notify('mq', '')").execute(&self.pool).await;
    }

    async fn wait(&self, _queues: &[String], at_most: Duration) {
        self.bell.wait(at_most.min(POLL)).await;
    }

    fn remote(&self) -> Option<&dyn Remote> {
        Some(self)
    }
}

#[async_trait]
impl Remote for SqlxmqQueue {
    async fn ended(&self, limit: usize) -> Result<Vec<Ended>, QueueError> {
        let rows: Vec<EndedRow> = sqlx::query_as(statements::ENDED)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(rows.into_iter().map(ended).collect())
    }

    async fn forget(&self, ended: &[Ended]) -> Result<(), QueueError> {
        let marks: Vec<i64> = ended.iter().filter_map(|ended| ended.mark.parse().ok()).collect();
        sqlx::query(statements::FORGET).bind(marks).execute(&self.pool).await.map_err(unavailable)?;
        Ok(())
    }

    async fn inspect(&self, jobs: &[JobId]) -> Result<Vec<Seen>, QueueError> {
        let rows = sqlx::query_as(statements::INSPECT).bind(uuids(jobs)).fetch_all(&self.pool).await;
        Ok(rows.map_err(unavailable)?.into_iter().map(seen).collect())
    }

    async fn take(&self, jobs: &[JobId]) -> Result<Vec<Seen>, QueueError> {
        let rows = sqlx::query_as(statements::TAKE).bind(uuids(jobs)).fetch_all(&self.pool).await;
        Ok(rows.map_err(unavailable)?.into_iter().map(seen).collect())
    }

    async fn running(&self) -> Result<Vec<(String, usize)>, QueueError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as(statements::RUNNING).fetch_all(&self.pool).await.map_err(unavailable)?;
        Ok(rows.into_iter().map(|(queue, count)| (queue, usize::try_from(count).unwrap_or(0))).collect())
    }
}

/// Rings the bell at every notice, over a connection of its own that is made again when lost.
async fn listen(pool: PgPool, bell: Arc<Bell>) {
    let mut pause = Duration::from_millis(100);
    loop {
        if let Ok(mut notices) = PgListener::connect_with(&pool).await
            && notices.listen("mq").await.is_ok()
        {
            pause = Duration::from_millis(100);
            // Something may have come while nobody listened.
            bell.ring();
            while notices.recv().await.is_ok() {
                bell.ring();
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

fn uuids(jobs: &[JobId]) -> Vec<Uuid> {
    jobs.iter().map(|id| id.uuid()).collect()
}

fn leased((id, queue, tried, left, lost_workers, name, bytes, json): PolledRow) -> LeasedJob {
    // One that another program spawned has its payload as JSON.
    let body = match bytes {
        Some(bytes) => serde_json::from_slice(&bytes),
        None => serde_json::from_str(json.as_deref().unwrap_or("null"))
            .map(|payload| Body { payload, correlation_id: None }),
    };
    // A payload that nobody can read is for the handler's name to say so of.
    let body: Body<serde_json::Value> =
        body.unwrap_or(Body { payload: serde_json::Value::Null, correlation_id: None });
    LeasedJob {
        id: id.into(),
        name,
        payload: body.payload,
        queue,
        attempt: tried,
        max_attempts: tried + left,
        lost_workers,
        correlation_id: body.correlation_id,
    }
}

fn ended((seq, id, state, error, attempts, started_at, ended_at): EndedRow) -> Ended {
    let end = match state.as_str() {
        "done" => End::Done,
        "cancelled" => End::Cancelled,
        _ => End::Dead { error: error.unwrap_or_default().into() },
    };
    Ended { id: id.into(), mark: seq.to_string(), end, attempts, started_at, ended_at }
}

fn seen((id, is_ended, worker, attempts, run_at, started_at, error): SeenRow) -> Seen {
    let state = match worker {
        _ if is_ended => SeenState::Ended,
        Some(worker) => SeenState::Running { worker },
        None => SeenState::Waiting,
    };
    let (cancel_asked, progress) = (false, None);
    Seen { id: id.into(), state, attempts, run_at, started_at, error, cancel_asked, progress }
}

fn unavailable(e: impl Into<BoxError>) -> QueueError {
    let cause: BoxError = e.into();
    // A value in it, by the class of its SQLSTATE: data exceptions and violated constraints.
    let code = cause
        .downcast_ref::<sqlx::Error>()
        .and_then(sqlx::Error::as_database_error)
        .and_then(sqlx::error::DatabaseError::code);
    if code.is_some_and(|code| code.starts_with("22") || code.starts_with("23")) {
        QueueError::Refused(cause)
    } else {
        QueueError::Unavailable(cause)
    }
}
