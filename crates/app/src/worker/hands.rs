//! What a worker holds: jobs that run, jobs taken ahead, jobs that ended and are not settled yet.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tenon_core::{
    ids::JobId,
    ports::queue::{Beat, LeasedJob, Outcome},
};
use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use super::tidings::Tidings;
use crate::{
    App,
    jobs::{self, Control},
};

/// As many jobs are taken ahead as are expected to end within this time.
const AHEAD: Duration = Duration::from_millis(50);
/// How long a suspect waits for the end of what runs here, before it runs beside that.
const ALONE_WITHIN: Duration = Duration::from_secs(30);

pub(super) struct Hands {
    app: Arc<App>,
    concurrency: usize,
    prefetch: usize,
    tasks: JoinSet<(JobId, Outcome)>,
    running: HashMap<JobId, Running>,
    /// Taken ahead.
    next: VecDeque<LeasedJob>,
    /// Those that workers may have died of. Each runs alone, with nothing else in hand that would be suspected, too, and
    /// at last be dead, for having been near.
    suspects: VecDeque<LeasedJob>,
    /// When the last of them came.
    suspected: Instant,
    pub(super) ended: Vec<(JobId, Outcome)>,
    /// Those that an exchange is telling the queue of.
    told: Vec<JobId>,
    /// What a job takes, the latest counting most; none before the first.
    takes: Option<Duration>,
    heard: Arc<Notify>,
    pub(super) tidings: Tidings,
}

struct Running {
    job: Arc<LeasedJob>,
    task: AbortHandle,
    control: Control,
    began: Instant,
}

impl Hands {
    pub(super) fn new(app: Arc<App>, concurrency: usize, prefetch: usize) -> Self {
        Self {
            tidings: Tidings::new(app.clone()),
            app,
            concurrency: concurrency.max(1),
            prefetch,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            next: VecDeque::new(),
            suspects: VecDeque::new(),
            suspected: Instant::now(),
            ended: vec![],
            told: vec![],
            takes: None,
            heard: Arc::default(),
        }
    }

    /// How many more jobs to take: none before a suspect is done with. Asked for in lots of at least a half, unless a
    /// hand is free.
    pub(super) fn room(&self) -> usize {
        if !self.suspects.is_empty() || self.running.values().any(|running| running.job.is_suspect()) {
            return 0;
        }
        let ahead = self.ahead();
        let room = (self.concurrency + ahead).saturating_sub(self.running.len() + self.next.len());
        let is_worth_it = self.running.len() < self.concurrency || room * 2 >= ahead.max(1);
        if is_worth_it { room } else { 0 }
    }

    /// How many jobs to hold besides those that run: none unless they are short.
    fn ahead(&self) -> usize {
        let Some(takes) = self.takes else { return 0 };
        let within = AHEAD.as_nanos() / takes.as_nanos().max(1);
        usize::try_from(within).unwrap_or(usize::MAX).saturating_mul(self.concurrency).min(self.prefetch)
    }

    /// Takes jobs. One that is here already had lost its lease, to nobody: it goes on, and is not begun again beside
    /// itself.
    pub(super) fn take(&mut self, jobs: impl Iterator<Item = LeasedJob>) {
        for job in jobs {
            let id = job.id;
            let is_here = self.running.contains_key(&id)
                || self.waiting().any(|waiting| waiting.id == id)
                || self.ended.iter().any(|(ended, _)| *ended == id);
            if is_here {
                continue;
            }
            if job.is_suspect() {
                self.suspects.push_back(job);
                self.suspected = Instant::now();
            } else {
                self.next.push_back(job);
            }
        }
        self.begin();
    }

    /// What has not begun.
    fn waiting(&self) -> impl Iterator<Item = &LeasedJob> {
        self.next.iter().chain(&self.suspects)
    }

    /// Begins what is next while a hand is free; a suspect when the queue has everything else back.
    pub(super) fn begin(&mut self) {
        while self.running.len() < self.concurrency
            && let Some(job) = self.next.pop_front()
        {
            self.run(job);
        }
        let is_alone = self.running.is_empty();
        let is_overdue = self.running.len() < self.concurrency && self.suspected.elapsed() > ALONE_WITHIN;
        if !(is_alone || is_overdue) {
            return;
        }
        self.ended
            .extend(self.suspects.drain(1.min(self.suspects.len())..).map(|job| (job.id, Outcome::Released)));
        if self.ended.is_empty()
            && self.told.is_empty()
            && let Some(job) = self.suspects.pop_front()
        {
            self.run(job);
        }
    }

