//! Jobs in the application's own Postgres: enqueued in the caller's transaction, taken with `SKIP LOCKED`.
//!
//! A worker hears of new jobs by a bell within the process, by a notice from other processes, and by looking
//! every now and then: only the last of these is certain.

mod marks;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tenon_core::{
    Time,
    ids::JobId,
    ports::{
        clock::Clock,
        queue::{Beat, Cancel, Capabilities, Held, LeasedJob, NewJob, Outcome, Queue, QueueError, Remote},
    },
};
use tenon_db::{
    Db,
    jobs::{
        self, admin,
        notices::{self, Notices},
    },
};
use tokio::{sync::Notify, task::JoinSet, time::sleep};

use self::marks::MarksOfWorkers;
use super::bell::Bell;

/// The longest that a worker waits without looking: what a lost notice costs.
const POLL: Duration = Duration::from_secs(2);
/// Pushes within this time are announced to other processes by one notice.
const NOTICE_EVERY: Duration = Duration::from_millis(5);
/// How often leases that ran out are looked for.
const TAKE_BACK_EVERY: Duration = Duration::from_secs(3);

pub(super) struct PostgresQueue {
    db: Db,
    clock: Arc<dyn Clock>,
    bell: Arc<Bell>,
    /// A notice to other processes is due.
    notice_due: Arc<Notify>,
    /// How far each worker is.
    marks: MarksOfWorkers,
    /// When leases were last looked at, in microseconds.
    taken_back_at: AtomicI64,
    /// Sends and hears notices for as long as the queue is there.
    _notices: JoinSet<()>,
}

impl PostgresQueue {
    /// Must be called within a runtime: it listens in the background.
    pub(super) fn new(db: Db, clock: Arc<dyn Clock>) -> Self {
        let bell = Arc::new(Bell::default());
        // Tells our own notices from those of others.
        let instance = uuid::Uuid::now_v7().simple().to_string();
        let notice_due = Arc::new(Notify::new());
        let mut notices = JoinSet::new();
        notices.spawn(announce(db.clone(), Arc::clone(&notice_due), instance.clone()));
        notices.spawn(listen(db.clone(), bell.clone(), instance));
        Self {
            db,
            clock,
            bell,
            notice_due,
            marks: MarksOfWorkers::default(),
            taken_back_at: AtomicI64::new(i64::MIN),
            _notices: notices,
        }
    }

    async fn conn(&self) -> Result<tenon_db::PooledConnection, QueueError> {
        self.db.conn().await.map_err(unavailable)
    }

    /// Whether leases are due to be looked at, by whichever worker asks first.
    fn take_back_is_due(&self, now: Time) -> bool {
        let now = now.timestamp_micros();
        let every = i64::try_from(TAKE_BACK_EVERY.as_micros()).unwrap_or(i64::MAX);
        let due = |last: i64| (last.saturating_add(every) <= now).then_some(now);
        self.taken_back_at.try_update(Ordering::SeqCst, Ordering::SeqCst, due).is_ok()
    }
}

#[async_trait]
impl Queue for PostgresQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: true,
            transactional: true,
            priority: true,
            locks: true,
            unique_keys: true,
            cancel: true,
            pause: true,
        }
    }

    async fn push(&self, new: Vec<NewJob>) -> Result<Vec<JobId>, QueueError> {
        super::refuse_large_payloads(&new)?;
        let mut conn = self.conn().await?;
        let ids = jobs::insert_unknown(&mut conn, &new).await.map_err(unavailable)?;
        self.notify(&[]).await;
        Ok(ids)
    }

    async fn fetch(
        &self,
        worker: &str,
        queues: &[String],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<LeasedJob>, QueueError> {
        self.bell.looks();
        let now = self.clock.now();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut conn = self.conn().await?;
        if self.take_back_is_due(now)
            && jobs::take_back_expired(&mut conn, now).await.map_err(unavailable)? > 0
        {
            self.marks.forget();
        }
        let ask = jobs::Ask { worker, queues, limit, now, until: now + lease };
        let mut walk = self.marks.of(worker, queues);
        let mut taken = vec![];
        if walk.goes_on() {
            taken = jobs::fetch_past(&mut conn, ask, &mut walk.marks).await.map_err(unavailable)?;
        }
        if taken.is_empty() {
            taken = jobs::fetch(&mut conn, ask, &mut walk.marks).await.map_err(unavailable)?;
            walk.began_anew();
        }
        self.marks.keep(worker, queues, walk);
        Ok(taken)
    }

    async fn settle(&self, worker: &str, outcomes: Vec<(JobId, Outcome)>) -> Result<(), QueueError> {
        let now = self.clock.now();
        let mut conn = self.conn().await?;
        jobs::settle(&mut conn, worker, &outcomes, now).await.map_err(unavailable)?;
        let comes_back = |outcome: &Outcome| matches!(outcome, Outcome::Released | Outcome::Retry { .. });
        if outcomes.iter().any(|(_, outcome)| comes_back(outcome)) {
            self.marks.forget();
        }
        let ready = |outcome: &Outcome| match outcome {
            Outcome::Released => true,
            Outcome::Retry { at, .. } => *at <= now,
            Outcome::Done | Outcome::Dead { .. } | Outcome::Cancelled => false,
        };
        if outcomes.iter().any(|(_, outcome)| ready(outcome)) {
            self.notify(&[]).await;
        }
        Ok(())
    }

    async fn renew(&self, worker: &str, beats: &[Beat], lease: Duration) -> Result<Vec<Held>, QueueError> {
        let until = self.clock.now() + lease;
        let mut conn = self.conn().await?;
        jobs::renew(&mut conn, worker, beats, until).await.map_err(unavailable)
    }

    async fn cancel(&self, job: JobId) -> Result<Cancel, QueueError> {
        let mut conn = self.conn().await?;
        admin::cancel(&mut conn, job, self.clock.now()).await.map_err(unavailable)
    }

    async fn pause(&self, queue: &str, paused: bool) -> Result<(), QueueError> {
        let mut conn = self.conn().await?;
        admin::pause(&mut conn, queue, paused).await.map_err(unavailable)?;
        if !paused {
            self.notify(&[]).await;
        }
        Ok(())
    }

    async fn notify(&self, _queues: &[String]) {
        self.bell.ring();
        self.notice_due.notify_one();
    }

    async fn wait(&self, _queues: &[String], at_most: Duration) {
        self.bell.wait(at_most.min(POLL)).await;
    }

    fn remote(&self) -> Option<&dyn Remote> {
        None
    }
}

/// Sends the notices that are due. A push does not wait for it: others look for themselves before long.
async fn announce(db: Db, due: Arc<Notify>, instance: String) {
    loop {
        due.notified().await;
        if let Ok(mut conn) = db.conn().await {
            let _ = notices::send(&mut conn, &instance).await;
        }
        sleep(NOTICE_EVERY).await;
    }
}

/// Rings the bell at every notice of another process, over a connection of its own that is made again when lost.
async fn listen(db: Db, bell: Arc<Bell>, instance: String) {
    let mut pause = Duration::from_millis(100);
    loop {
        if let Ok(mut notices) = Notices::listen(&db).await {
            pause = Duration::from_millis(100);
            // Something may have come while nobody listened.
            bell.ring();
            while let Some(sender) = notices.next().await {
                if sender != instance {
                    bell.ring();
                }
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

fn unavailable(e: tenon_db::Error) -> QueueError {
    if e.is_about_values() { QueueError::Refused(e.into()) } else { QueueError::Unavailable(e.into()) }
}
