//! What a job says of its end may be anything; one that cannot be recorded keeps nobody else.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tenon_adapters::queue;
use tenon_app::{
    App, job_admin, relay,
    users::Operator::System,
    worker::{Worker, run_until_idle},
};
use tenon_core::{
    emails::Email,
    ids::JobId,
    jobs::{Letter, MailKind, QUEUES, SendMail},
    ports::queue::{Beat, Cancel, Capabilities, Held, LeasedJob, NewJob, Outcome, Queue, QueueError, Remote},
    users::Lang,
};
use tenon_testkit::TestDb;
use tokio_util::sync::CancellationToken;

use crate::{
    harness::{self, House, Mood},
    worker::eventually,
};

fn queues() -> Vec<String> {
    QUEUES.map(str::to_owned).to_vec()
}

fn mail(app: &App) -> NewJob {
    let to = Email::parse("ada@example.org").unwrap();
    let send = SendMail::Whole(Letter { to, name: None, lang: Lang::En, mail: MailKind::SignUpAttempted });
    tenon_app::write::new_job(app.id(), &send, app.now(), None).unwrap()
}

/// An application whose queue is in its database.
async fn in_database(house: &House) -> Arc<App> {
    let config = queue::Config::Postgres {};
    let queue = queue::connect(&config, house.db.db(), Arc::new(house.clock.clone())).await.unwrap();
    harness::app(&house.db, &house.clock, queue, house.post.clone()).await
}

#[tokio::test]
async fn a_mail_server_that_answers_with_a_nul_makes_a_dead_job_with_a_plain_error() {
    let house = House::new().await;
    let app = in_database(&house).await;
    house.post.becomes(Mood::Garbles);
    let job = mail(&app);
    app.queue.push(vec![job.clone()]).await.unwrap();
    run_until_idle(&app, &queues()).await.unwrap();
    let row = job_admin::get(&app, System, job.id).await.unwrap();
    assert_eq!((row.state.as_str(), row.worker), ("dead", None));
    assert_eq!(row.error.as_deref(), Some("the mail was refused: 550 no such user"));
    house.post.becomes(Mood::Takes);
    job_admin::retry(&app, System, job.id).await.unwrap();
    run_until_idle(&app, &queues()).await.unwrap();
    assert_eq!(house.post.sent().len(), 1, "and it can be retried");
}

#[tokio::test]
async fn an_outcome_that_cannot_be_recorded_makes_its_job_dead_and_settles_the_others() {
    let house = House::new().await;
    let odd = mail(&house.app);
    let queue: Arc<dyn Queue> = Arc::new(Picky { inner: house.queue.clone(), odd: odd.id });
    let app = harness::app(&house.db, &house.clock, queue.clone(), house.post.clone()).await;
    let mut jobs: Vec<NewJob> = (0..6).map(|_| mail(&app)).collect();
    jobs.insert(3, odd.clone());
    enqueue(&app, &jobs).await;
    relay::forward_all(&app).await.unwrap();
    let worker = Worker {
        app: app.clone(),
        name: "w".to_owned(),
        queues: queues(),
        concurrency: 10,
        prefetch: 0,
        lease: Duration::from_secs(30),
        grace: Duration::from_secs(20),
    };
    let shutdown = CancellationToken::new();
    let remote = queue.remote().unwrap();
    let ended = async || remote.running().await.unwrap().is_empty() && house.post.sent().len() == 7;
    let test = async {
        eventually("all have ended", ended).await;
        shutdown.cancel();
    };
    tokio::join!(worker.run(shutdown.clone()), test);
    let dead = job_admin::get(&app, System, odd.id).await.unwrap();
    assert_eq!(dead.state, "dead");
    assert_eq!(dead.error.as_deref(), Some("The job ended, and how it ended could not be recorded."));
    for job in jobs.iter().filter(|job| job.id != odd.id) {
        assert_eq!(job_admin::get(&app, System, job.id).await.unwrap().state, "done");
    }
}

#[tokio::test]
async fn a_value_that_the_database_refuses_is_told_from_a_database_that_is_away() {
    let house = House::new().await;
    let app = in_database(&house).await;
    let (odd, other) = (mail(&app), mail(&app));
    app.queue.push(vec![odd.clone(), other.clone()]).await.unwrap();
    app.queue.fetch("w", &queues(), 2, Duration::from_secs(30)).await.unwrap();
    refuse_errors(&house.db).await;
    let dead = Outcome::Dead { error: "no such user".into() };
    let settled = app.queue.settle("w", vec![(odd.id, dead), (other.id, Outcome::Cancelled)]).await;
    assert!(matches!(settled, Err(QueueError::Refused(_))), "{settled:?}");
    let row = job_admin::get(&app, System, other.id).await.unwrap();
    assert_eq!(row.state, "running", "nothing of a refused batch is taken");
}

#[tokio::test]
async fn an_end_that_cannot_be_written_down_is_history_with_a_plain_error() {
    let house = House::new().await;
    let refused = mail(&house.app);
    let others: Vec<NewJob> = (0..3).map(|_| mail(&house.app)).collect();
    house.post.becomes(Mood::Refuses);
    enqueue(&house.app, std::slice::from_ref(&refused)).await;
    run_until_idle(&house.app, &queues()).await.unwrap();
    house.post.becomes(Mood::Takes);
    enqueue(&house.app, &others).await;
    refuse_errors(&house.db).await;
    run_until_idle(&house.app, &queues()).await.unwrap();
    assert_eq!(relay::collect_ended(&house.app).await.unwrap(), 4);
    let row = job_admin::get(&house.app, System, refused.id).await.unwrap();
    assert_eq!(row.state, "dead");
    assert!(row.error.unwrap().contains("could not be recorded"));
    for other in others {
        assert_eq!(job_admin::get(&house.app, System, other.id).await.unwrap().state, "done");
    }
}

async fn enqueue(app: &App, jobs: &[NewJob]) {
    let insert = async |tx: &mut tenon_app::Tx<'_>| Ok(tenon_db::jobs::insert_outbox(tx.conn(), jobs).await?);
    app.write(&[], "test", insert).await.unwrap();
}

/// From now on the database keeps no history whose error speaks of a user.
async fn refuse_errors(db: &TestDb) {
    use diesel_async::SimpleAsyncConnection as _;
    let mut conn = db.db().conn().await.unwrap();
    conn.batch_execute("ALTER TABLE finished_jobs ADD CHECK (error NOT LIKE '%user%')").await.unwrap();
}

/// A queue that records nothing of one job but a plain text.
struct Picky {
    inner: Arc<dyn Queue>,
    odd: JobId,
}

#[async_trait]
impl Queue for Picky {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn push(&self, jobs: Vec<NewJob>) -> Result<Vec<JobId>, QueueError> {
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
        let is_plain = |outcome: &Outcome| matches!(outcome, Outcome::Dead { .. });
        if outcomes.iter().any(|(id, outcome)| *id == self.odd && !is_plain(outcome)) {
            return Err(QueueError::Refused("no such word".into()));
        }
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
