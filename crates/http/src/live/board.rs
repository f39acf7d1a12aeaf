//! Jobs as they happen, for administrators: how queues fare, and what became of jobs.
//!
//! One look a second at the figures, and only while somebody watches; jobs are heard of over the bus, so of one now and
//! then nothing may be heard. Rights are asked each time there is something to say.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use serde_json::{Value, json};
use tenon_app::{
    App,
    job_admin::{self, QueueFigures},
    users::Operator,
    worker::tidings,
};
use tenon_core::{Error, callers::Caller, ids::JobId, tokens::Scope};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    frames,
    mailbox::{Letters, Mailbox, mailbox},
    outbox::Outbox,
};
use crate::api::QueueView;

/// What administrators subscribe to.
pub(super) const STREAM: &str = "jobs";

/// Shortest time between two frames.
const EVERY: Duration = Duration::from_secs(1);
/// A look at the figures takes at most one part in so many of the time.
const SHARE: u32 = 20;
/// Jobs in a frame; of more, only their number.
const MOST: usize = 200;

/// Where sockets and the bus find the board.
pub(super) struct Board(Mailbox<Message>);

enum Message {
    Join(Box<Viewer>),
    Leave(u64),
    News(tidings::Message),
}

/// A socket that wants to watch.
pub(super) struct Viewer {
    pub(super) socket: u64,
    pub(super) caller: Caller,
    pub(super) outbox: Outbox,
    /// The request's id.
    pub(super) id: i64,
}

impl Board {
    pub(super) fn start(app: Arc<App>, tasks: &TaskTracker, shutdown: CancellationToken) -> Self {
        let (sender, mailbox) = mailbox();
        let keeper = Keeper {
            app,
            mailbox,
            viewers: HashMap::new(),
            next: Instant::now(),
            queues: BTreeMap::new(),
            jobs: BTreeMap::new(),
            more: 0,
        };
        tasks.spawn(shutdown.run_until_cancelled_owned(keeper.run()));
        Self(sender)
    }

    // The keeper is there for as long as the process.
    pub(super) fn join(&self, viewer: Viewer) {
        self.0.send(Message::Join(Box::new(viewer))).ok();
    }

    pub(super) fn leave(&self, socket: u64) {
        self.0.send(Message::Leave(socket)).ok();
    }

    /// What a worker told.
    pub(super) fn hear(&self, body: &Bytes) {
        if let Ok(message) = serde_json::from_slice(body) {
            self.0.offer(Message::News(message), body.len());
        }
    }
}

struct Keeper {
    app: Arc<App>,
    mailbox: Letters<Message>,
    viewers: HashMap<u64, Viewer>,
    /// When there is to be a frame again.
    next: Instant,
    /// The figures as they were last told.
    queues: BTreeMap<String, Value>,
    /// What became of jobs since.
    jobs: BTreeMap<JobId, tidings::News>,
    more: usize,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            tokio::select! {
                message = self.mailbox.recv() => match message {
                    Some(Message::Join(viewer)) => self.join(*viewer).await,
                    Some(Message::Leave(socket)) => drop(self.viewers.remove(&socket)),
                    Some(Message::News(message)) => self.note(message),
                    None => return,
                },
                () = tokio::time::sleep_until(self.next), if !self.viewers.is_empty() => self.look().await,
            }
        }
    }

    async fn join(&mut self, viewer: Viewer) {
        if let Err(error) = may_watch(&self.app, &viewer.caller).await {
            return viewer.outbox.refuse(Some(viewer.id), &error);
        }
        if self.viewers.is_empty() {
            self.jobs.clear();
            self.more = 0;
        }
        viewer.outbox.send(&json!({ "op": "subscribed", "id": viewer.id, "stream": STREAM }));
        let queues = job_admin::watch(&self.app).await.unwrap_or_default();
        let all: Vec<QueueView> = queues.into_iter().map(QueueView::from).collect();
        viewer.outbox.send(&json!({ "op": "jobs", "queues": all, "jobs": [], "more": 0 }));
        self.viewers.insert(viewer.socket, viewer);
    }

    fn note(&mut self, message: tidings::Message) {
        if self.viewers.is_empty() {
            return;
        }
        self.more += message.more;
        for news in message.jobs {
            if self.jobs.len() < MOST || self.jobs.contains_key(&news.id) {
                self.jobs.insert(news.id, news);
            } else {
                self.more += 1;
            }
        }
    }

    /// Tells everybody what changed.
    async fn look(&mut self) {
        let began = Instant::now();
        match job_admin::watch(&self.app).await {
            Ok(figures) => self.tell(figures).await,
            Err(error) => {
                tracing::warn!(%error, "the figures of queues could not be read for those who watch");
            }
        }
        self.next = Instant::now() + (began.elapsed() * SHARE).max(EVERY);
    }

    async fn tell(&mut self, figures: Vec<QueueFigures>) {
        let queues = self.changed(figures);
        let jobs: Vec<tidings::News> = std::mem::take(&mut self.jobs).into_values().collect();
        let more = std::mem::take(&mut self.more);
        if queues.is_empty() && jobs.is_empty() && more == 0 {
            return;
        }
        let frame: Arc<str> =
            json!({ "op": "jobs", "queues": queues, "jobs": jobs, "more": more }).to_string().into();
        let mut gone = vec![];
        for viewer in self.viewers.values() {
            match may_watch(&self.app, &viewer.caller).await {
                Ok(()) => viewer.outbox.send_text(Arc::clone(&frame)),
                // Also when the database cannot tell, as on any stream.
                Err(_) => gone.push(viewer.socket),
            }
        }
        for viewer in gone.into_iter().filter_map(|socket| self.viewers.remove(&socket)) {
            viewer.outbox.send(&frames::revoked(STREAM));
        }
    }

    /// The queues that are not as they were last told; one that has no job any more as an empty one.
    fn changed(&mut self, figures: Vec<QueueFigures>) -> Vec<Value> {
        let now: BTreeMap<String, Value> =
            figures.into_iter().map(|queue| (queue.queue.clone(), view(queue))).collect();
        let before = std::mem::replace(&mut self.queues, now);
        let empty = |queue: &String| view(QueueFigures { queue: queue.clone(), ..QueueFigures::default() });
        let ended = before.keys().filter(|queue| !self.queues.contains_key(*queue)).map(empty);
        let changed = self.queues.iter().filter(|(queue, figures)| before.get(*queue) != Some(figures));
        changed.map(|(_, figures)| figures.clone()).chain(ended).collect()
    }
}

fn view(queue: QueueFigures) -> Value {
    serde_json::to_value(QueueView::from(queue)).unwrap_or_default()
}

async fn may_watch(app: &App, caller: &Caller) -> Result<(), Error> {
    let caller = Caller { needs: Scope::Admin, ..caller.clone() };
    job_admin::may_watch(app, Operator::Caller(&caller)).await
}
