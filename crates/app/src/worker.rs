//! Workers: take jobs from the queue, run several at once, say how each ended.
//!
//! A worker outlives everything around it: while the queue is away it keeps what it could not settle
//! and tries again. A job whose lease it lost is another worker's, so it is stopped here.
//!
//! Settling and taking go on while jobs run: what ends meanwhile is settled with the next exchange, so that the
//! shorter the jobs are, the more go into one statement, and a lone one never waits for company.

mod hands;
mod pause;
mod settling;
pub mod tidings;

use std::{future::pending, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt, OptionFuture};
use tenon_core::{
    Error, Result,
    ids::JobId,
    ports::queue::{Beat, Held, LeasedJob, Outcome, QueueError},
};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub(crate) use self::settling::UNRECORDED;
use self::{hands::Hands, pause::Pause};
use crate::{
    App,
    jobs::{self, Control},
    relay,
};

/// Longest time between two looks at a queue that stays silent.
const POLL: Duration = Duration::from_secs(2);
/// Longest time until a running job hears that its end is asked for.
const LONGEST_BEAT: Duration = Duration::from_secs(5);
/// Progress is passed on at most this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

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
    /// Most jobs taken ahead, while jobs are so short that taking them would be the longer part.
    pub prefetch: usize,
    /// How long a job stays with a worker that has gone silent.
    pub lease: Duration,
    /// How long running jobs may take to end after a shutdown began.
    pub grace: Duration,
}

/// What an exchange with the queue brought.
struct Exchanged {
    told: Vec<(JobId, Outcome)>,
    settled: std::result::Result<(), QueueError>,
    asked: usize,
    fetched: std::result::Result<Vec<LeasedJob>, QueueError>,
}

/// What a renewal brought.
struct Renewed {
    beats: Vec<JobId>,
    held: std::result::Result<Vec<Held>, QueueError>,
}

