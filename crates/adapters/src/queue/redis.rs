//! Jobs in Redis, fed from the outbox, which keeps every job until it has ended.
//!
//! Each operation is one script, so it happens as a whole or not at all. Times are ours, as microseconds, so leases and
//! delays do not depend on the clock of Redis. ADR 9 says why these are sorted sets and hashes rather than consumer
//! groups.

mod scripts;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::DateTime;
use futures_util::StreamExt;
use redis::{Client, ScriptInvocation};
use serde::{Deserialize, Serialize};
use tenon_core::{
    BoxError, Time,
    ids::JobId,
    ports::{
        clock::Clock,
        queue::{
            Beat, Cancel, Capabilities, End, Ended, Held, LeasedJob, MAX_LOST_WORKERS, NewJob, Outcome,
            Progress, Queue, QueueError, Remote, Seen, SeenState,
        },
    },
};
use tokio::{task::JoinSet, time::sleep};

use self::scripts::Scripts;
use super::{LOST_WORKER, bell::Bell};
use crate::{
    ConnectError,
    redis_pool::{PatientPool, RedisConfig},
};

/// The longest that a worker waits without looking: what a lost notice costs.
const POLL: Duration = Duration::from_secs(1);

pub(super) struct RedisQueue {
    pool: PatientPool,
    clock: Arc<dyn Clock>,
    scripts: Scripts,
    /// Begins every key. In braces, so that a cluster keeps them together.
    prefix: String,
    bell: Arc<Bell>,
    /// Hears notices for as long as the queue is there.
    _listener: JoinSet<()>,
}

/// What a script answers: rows of fields, in which `+text` is a text and `-` none.
type Rows = Vec<Vec<String>>;

/// The part of a job that only its worker looks at.
#[derive(Serialize, Deserialize)]
struct Body<P> {
    name: String,
    payload: P,
    correlation_id: Option<String>,
}

impl RedisQueue {
    /// Looks whether Redis is there and lets the queue run its scripts, rather than leave that to the first job.
    pub(super) async fn connect(config: &RedisConfig, clock: Arc<dyn Clock>) -> Result<Self, ConnectError> {
        config.probe().await?;
        let queue = Self::lazily(config, clock)?;
        let refused = |e| ConnectError::caused("Redis does not let the queue run its scripts.", e);
        queue.running().await.map_err(refused)?;
        Ok(queue)
    }

    /// Without looking. Must be called within a runtime: it listens in the background.
    pub(super) fn lazily(config: &RedisConfig, clock: Arc<dyn Clock>) -> Result<Self, ConnectError> {
        let prefix = format!("{{{}queue}}:", config.prefix);
        let (pool, bell) = (config.patient_pool()?, Arc::new(Bell::default()));
        let mut listener = JoinSet::new();
        listener.spawn(listen(config.client()?, format!("{prefix}bell"), bell.clone()));
        let scripts = Scripts::new();
        Ok(Self { pool, clock, scripts, prefix, bell, _listener: listener })
    }

    fn now(&self) -> String {
        written(self.clock.now())
    }