    fn run(&mut self, job: LeasedJob) {
        let (app, id, job) = (self.app.clone(), job.id, Arc::new(job));
        self.tidings.begins(&job);
        let mine = job.clone();
        let control = Control::ringing(self.heard.clone());
        let line = control.clone();
        let task = self.tasks.spawn(async move { (id, jobs::run(&app, &mine, &line).await) });
        self.running.insert(id, Running { job, task, control, began: Instant::now() });
    }

    pub(super) fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Waits until a job ends, for ever when none runs, and collects all that have.
    pub(super) async fn one_ends(&mut self) {
        match self.tasks.join_next().await {
            Some(ended) => self.note(ended),
            None => std::future::pending().await,
        }
        self.collect();
        self.begin();
    }

    fn collect(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            self.note(ended);
        }
    }

    /// A task that was aborted has lost its lease; there is nothing to settle.
    fn note(&mut self, ended: std::result::Result<(JobId, Outcome), tokio::task::JoinError>) {
        if let Ok((id, outcome)) = ended
            && let Some(running) = self.running.remove(&id)
        {
            self.tidings.ends(&running.job, &outcome, running.control.owner_who_heard());
            let took = running.began.elapsed();
            self.takes = Some(self.takes.map_or(took, |before| (before * 7 + took) / 8));
            self.ended.push((id, outcome));
        }
    }

    /// What is to be settled; it stays held until the queue knows.
    pub(super) fn take_ended(&mut self) -> Vec<(JobId, Outcome)> {
        let told = std::mem::take(&mut self.ended);
        self.told = told.iter().map(|(id, _)| *id).collect();
        told
    }

    /// The queue knows.
    pub(super) fn forget_told(&mut self) {
        self.told.clear();
        self.begin();
    }

    /// The queue could not be told, so it will be again; but not of what was lost meanwhile.
    pub(super) fn keep(&mut self, told: Vec<(JobId, Outcome)>) {
        let still: Vec<JobId> = std::mem::take(&mut self.told);
        self.ended.extend(told.into_iter().filter(|(id, _)| still.contains(id)));
    }

    /// Signs of life: for everything leased, or only for what has something to say.
    pub(super) fn beats(&mut self, all: bool) -> Vec<Beat> {
        let tidings = &mut self.tidings;
        let running = self.running.iter().filter_map(|(id, running)| {
            let progress = running.control.take_progress();
            if let Some(progress) = &progress {
                tidings.is_at(&running.job, progress, running.control.owner_who_heard());
            }
            (all || progress.is_some()).then_some(Beat { id: *id, progress })
        });
        let ended = self.ended.iter().map(|(id, _)| *id);
        let silent = self.next.iter().chain(&self.suspects).map(|job| job.id).chain(ended).filter(|_| all);
        running.chain(silent.map(|id| Beat { id, progress: None })).collect()
    }

    /// Returns when a job has said something, but not before `time`.
    pub(super) fn heard_at(&self, time: Instant) -> impl Future<Output = ()> + use<> {
        let heard = self.heard.clone();
        async move {
            heard.notified().await;
            // Kept for the next call, should this one be dropped while it waits.
            heard.notify_one();
            tokio::time::sleep_until(time).await;
            heard.notified().await;
        }
    }

    /// Asks for the end of a job; one that has not begun never does.
    pub(super) fn cancel(&mut self, id: JobId) {
        if let Some(running) = self.running.get(&id) {
            running.control.cancel();
        } else if self.waiting().any(|job| job.id == id) {
            self.forget_waiting(id);
            self.ended.push((id, Outcome::Cancelled));
        }
    }

    /// It may be another worker's by now.
    pub(super) fn let_go(&mut self, id: JobId) {
        if let Some(running) = self.running.remove(&id) {
            tracing::warn!(job.id = %id, "The lease of a job was lost; it is stopped here.");
            running.task.abort();
        }
        self.forget_waiting(id);
        self.ended.retain(|(ended, _)| *ended != id);
        self.told.retain(|told| *told != id);
        self.begin();
    }

    fn forget_waiting(&mut self, id: JobId) {
        self.next.retain(|job| job.id != id);
        self.suspects.retain(|job| job.id != id);
    }

    /// Hands back what was taken ahead.
    pub(super) fn release_untouched(&mut self) {
        let untouched = self.next.drain(..).chain(self.suspects.drain(..));
        self.ended.extend(untouched.map(|job| (job.id, Outcome::Released)));
    }

    pub(super) fn release_all(&mut self) -> usize {
        self.collect();
        self.tasks.abort_all();
        let released = self.running.len();
        self.ended.extend(self.running.drain().map(|(id, _)| (id, Outcome::Released)));
        released
    }
}
