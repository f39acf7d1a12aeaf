//! The relay, at every point where it may die, and beside others.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::json;
use tenon_adapters::queue;
use tenon_app::{
    App,
    job_admin::{self, Filter, State},
    relay,
    users::Operator::System,
    worker::run_until_idle,
};
use tenon_core::{
    Error,
    emails::Email,
    ids::JobId,
    jobs::{Letter, MailKind, QUEUES, SendMail},
    page::Page,
    ports::queue::{Beat, Cancel, Capabilities, Held, LeasedJob, NewJob, Outcome, Queue, QueueError, Remote},
    users::Lang,
};
use tenon_db::jobs::{admin, outbox};
use tenon_testkit::services::redis::Server;
use tokio_util::sync::CancellationToken;

use crate::{
    harness::{self, House, Mood},
    worker::{eventually, worker},
};

fn queues() -> Vec<String> {
    QUEUES.map(str::to_owned).to_vec()
}

fn job(app: &App) -> NewJob {
    let to = Email::parse("ada@example.org").unwrap();
    let send = SendMail::Whole(Letter { to, name: None, lang: Lang::En, mail: MailKind::SignUpAttempted });
    tenon_app::write::new_job(app.id(), &send, app.now(), None).unwrap()
}

async fn enqueue(app: &App, jobs: &[NewJob]) {
    app.write(&[], "test", async |tx| Ok(outbox::insert(tx.conn(), jobs).await?)).await.unwrap();
}

async fn left(app: &App) -> Vec<outbox::Entry> {
    outbox::after(&mut app.read().await.unwrap(), 0, 10_000).await.unwrap()
}

async fn history(app: &App) -> Vec<(JobId, String, i32, Option<String>)> {
    let rows =
        admin::list(&mut app.read().await.unwrap(), &admin::Filter::default(), None, 100).await.unwrap();
    rows.into_iter().map(|row| (row.id.into(), row.state, row.attempts, row.error)).collect()
}

