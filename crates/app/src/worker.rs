//! Workers: take jobs from the queue, run several at once, say how each ended.
//!
//! A worker outlives everything around it: while the queue is away it keeps what it could not settle
//! and tries again. A job whose lease it lost is another worker's, so it is stopped here.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tenon_core::{
    Error, Result,
    ids::JobId,
    ports::queue::{LeasedJob, Outcome, QueueError},
};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{App, jobs, relay};

/// Longest time between two looks at a queue that stays silent.
const POLL: Duration = Duration::from_secs(2);
/// Longest time between two tries while the queue is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A worker before it runs.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The application.
    pub app: Arc<App>,
    /// Unique among all workers of the queue at any time.
    pub name: String,
    /// The queues it takes from.
    pub queues: Vec<String>,
    /// Most jobs at once.
    pub concurrency: usize,
    /// How long a job stays with a worker that has gone silent.
    pub lease: Duration,
    /// How long running jobs may take to end after a shutdown began.
    pub grace: Duration,
}

impl Worker {
    /// Works until `shutdown`; then takes no more, lets what runs end within the grace, and hands the rest back.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut heartbeat = interval(self.lease / 3);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut hands = Hands::default();
        let mut pause = Pause::default();
        while !shutdown.is_cancelled() {
            let taken = self.exchange(&mut hands, &mut pause).await;
            if taken > 0 && hands.free(self.concurrency) > 0 {
                // There may be more; those that ended already are settled on the way.
                hands.collect();
                continue;
            }
            let idle = hands.free(self.concurrency) > 0 && !pause.is_on();
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = hands.one_ends() => {}
                _ = heartbeat.tick() => self.renew(&mut hands).await,
                () = self.app.queue.wait(&self.queues, POLL), if idle => {}
                () = pause.over(), if pause.is_on() => {}
            }
        }
        self.wind_up(hands, heartbeat).await;
    }

    /// Settles what ended and takes new jobs, at the same time; answers how many were taken.
    async fn exchange(&self, hands: &mut Hands, pause: &mut Pause) -> usize {
        if pause.is_on() {
            return 0;
        }
        let ended = std::mem::take(&mut hands.ended);
        let free = self.concurrency.saturating_sub(hands.running.len());
        let settle = async {
            if ended.is_empty() { Ok(()) } else { self.app.queue.settle(&self.name, ended.clone()).await }
        };
        let fetch = async {
            if free == 0 {
                return Ok(vec![]);
            }
            self.app.queue.fetch(&self.name, &self.queues, free, self.lease).await
        };
        let (settled, fetched) = tokio::join!(settle, fetch);
        if settled.is_err() {
            hands.ended.extend(ended);
        }
        pause.after(settled.as_ref().err().or(fetched.as_ref().err()));
        let jobs = fetched.unwrap_or_default();
        let taken = jobs.len();
        for job in jobs {
            hands.take(&self.app, job);
        }
        taken
    }

    /// Extends the leases, and lets go of what another worker may have by now.
    async fn renew(&self, hands: &mut Hands) {
        let held: Vec<JobId> = hands.held();
        if held.is_empty() {
            return;
        }
        match self.app.queue.renew(&self.name, &held, self.lease).await {
            Ok(still) => {
                for id in held.into_iter().filter(|id| !still.contains(id)) {
                    tracing::warn!(job.id = %id, "The lease of a job was lost; it is stopped here.");
                    hands.let_go(id);
                }
            }
            Err(error) => tracing::warn!(%error, "Leases could not be renewed; trying again."),
        }
    }

    async fn wind_up(&self, mut hands: Hands, mut heartbeat: tokio::time::Interval) {
        let deadline = tokio::time::sleep(self.grace);
        tokio::pin!(deadline);
        while !hands.running.is_empty() {
            tokio::select! {
                () = &mut deadline => break,
                () = hands.one_ends() => {}
                _ = heartbeat.tick() => self.renew(&mut hands).await,
            }
        }
        let released = hands.release_all();
        if released > 0 {
            tracing::warn!(jobs = released, "The grace is over; jobs still running are handed back.");
        }
        if hands.ended.is_empty() {
            return;
        }
        if let Err(error) = self.app.queue.settle(&self.name, hands.ended).await {
            tracing::warn!(%error, "The last jobs could not be settled; they come back when their lease ends.");
        }
    }
}