    async fn run(
        &self,
        script: &redis::Script,
        fill: impl FnOnce(&mut ScriptInvocation<'_>),
    ) -> Result<Rows, QueueError> {
        let mut connection = self.pool.get().await.map_err(unavailable)?;
        let mut invocation = script.prepare_invoke();
        invocation.key(self.prefix.as_str());
        fill(&mut invocation);
        invocation.invoke_async(&mut *connection).await.map_err(unavailable)
    }

    async fn about(&self, script: &redis::Script, jobs: &[JobId]) -> Result<Vec<Seen>, QueueError> {
        let rows = self
            .run(script, |call| {
                call.arg(self.now());
                for id in jobs {
                    call.arg(id.to_string());
                }
            })
            .await?;
        rows.iter().map(|row| seen(row).ok_or_else(garbled)).collect()
    }
}

#[async_trait]
impl Queue for RedisQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            // As far as Redis is told to keep what it has; what it loses comes again from the outbox.
            durable: true,
            transactional: false,
            priority: true,
            locks: true,
            unique_keys: true,
            cancel: true,
            pause: true,
        }
    }

    async fn push(&self, new: Vec<NewJob>) -> Result<Vec<JobId>, QueueError> {
        super::refuse_large_payloads(&new)?;
        let mut bodies = vec![];
        for job in &new {
            let (name, correlation_id) = (job.name.clone(), job.correlation_id.clone());
            let body = Body { name, payload: &job.payload, correlation_id };
            bodies.push(serde_json::to_string(&body).map_err(unavailable)?);
        }
        let rows = self
            .run(&self.scripts.push, |call| {
                call.arg(self.now());
                for (job, body) in new.iter().zip(bodies) {
                    call.arg(job.id.to_string())
                        .arg(&job.queue)
                        .arg(format!("{:03}", 100 - job.priority.clamp(-100, 100)))
                        .arg(written(job.run_at))
                        .arg(job.attempts)
                        .arg(job.max_attempts)
                        .arg(optional(job.lock.as_deref()))
                        .arg(optional(job.unique_key.as_deref()))
                        .arg(body);
                }
            })
            .await?;
        rows.iter().map(|row| row.first().and_then(|id| parse_id(id)).ok_or_else(garbled)).collect()
    }

    async fn fetch(
        &self,
        worker: &str,
        queues: &[String],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<LeasedJob>, QueueError> {
        let now = self.clock.now();
        let mut queues: Vec<&String> = queues.iter().collect();
        queues.sort_unstable();
        queues.dedup();
        let rows = self
            .run(&self.scripts.fetch, |call| {
                call.arg(written(now)).arg(written(now + lease)).arg(worker).arg(limit);
                call.arg(MAX_LOST_WORKERS).arg(LOST_WORKER);
                for queue in queues {
                    call.arg(queue);
                }
            })
            .await?;
        rows.into_iter().map(|row| leased(&row).ok_or_else(garbled)).collect()
    }

    async fn settle(&self, worker: &str, outcomes: Vec<(JobId, Outcome)>) -> Result<(), QueueError> {
        self.run(&self.scripts.settle, |call| {
            call.arg(self.now()).arg(worker);
            for (id, outcome) in &outcomes {
                let (word, at, error) = match outcome {
                    Outcome::Done => ("done", String::new(), ""),
                    Outcome::Cancelled => ("cancelled", String::new(), ""),
                    Outcome::Released => ("released", String::new(), ""),
                    Outcome::Dead { error } => ("dead", String::new(), error.as_str()),
                    Outcome::Retry { at, error } => ("retry", written(*at), error.as_str()),
                };
                call.arg(id.to_string()).arg(word).arg(at).arg(error);
            }
        })
        .await?;
        Ok(())
    }

    async fn renew(&self, worker: &str, beats: &[Beat], lease: Duration) -> Result<Vec<Held>, QueueError> {
        let until = written(self.clock.now() + lease);
        let rows = self
            .run(&self.scripts.renew, |call| {
                call.arg(until).arg(worker);
                for beat in beats {
                    let percent = beat.progress.as_ref().map(|progress| progress.percent.to_string());
                    let note = beat.progress.as_ref().and_then(|progress| progress.note.as_deref());
                    call.arg(beat.id.to_string()).arg(optional(percent.as_deref())).arg(optional(note));
                }
            })
            .await?;
        let held = |row: &Vec<String>| {
            let [id, cancel] = row.as_slice() else { return None };
            Some(Held { id: parse_id(id)?, cancel_asked: cancel == "+1" })
        };
        rows.iter().map(|row| held(row).ok_or_else(garbled)).collect()
    }

    async fn cancel(&self, job: JobId) -> Result<Cancel, QueueError> {
        let rows = self
            .run(&self.scripts.cancel, |call| {
                call.arg(self.now()).arg(job.to_string());
            })
            .await?;
        match rows.first().and_then(|row| row.first()).map(String::as_str) {
            Some("taken") => Ok(Cancel::Taken),
            Some("asked") => Ok(Cancel::Asked),
            Some("late") => Ok(Cancel::Late),
            _ => Err(garbled()),
        }
    }

    async fn pause(&self, queue: &str, paused: bool) -> Result<(), QueueError> {
        self.run(&self.scripts.pause, |call| {
            call.arg(queue).arg(u8::from(paused));
        })
        .await?;
        Ok(())
    }

    async fn notify(&self, _queues: &[String]) {
        self.bell.ring();
        if let Ok(mut connection) = self.pool.get().await {
            let channel = format!("{}bell", self.prefix);
            // Others look for themselves before long.
            let _ = redis::cmd("PUBLISH").arg(channel).arg("").query_async::<()>(&mut *connection).await;
        }
    }

    async fn wait(&self, _queues: &[String], at_most: Duration) {
        self.bell.wait(at_most.min(POLL)).await;
    }

    fn remote(&self) -> Option<&dyn Remote> {
        Some(self)
    }
}