/// The word of a conflict.
pub(crate) fn code(error: &Error) -> &str {
    match error {
        Error::Conflict { code, .. } => code,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_process_that_dies_after_forwarding_loses_nothing_and_doubles_nothing() {
    let house = House::new().await;
    let jobs = [job(&house.app), job(&house.app)];
    enqueue(&house.app, &jobs).await;
    let died: tenon_core::Result<()> = house
        .app
        .write(&[], "relay", async |tx| {
            assert_eq!(relay::forward(&*house.queue, tx.conn()).await?, 2);
            Err(Error::Unauthenticated)
        })
        .await;
    assert!(died.is_err());
    assert!(left(&house.app).await.iter().all(|entry| !entry.is_forwarded));
    let ran = run_until_idle(&house.app, &queues()).await.unwrap();
    let ids: HashSet<JobId> = ran.iter().map(|ran| ran.job.id).collect();
    assert_eq!((ran.len(), ids), (2, HashSet::from(jobs.map(|job| job.id))));
    assert_eq!(house.post.sent().len(), 2);
}

#[tokio::test]
async fn a_job_stays_in_the_database_until_it_has_ended_and_is_history_then() {
    let house = House::new().await;
    let (sent, refused) = (job(&house.app), job(&house.app));
    enqueue(&house.app, std::slice::from_ref(&sent)).await;
    run_until_idle(&house.app, &queues()).await.unwrap();
    house.post.becomes(Mood::Refuses);
    enqueue(&house.app, std::slice::from_ref(&refused)).await;
    run_until_idle(&house.app, &queues()).await.unwrap();
    assert_eq!(left(&house.app).await.len(), 2, "nobody has told of the ends");
    assert_eq!(relay::collect_ended(&house.app).await.unwrap(), 2);
    assert_eq!(left(&house.app).await, []);
    let error = Some("the mail was refused: 550 no such user".to_owned());
    let mut expected = [(sent.id, "done".to_owned(), 1, None), (refused.id, "dead".to_owned(), 1, error)];
    expected.sort();
    assert_eq!(history(&house.app).await, expected);
    // As a schedule does that takes its tick twice.
    enqueue(&house.app, &[sent]).await;
    assert_eq!(left(&house.app).await, [], "what has ended is not begun again");
}

#[tokio::test]
async fn an_end_that_is_told_twice_changes_nothing() {
    let house = House::new().await;
    enqueue(&house.app, &[job(&house.app)]).await;
    run_until_idle(&house.app, &queues()).await.unwrap();
    let ended = house.queue.ended(10).await.unwrap();
    // A relay that dies before the queue has forgotten.
    house.app.write(&[], "relay", async |tx| Ok(outbox::end(tx.conn(), &ended).await?)).await.unwrap();
    assert_eq!(relay::collect_ended(&house.app).await.unwrap(), 1);
    assert_eq!(relay::collect_ended(&house.app).await.unwrap(), 0);
    assert_eq!(history(&house.app).await.len(), 1);
}

#[tokio::test]
async fn what_the_queue_lost_is_forwarded_again_and_nothing_else() {
    let house = House::new().await;
    let jobs: Vec<NewJob> = (0..1_201).map(|_| job(&house.app)).collect();
    enqueue(&house.app, &jobs).await;
    relay::forward_all(&house.app).await.unwrap();
    let mut looked_at = 0;
    assert_eq!(relay::look_after(&house.app, &mut looked_at).await.unwrap(), 0);
    // The first of all, and the last ones.
    let lost: Vec<JobId> = [0, 1_199, 1_200].map(|n: usize| jobs[n].id).to_vec();
    assert_eq!(house.queue.take(&lost).await.unwrap().len(), 3);
    let mut found = 0;
    for _ in 0..4 {
        found += relay::look_after(&house.app, &mut looked_at).await.unwrap();
    }
    assert_eq!(found, 3);
    assert_eq!(relay::forward_all(&house.app).await.unwrap(), 3);
    assert_eq!(house.queue.inspect(&lost).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_relays_forward_each_job_once_and_in_order() {
    let house = House::new().await;
    let spy = Arc::new(Spy::over(house.queue.clone()));
    let app = harness::app(&house.db, &house.clock, spy.clone(), house.post.clone()).await;
    let jobs: Vec<NewJob> = (0..1_700).map(|_| job(&app)).collect();
    let writing = async {
        for some in jobs.chunks(100) {
            enqueue(&app, some).await;
        }
    };
    let relaying = futures_util::future::join_all((0..4).map(|_| async {
        while spy.pushed.lock().unwrap().len() < jobs.len() {
            relay::forward_all(&app).await.unwrap();
        }
    }));
    tokio::join!(writing, relaying);
    let pushed = spy.pushed.lock().unwrap().clone();
    assert!(pushed.iter().eq(jobs.iter().map(|job| &job.id)), "in order, each once");
}

#[tokio::test]
async fn a_job_that_the_queue_refuses_holds_up_nobody_and_is_kept() {
    let house = House::new().await;
    let spy = Arc::new(Spy { refuses_locks: true, ..Spy::over(house.queue.clone()) });
    let app = harness::app(&house.db, &house.clock, spy.clone(), house.post.clone()).await;
    let locked = NewJob { lock: Some("l".to_owned()), ..job(&app) };
    enqueue(&app, &[job(&app), locked.clone(), job(&app)]).await;
    assert_eq!(run_until_idle(&app, &queues()).await.unwrap().len(), 2);
    assert_eq!(relay::forward_all(&app).await.unwrap(), 0, "it is not tried for ever");
    relay::collect_ended(&app).await.unwrap();
    let left = left(&app).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].job.id, locked.id);
    assert_eq!(left[0].refusal.as_deref(), Some("this queue does not support locks"));
}

#[tokio::test]
async fn a_job_that_is_one_with_another_leaves_the_outbox() {
    let house = House::new().await;
    let keyed = || NewJob { unique_key: Some("k".to_owned()), ..job(&house.app) };
    let (first, second) = (keyed(), keyed());
    enqueue(&house.app, &[first.clone(), second]).await;
    relay::forward_all(&house.app).await.unwrap();
    let left: Vec<JobId> = left(&house.app).await.iter().map(|entry| entry.job.id).collect();
    assert_eq!(left, [first.id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_redis_is_emptied_again_and_again() {
    let Some(server) = Server::start() else { return };
    let house = House::new().await;
    let config = serde_json::from_value(json!({"backend": "redis", "url": server.url()})).unwrap();
    let clock = Arc::new(house.clock.clone());
    let queue = queue::connect(&config, house.db.db(), clock).await.unwrap();
    let app = harness::app(&house.db, &house.clock, queue, house.post.clone()).await;
    let jobs: Vec<NewJob> = (0..60).map(|_| job(&app)).collect();
    let shutdown = CancellationToken::new();
    let test = async {
        for some in jobs.chunks(10) {
            enqueue(&app, some).await;
            relay::forward_all(&app).await.unwrap();
            assert_eq!(server.tell("FLUSHALL").unwrap(), "+OK");
        }
        let sent = || house.post.sent().iter().map(|mail| mail.message_id.clone()).collect::<HashSet<_>>();
        eventually("each is sent", async || sent().len() == jobs.len()).await;
        eventually("each is history", async || {
            relay::collect_ended(&app).await.unwrap();
            left(&app).await.is_empty()
        })
        .await;
        shutdown.cancel();
    };
    let working = tenon_app::worker::Worker { app: app.clone(), ..worker(&house, 4) };
    tokio::join!(relay::run(app.clone(), shutdown.clone()), working.run(shutdown.clone()), test);
    assert_eq!(history(&app).await.len(), jobs.len());
}

#[tokio::test]
async fn a_paused_queue_stays_paused_when_the_queue_forgets() {
    let house = House::new().await;
    let queue = job(&house.app).queue;
    job_admin::pause(&house.app, System, &queue, true).await.unwrap();
    house.queue.pause(&queue, false).await.unwrap();
    let shutdown = CancellationToken::new();
    let test = async {
        enqueue(&house.app, &[job(&house.app)]).await;
        eventually("it is forwarded", async || left(&house.app).await[0].is_forwarded).await;
        shutdown.cancel();
    };
    tokio::join!(relay::run(house.app.clone(), shutdown.clone()), test);
    assert_eq!(run_until_idle(&house.app, &queues()).await.unwrap(), []);
    job_admin::pause(&house.app, System, &queue, false).await.unwrap();
    assert_eq!(run_until_idle(&house.app, &queues()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn administrators_see_and_change_jobs_of_a_queue_elsewhere() {
    let house = House::new().await;
    let app = &house.app;
    let later = |hours| NewJob { run_at: app.now() + Duration::from_hours(hours), ..job(app) };
    let (hurried, cancelled, unsent) = (later(1), later(1), later(1));
    enqueue(app, &[hurried.clone(), cancelled.clone()]).await;
    relay::forward_all(app).await.unwrap();
    enqueue(app, std::slice::from_ref(&unsent)).await;
    let waiting = Filter { state: Some(State::Waiting), ..Filter::default() };
    let page = Page { limit: 10, after: None };
    assert_eq!(job_admin::list(app, System, &waiting, &page).await.unwrap().items.len(), 3);

    for id in [cancelled.id, unsent.id] {
        assert_eq!(job_admin::cancel(app, System, id).await.unwrap().state, "cancelled");
        let late = job_admin::cancel(app, System, id).await.unwrap_err();
        assert_eq!(code(&late), "job-ended");
    }
    house.post.becomes(Mood::Refuses);
    assert_eq!(run_until_idle(app, &queues()).await.unwrap(), []);
    job_admin::run_now(app, System, hurried.id).await.unwrap();
    let fetched = {
        relay::forward_all(app).await.unwrap();
        house.queue.fetch("w", &queues(), 10, Duration::from_secs(30)).await.unwrap()
    };
    assert_eq!(fetched.len(), 1);
    let running = job_admin::get(app, System, hurried.id).await.unwrap();
    assert_eq!(
        (running.state.as_str(), running.worker.as_deref(), running.attempts),
        ("running", Some("w"), 1)
    );
    let figures = job_admin::queues(app, System).await.unwrap();
    assert_eq!(figures[0].counts, job_admin::Counts { waiting: 0, running: 1, dead: 0 });
    let filter = Filter { state: Some(State::Running), ..Filter::default() };
    assert_eq!(job_admin::list(app, System, &filter, &page).await.unwrap().items.len(), 1);
    assert_eq!(job_admin::list(app, System, &waiting, &page).await.unwrap().items.len(), 0);
    let refused = job_admin::run_now(app, System, hurried.id).await.unwrap_err();
    assert_eq!(code(&refused), "job-not-waiting");

    let dead = Outcome::Dead { error: "broken".into() };
    house.queue.settle("w", vec![(hurried.id, dead)]).await.unwrap();
    relay::collect_ended(app).await.unwrap();
    house.post.becomes(Mood::Takes);
    let again = job_admin::retry(app, System, hurried.id).await.unwrap();
    assert_eq!((again.state.as_str(), again.attempts), ("waiting", 0));
    let ran = run_until_idle(app, &queues()).await.unwrap();
    assert_eq!((ran.len(), ran[0].job.payload.clone()), (1, hurried.payload));
    relay::collect_ended(app).await.unwrap();
    assert_eq!(job_admin::get(app, System, hurried.id).await.unwrap().state, "done");
}

#[tokio::test]
async fn a_dead_job_can_be_retried_though_its_end_is_still_told() {
    let house = House::new().await;
    house.post.becomes(Mood::Refuses);
    let refused = job(&house.app);
    enqueue(&house.app, std::slice::from_ref(&refused)).await;
    run_until_idle(&house.app, &queues()).await.unwrap();
    let ended = house.queue.ended(10).await.unwrap();
    // A relay that dies before the queue has forgotten.
    house.app.write(&[], "relay", async |tx| Ok(outbox::end(tx.conn(), &ended).await?)).await.unwrap();
    job_admin::retry(&house.app, System, refused.id).await.unwrap();
    relay::collect_ended(&house.app).await.unwrap();
    house.post.becomes(Mood::Takes);
    assert_eq!(run_until_idle(&house.app, &queues()).await.unwrap().len(), 1);
}

/// A queue that notes what it is given, and may refuse locks.
struct Spy {
    inner: Arc<dyn Queue>,
    pushed: Mutex<Vec<JobId>>,
    refuses_locks: bool,
}

impl Spy {
    fn over(inner: Arc<dyn Queue>) -> Self {
        Self { inner, pushed: Mutex::default(), refuses_locks: false }
    }
}

#[async_trait]
impl Queue for Spy {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn push(&self, jobs: Vec<NewJob>) -> Result<Vec<JobId>, QueueError> {
        if self.refuses_locks && jobs.iter().any(|job| job.lock.is_some()) {
            return Err(QueueError::Unsupported("locks"));
        }
        self.pushed.lock().unwrap().extend(jobs.iter().map(|job| job.id));
        self.inner.push(jobs).await
    }
    async fn fetch(
        &self,
        worker: &str,
        queues: &[String],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<LeasedJob>, QueueError> {
        self.inner.fetch(worker, queues, limit, lease).await
    }
    async fn settle(&self, worker: &str, outcomes: Vec<(JobId, Outcome)>) -> Result<(), QueueError> {
        self.inner.settle(worker, outcomes).await
    }
    async fn renew(&self, worker: &str, beats: &[Beat], lease: Duration) -> Result<Vec<Held>, QueueError> {
        self.inner.renew(worker, beats, lease).await
    }
    async fn cancel(&self, job: JobId) -> Result<Cancel, QueueError> {
        self.inner.cancel(job).await
    }
    async fn pause(&self, queue: &str, paused: bool) -> Result<(), QueueError> {
        self.inner.pause(queue, paused).await
    }
    async fn notify(&self, queues: &[String]) {
        self.inner.notify(queues).await;
    }
    async fn wait(&self, queues: &[String], at_most: Duration) {
        self.inner.wait(queues, at_most).await;
    }
    fn remote(&self) -> Option<&dyn Remote> {
        self.inner.remote()
    }
}