/// What a worker holds.
#[derive(Default)]
struct Hands {
    tasks: JoinSet<(JobId, Outcome)>,
    running: HashMap<JobId, AbortHandle>,
    ended: Vec<(JobId, Outcome)>,
}

impl Hands {
    /// How many more jobs fit, counting those that ended as settled.
    fn free(&self, concurrency: usize) -> usize {
        concurrency.saturating_sub(self.running.len())
    }

    fn take(&mut self, app: &Arc<App>, job: LeasedJob) {
        let (app, id) = (app.clone(), job.id);
        let task = self.tasks.spawn(async move { (job.id, jobs::run(&app, &job).await) });
        self.running.insert(id, task);
    }

    /// Waits until a job ends, for ever when none runs, and collects all that have.
    async fn one_ends(&mut self) {
        match self.tasks.join_next().await {
            Some(ended) => self.note(ended),
            None => std::future::pending().await,
        }
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            self.note(ended);
        }
    }

    /// A task that was aborted has lost its lease; there is nothing to settle.
    fn note(&mut self, ended: std::result::Result<(JobId, Outcome), tokio::task::JoinError>) {
        if let Ok((id, outcome)) = ended
            && self.running.remove(&id).is_some()
        {
            self.ended.push((id, outcome));
        }
    }

    /// Everything leased: what runs, and what ended but could not be settled yet.
    fn held(&self) -> Vec<JobId> {
        self.running.keys().copied().chain(self.ended.iter().map(|(id, _)| *id)).collect()
    }

    fn let_go(&mut self, id: JobId) {
        if let Some(job) = self.running.remove(&id) {
            job.abort();
        }
        self.ended.retain(|(ended, _)| *ended != id);
    }

    fn release_all(&mut self) -> usize {
        self.collect();
        self.tasks.abort_all();
        let released = self.running.len();
        self.ended.extend(self.running.drain().map(|(id, _)| (id, Outcome::Released)));
        released
    }
}

/// The pause between tries while the queue is away.
#[derive(Default)]
struct Pause {
    length: Duration,
    until: Option<Instant>,
}

impl Pause {
    fn is_on(&self) -> bool {
        self.until.is_some_and(|until| until > Instant::now())
    }

    async fn over(&self) {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Ends the pause after a success, begins a longer one after a failure. Says so once.
    fn after(&mut self, failure: Option<&QueueError>) {
        let Some(error) = failure else {
            if self.until.take().is_some() {
                tracing::info!("The queue is back.");
            }
            self.length = Duration::ZERO;
            return;
        };
        if self.until.is_none() {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "The queue is away; jobs wait until it is back."
            );
        }
        self.length = (self.length * 2).clamp(Duration::from_millis(250), LONGEST_PAUSE);
        self.until = Some(Instant::now() + self.length);
    }
}

/// A job that [`run_until_idle`] ran.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// The job.
    pub job: LeasedJob,
    /// How it ended for now.
    pub outcome: Outcome,
}

/// Runs everything that is ready, one after another, and what becomes ready through it; answers how each ended.
pub async fn run_until_idle(app: &App, queues: &[String]) -> Result<Vec<Ran>> {
    const WORKER: &str = "until-idle";
    let away = |e: QueueError| Error::Unavailable { component: "queue", source: Box::new(e) };
    let mut ran = vec![];
    loop {
        relay::forward_all(app).await?;
        let jobs = app.queue.fetch(WORKER, queues, 16, Duration::from_mins(10)).await.map_err(away)?;
        if jobs.is_empty() {
            return Ok(ran);
        }
        for job in jobs {
            let outcome = jobs::run(app, &job).await;
            app.queue.settle(WORKER, vec![(job.id, outcome.clone())]).await.map_err(away)?;
            ran.push(Ran { job, outcome });
        }
    }
}