#[async_trait]
impl Remote for RedisQueue {
    async fn ended(&self, limit: usize) -> Result<Vec<Ended>, QueueError> {
        let rows = self
            .run(&self.scripts.ended, |call| {
                call.arg(limit);
            })
            .await?;
        rows.iter().map(|row| ended(row).ok_or_else(garbled)).collect()
    }

    async fn forget(&self, ended: &[Ended]) -> Result<(), QueueError> {
        self.run(&self.scripts.forget, |call| {
            for ended in ended {
                call.arg(ended.id.to_string()).arg(&ended.mark);
            }
        })
        .await?;
        Ok(())
    }

    async fn inspect(&self, jobs: &[JobId]) -> Result<Vec<Seen>, QueueError> {
        self.about(&self.scripts.inspect, jobs).await
    }

    async fn take(&self, jobs: &[JobId]) -> Result<Vec<Seen>, QueueError> {
        self.about(&self.scripts.take, jobs).await
    }

    async fn running(&self) -> Result<Vec<(String, usize)>, QueueError> {
        let rows = self.run(&self.scripts.running, |_| {}).await?;
        let count = |row: &Vec<String>| {
            let [queue, count] = row.as_slice() else { return None };
            Some((queue.clone(), count.parse().ok()?))
        };
        rows.iter().map(|row| count(row).ok_or_else(garbled)).collect()
    }
}

/// Rings the bell at every notice, over a connection of its own that is made again when lost.
async fn listen(client: Client, channel: String, bell: Arc<Bell>) {
    let mut pause = Duration::from_millis(50);
    loop {
        if let Ok(mut notices) = client.get_async_pubsub().await
            && notices.subscribe(&channel).await.is_ok()
        {
            pause = Duration::from_millis(50);
            // Something may have come while nobody listened.
            bell.ring();
            let mut heard = notices.on_message();
            while heard.next().await.is_some() {
                bell.ring();
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// Of a fixed width, so that texts are in the order of times.
fn written(time: Time) -> String {
    format!("{:020}", time.timestamp_micros().max(0))
}

fn read(micros: &str) -> Option<Time> {
    DateTime::from_timestamp_micros(micros.parse().ok()?)
}

fn optional(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| format!("+{text}"))
}

fn given(field: &str) -> Option<&str> {
    field.strip_prefix('+')
}

fn parse_id(id: &str) -> Option<JobId> {
    id.parse::<uuid::Uuid>().ok().map(JobId::from)
}

fn leased(row: &[String]) -> Option<LeasedJob> {
    let [id, queue, attempt, max_attempts, lost_workers, body] = row else { return None };
    let body: Body<serde_json::Value> = serde_json::from_str(body).ok()?;
    Some(LeasedJob {
        id: parse_id(id)?,
        name: body.name,
        payload: body.payload,
        queue: queue.clone(),
        attempt: attempt.parse().ok()?,
        max_attempts: max_attempts.parse().ok()?,
        lost_workers: lost_workers.parse().ok()?,
        correlation_id: body.correlation_id,
    })
}

fn ended(row: &[String]) -> Option<Ended> {
    let [mark, id, state, error, attempts, started_at, at] = row else { return None };
    let end = match state.as_str() {
        "done" => End::Done,
        "cancelled" => End::Cancelled,
        _ => End::Dead { error: error.as_str().into() },
    };
    Some(Ended {
        id: parse_id(id)?,
        mark: mark.clone(),
        end,
        attempts: attempts.parse().ok()?,
        started_at: given(started_at).and_then(read),
        ended_at: read(at)?,
    })
}

fn seen(row: &[String]) -> Option<Seen> {
    let [id, is_ended, worker, attempts, run_at, started_at, error, cancel, percent, note] = row else {
        return None;
    };
    let state = match (given(is_ended), given(worker)) {
        (Some(_), _) => SeenState::Ended,
        (None, Some(worker)) => SeenState::Running { worker: worker.to_owned() },
        (None, None) => SeenState::Waiting,
    };
    let progress = given(percent).and_then(|percent| {
        Some(Progress { percent: percent.parse().ok()?, note: given(note).map(Into::into) })
    });
    Some(Seen {
        id: parse_id(id)?,
        state,
        attempts: attempts.parse().ok()?,
        run_at: read(run_at)?,
        started_at: given(started_at).and_then(read),
        error: given(error).map(str::to_owned),
        cancel_asked: given(cancel).is_some(),
        progress,
    })
}

fn garbled() -> QueueError {
    QueueError::Unavailable("Redis answers what the queue's scripts never say".into())
}

fn unavailable(e: impl Into<BoxError>) -> QueueError {
    QueueError::Unavailable(e.into())
}