impl Worker {
    /// Works until `shutdown`, but takes no jobs during maintenance; then takes no more, lets what runs end within the grace, and hands the rest back.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut heartbeat = interval((self.lease / 3).min(LONGEST_BEAT));
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut hands = Hands::new(self.app.clone(), self.concurrency, self.prefetch);
        let mut pause = Pause::default();
        let mut exchange: Option<BoxFuture<'_, Exchanged>> = None;
        let mut renewal: Option<BoxFuture<'_, Renewed>> = None;
        // Nothing was there when last asked.
        let mut is_dry = false;
        // When to look again, whatever else happens meanwhile.
        let mut next_look = Instant::now();
        let mut next_report = Instant::now();
        while !shutdown.is_cancelled() {
            let rests = self.app.maintenance.is_on();
            if rests {
                hands.release_untouched();
            }
            let room = if rests { 0 } else { hands.room() };
            if exchange.is_none() && !pause.is_on() && (!hands.ended.is_empty() || (!is_dry && room > 0)) {
                exchange = Some(self.exchange(hands.take_ended(), room).boxed());
            }
            let is_idle = is_dry && room > 0 && !pause.is_on();
            let wait = next_look.saturating_duration_since(Instant::now());
            let said = hands.heard_at(next_report);
            let news = hands.tidings.due();
            tokio::select! {
                // Ended jobs make room first, so that an exchange tells of all of them.
                biased;
                () = shutdown.cancelled() => {}
                () = hands.one_ends() => {}
                exchanged = current(&mut exchange) => {
                    exchange = None;
                    if let Some(found_none) = Self::note(exchanged, &mut hands, &mut pause) {
                        (is_dry, next_look) = (found_none, Instant::now() + POLL);
                    }
                }
                renewed = current(&mut renewal) => {
                    renewal = None;
                    Self::note_renewal(renewed, &mut hands);
                }
                _ = heartbeat.tick(), if renewal.is_none() => {
                    hands.begin();
                    renewal = self.renewal(hands.beats(true));
                }
                () = said, if renewal.is_none() => {
                    next_report = Instant::now() + PROGRESS_EVERY;
                    renewal = self.renewal(hands.beats(false));
                }
                () = self.app.queue.wait(&self.queues, wait), if is_idle => is_dry = false,
                () = pause.over(), if pause.is_on() => is_dry = false,
                () = self.app.maintenance.turned(!rests) => is_dry = false,
                () = news => hands.tidings.tell(),
            }
        }
        // What is under way holds connections, and may have taken jobs that would lie until their lease ends.
        let (exchanged, renewed) = tokio::join!(OptionFuture::from(exchange), OptionFuture::from(renewal));
        if let Some(exchanged) = exchanged {
            Self::note(exchanged, &mut hands, &mut pause);
        }
        if let Some(renewed) = renewed {
            Self::note_renewal(renewed, &mut hands);
        }
        self.wind_up(hands, heartbeat).await;
        // A queue in memory goes with the process, and nobody would know what has ended.
        if let Err(error) = relay::collect_ended(&self.app).await {
            tracing::debug!(%error, "The last ends were not collected");
        }
    }

    /// Settles what ended and takes new jobs, at the same time.
    async fn exchange(&self, told: Vec<(JobId, Outcome)>, asked: usize) -> Exchanged {
        let settle = settling::settle(&*self.app.queue, &self.name, told.clone());
        let fetch = async {
            if asked == 0 {
                return Ok(vec![]);
            }
            self.app.queue.fetch(&self.name, &self.queues, asked, self.lease).await
        };
        let (settled, fetched) = tokio::join!(settle, fetch);
        Exchanged { told, settled, asked, fetched }
    }

    /// Takes in what an exchange brought; says whether the queue has no more for now, if it was asked.
    fn note(exchanged: Exchanged, hands: &mut Hands, pause: &mut Pause) -> Option<bool> {
        let Exchanged { told, settled, asked, fetched } = exchanged;
        pause.after(settled.as_ref().err().or(fetched.as_ref().err()));
        let jobs = fetched.unwrap_or_default();
        let is_dry = (asked > 0).then_some(jobs.is_empty());
        // What ended here may have been taken back and handed out again before the queue was told.
        let is_over = |id: JobId| {
            let ended = told.iter().find(|(ended, _)| *ended == id);
            ended.is_some_and(|(_, outcome)| settled.is_err() || outcome.is_final())
        };
        hands.take(jobs.into_iter().filter(|job| !is_over(job.id)));
        match settled {
            Ok(()) => hands.forget_told(),
            Err(_) => hands.keep(told),
        }
        is_dry
    }

    /// Extends the leases, passes on progress and hears of wishes; nothing to do when nothing is held.
    fn renewal(&self, beats: Vec<Beat>) -> Option<BoxFuture<'_, Renewed>> {
        if beats.is_empty() {
            return None;
        }
        let renew = async move {
            let held = match self.app.queue.renew(&self.name, &beats, self.lease).await {
                // The leases matter more than what a job says of its progress.
                Err(QueueError::Refused(error)) => {
                    tracing::warn!(
                        error = &*error as &dyn std::error::Error,
                        "The queue refuses the progress of a job."
                    );
                    let bare: Vec<Beat> = beats.iter().map(|beat| Beat { progress: None, ..*beat }).collect();
                    self.app.queue.renew(&self.name, &bare, self.lease).await
                }
                held => held,
            };
            Renewed { beats: beats.into_iter().map(|beat| beat.id).collect(), held }
        };
        Some(renew.boxed())
    }

    /// Passes on wishes, and lets go of what another worker may have by now.
    fn note_renewal(renewed: Renewed, hands: &mut Hands) {
        match renewed.held {
            Ok(held) => {
                for held in held.iter().filter(|held| held.cancel_asked) {
                    hands.cancel(held.id);
                }
                for id in renewed.beats.into_iter().filter(|id| !held.iter().any(|held| held.id == *id)) {
                    hands.let_go(id);
                }
            }
            Err(error) => tracing::warn!(%error, "Leases could not be renewed; trying again."),
        }
    }

    async fn wind_up(&self, mut hands: Hands, mut heartbeat: tokio::time::Interval) {
        let deadline = tokio::time::sleep(self.grace);
        tokio::pin!(deadline);
        // What has not begun is handed back at once.
        hands.release_untouched();
        while hands.is_running() {
            if !hands.ended.is_empty() {
                self.settle_last(&mut hands).await;
            }
            tokio::select! {
                () = &mut deadline => break,
                () = hands.one_ends() => {}
                _ = heartbeat.tick() => {
                    if let Some(renewal) = self.renewal(hands.beats(true)) {
                        Self::note_renewal(renewal.await, &mut hands);
                    }
                }
            }
        }
        let released = hands.release_all();
        if released > 0 {
            tracing::warn!(jobs = released, "The grace is over; jobs still running are handed back.");
        }
        if !hands.ended.is_empty() {
            self.settle_last(&mut hands).await;
        }
        hands.tidings.close().await;
    }

    async fn settle_last(&self, hands: &mut Hands) {
        let told = hands.take_ended();
        match settling::settle(&*self.app.queue, &self.name, told.clone()).await {
            Ok(()) => hands.forget_told(),
            Err(error) => {
                hands.keep(told);
                tracing::warn!(%error, "The last jobs could not be settled; they come back when their lease ends.");
            }
        }
    }
}

/// What is under way; never, when nothing is.
async fn current<T>(under_way: &mut Option<BoxFuture<'_, T>>) -> T {
    match under_way {
        Some(future) => future.await,
        None => pending().await,
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
            let outcome = jobs::run(app, &job, &Control::default()).await;
            settling::settle(&*app.queue, WORKER, vec![(job.id, outcome.clone())]).await.map_err(away)?;
            ran.push(Ran { job, outcome });
        }
    }
}
