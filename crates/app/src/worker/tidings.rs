//! What a worker tells of its jobs while somebody may be watching: at most a message a second, and nobody waits for it.
//!
//! It goes over the bus, so it may be lost; what a job is like now is always in the queue.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tenon_core::{
    changes::Stream,
    ids::{JobId, UserId},
    ports::queue::{LeasedJob, Outcome, Progress},
};
use tokio::{task::JoinSet, time::Instant};

use crate::App;

/// Where administrators' processes hear of jobs.
pub const TOPIC: &str = "jobs";

/// Time between two messages.
const EVERY: Duration = Duration::from_secs(1);
/// How long a message may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// Jobs of which one message tells; of more, only their number.
const MOST: usize = 100;

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The job.
    pub id: JobId,
    /// What kind of job.
    pub name: String,
    /// Its queue.
    pub queue: String,
    /// Which attempt.
    pub attempt: i32,
    /// `running`, `done`, `retried`, `dead`, `released` or `cancelled`.
    pub state: String,
    /// How far it says it is, in percent.
    pub progress: Option<u8>,
    /// What it says it is at.
    pub progress_note: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

/// One message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The latest of each job.
    pub jobs: Vec<News>,
    /// How many more jobs there would have been to tell of.
    pub more: usize,
}

/// The bus' topic for the jobs of a person, beside the log of what they may see.
pub fn topic_of(owner: UserId) -> String {
    format!("jobs:{}", Stream::Person(owner))
}

pub(super) struct Tidings {
    app: Arc<App>,
    jobs: BTreeMap<JobId, News>,
    /// Whose jobs those are that somebody waits for.
    owners: BTreeMap<JobId, UserId>,
    more: usize,
    next: Instant,
    telling: JoinSet<()>,
}

impl Tidings {
    pub(super) fn new(app: Arc<App>) -> Self {
        let (jobs, owners, telling) = (BTreeMap::new(), BTreeMap::new(), JoinSet::new());
        Self { app, jobs, owners, more: 0, next: Instant::now(), telling }
    }

    pub(super) fn begins(&mut self, job: &LeasedJob) {
        if self.has_room_for(job.id) {
            self.jobs.insert(job.id, News::of(job));
        }
    }

    pub(super) fn is_at(&mut self, job: &LeasedJob, progress: &Progress, owner: Option<UserId>) {
        if self.has_room_for(job.id) {
            let news = self.jobs.entry(job.id).or_insert_with(|| News::of(job));
            news.progress = Some(progress.percent);
            news.progress_note = progress.note.as_ref().map(ToString::to_string);
            self.owners.extend(owner.map(|owner| (job.id, owner)));
        }
    }

    /// `owner` waits for a job that has told them how far it is.
    pub(super) fn ends(&mut self, job: &LeasedJob, outcome: &Outcome, owner: Option<UserId>) {
        if self.has_room_for(job.id) {
            let news = self.jobs.entry(job.id).or_insert_with(|| News::of(job));
            let (state, error) = match outcome {
                Outcome::Done => ("done", None),
                Outcome::Retry { error, .. } => ("retried", Some(error)),
                Outcome::Dead { error } => ("dead", Some(error)),
                Outcome::Released => ("released", None),
                Outcome::Cancelled => ("cancelled", None),
            };
            state.clone_into(&mut news.state);
            news.error = error.map(ToString::to_string);
            self.owners.extend(owner.map(|owner| (job.id, owner)));
        }
    }

    fn has_room_for(&mut self, id: JobId) -> bool {
        let has = self.jobs.len() < MOST || self.jobs.contains_key(&id);
        self.more += usize::from(!has);
        has
    }

    /// Returns when there is something to tell, and nothing is being told.
    pub(super) fn due(&mut self) -> impl Future<Output = ()> + use<> {
        while self.telling.try_join_next().is_some() {}
        let at = if self.telling.is_empty() { self.next } else { Instant::now() + PATIENCE };
        let at = (!self.jobs.is_empty()).then_some(at);
        async move {
            match at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Tells what there is.
    pub(super) fn tell(&mut self) {
        if !self.telling.is_empty() {
            return;
        }
        self.next = Instant::now() + EVERY;
        let owners = std::mem::take(&mut self.owners);
        let jobs: Vec<News> = std::mem::take(&mut self.jobs).into_values().collect();
        let message = Message { jobs, more: std::mem::take(&mut self.more) };
        let app = self.app.clone();
        self.telling.spawn(async move {
            for news in &message.jobs {
                if let Some(owner) = owners.get(&news.id) {
                    // What went wrong inside is for administrators.
                    publish(&app, &topic_of(*owner), &News { error: None, ..news.clone() }).await;
                }
            }
            publish(&app, TOPIC, &message).await;
        });
    }

    /// Tells the last of it.
    pub(super) async fn close(mut self) {
        while self.telling.join_next().await.is_some() {}
        if !self.jobs.is_empty() {
            self.tell();
            while self.telling.join_next().await.is_some() {}
        }
    }
}

impl News {
    fn of(job: &LeasedJob) -> Self {
        Self {
            id: job.id,
            name: job.name.clone(),
            queue: job.queue.clone(),
            attempt: job.attempt,
            state: "running".to_owned(),
            progress: None,
            progress_note: None,
            error: None,
        }
    }
}

/// Whoever watches looks for itself as well, so a bus that is away is no news.
async fn publish(app: &App, topic: &str, what: &impl Serialize) {
    let Ok(body) = serde_json::to_vec(what) else { return };
    let _ = tokio::time::timeout(PATIENCE, app.bus.publish(topic, body.into())).await;
}
