//! What a write may say of the jobs it enqueues.

use std::{collections::BTreeSet, time::Duration};

use tenon_adapters::queue;
use tenon_app::{App, Tx, write::Options};
use tenon_core::{
    Result,
    emails::Email,
    ids::JobId,
    jobs::{Job, Letter, MailKind, SendMail},
    ports::queue::{LeasedJob, MAX_PAYLOAD_BYTES, Queue},
    users::Lang,
};
use tenon_db::jobs::admin::{self, Filter};

use crate::harness::House;

fn mail(name: &str) -> SendMail {
    let to = Email::parse("ada@example.org").unwrap();
    SendMail::Whole(Letter {
        to,
        name: Some(name.to_owned()),
        lang: Lang::En,
        mail: MailKind::SignUpAttempted,
    })
}

/// The house with its queue in the database.
async fn in_database() -> (House, std::sync::Arc<App>, std::sync::Arc<dyn Queue>) {
    let house = House::new().await;
    let clock = std::sync::Arc::new(house.clock.clone());
    let queue = queue::connect(&queue::Config::Postgres {}, house.db.db(), clock).await.unwrap();
    let app = crate::harness::app(&house.db, &house.clock, queue.clone(), house.post.clone()).await;
    (house, app, queue)
}

async fn write<T>(app: &App, work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
    app.write(&[], "request-1", work).await
}

async fn fetch(queue: &dyn Queue, of: &str) -> Vec<LeasedJob> {
    queue.fetch("w", &[of.to_owned()], 10, Duration::from_secs(30)).await.unwrap()
}

fn ids(jobs: &[LeasedJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

fn set(ids: impl IntoIterator<Item = JobId>) -> BTreeSet<JobId> {
    ids.into_iter().collect()
}

#[tokio::test]
async fn a_write_says_where_when_and_how_often_a_job_is_run() {
    let (house, app, queue) = in_database().await;
    let (late, low, high) = write(&app, async |tx| {
        let to = Options::default().queue("default").max_attempts(3);
        Ok((
            tx.enqueue_with(&mail("late"), &to.clone().priority(100).delay(Duration::from_secs(20)))?,
            tx.enqueue_with(&mail("low"), &to.clone().priority(-1))?,
            tx.enqueue_with(&mail("high"), &to.priority(50))?,
        ))
    })
    .await
    .unwrap();
    let jobs = fetch(&*queue, "default").await;
    assert_eq!(ids(&jobs), [high, low]);
    assert_eq!((jobs[0].max_attempts, jobs[0].correlation_id.as_deref()), (3, Some("request-1")));
    house.clock.advance(Duration::from_secs(20));
    assert_eq!(ids(&fetch(&*queue, "default").await), [late]);
    assert!(fetch(&*queue, SendMail::QUEUE).await.is_empty(), "none went where its kind says");
}

#[tokio::test]
async fn a_lock_and_a_unique_key_hold_across_writes() {
    let (_house, app, queue) = in_database().await;
    let locked = Options::default().lock("story-1");
    let keyed = Options::default().unique_key("digest-1");
    let first = write(&app, async |tx| tx.enqueue_with(&mail("a"), &locked)).await.unwrap();
    let second = write(&app, async |tx| tx.enqueue_with(&mail("b"), &locked)).await.unwrap();
    let once = write(&app, async |tx| tx.enqueue_with(&mail("c"), &keyed)).await.unwrap();
    write(&app, async |tx| tx.enqueue_with(&mail("d"), &keyed)).await.unwrap();
    let taken = set(ids(&fetch(&*queue, "mail").await));
    assert_eq!(taken, set([first, once]), "the second waits, the fourth is not there");
    queue.settle("w", vec![(first, tenon_core::ports::queue::Outcome::Done)]).await.unwrap();
    assert_eq!(ids(&fetch(&*queue, "mail").await), [second]);
}

#[tokio::test]
async fn thousands_of_jobs_are_enqueued_in_one_statement_or_not_at_all() {
    let (house, app, _queue) = in_database().await;
    let mails: Vec<SendMail> = (0..3000).map(|n| mail(&n.to_string())).collect();
    house.db.statements();
    let ids = write(&app, async |tx| tx.enqueue_all(&mails, &Options::default())).await.unwrap();
    assert_eq!(ids.len(), 3000);
    let inserts = house.db.statements().into_iter().filter(|s| s.contains("INSERT INTO jobs")).count();
    assert_eq!(inserts, 1);
    let undone = write(&app, async |tx| {
        tx.enqueue_all(&mails, &Options::default())?;
        Err::<(), _>(tenon_core::Error::Unauthenticated)
    });
    undone.await.unwrap_err();
    let mut conn = app.read().await.unwrap();
    assert_eq!(admin::list(&mut conn, &Filter::default(), None, 10_000).await.unwrap().len(), 3000);
}

#[tokio::test]
async fn what_no_queue_would_take_is_refused_with_the_write() {
    let (_house, app, queue) = in_database().await;
    let refused = async |job: SendMail, options: Options| {
        let refused = write(&app, async |tx| {
            tx.enqueue(&mail("beside it"))?;
            tx.enqueue_with(&job, &options)
        });
        let error = refused.await.unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        cause.unwrap_or_else(|| error.to_string())
    };
    let large = mail(&"x".repeat(MAX_PAYLOAD_BYTES));
    let said = refused(large, Options::default()).await;
    assert!(said.contains("the payload of job send_mail has") && said.contains("262144 allowed"), "{said}");
    let said = refused(mail("x"), Options::default().priority(101)).await;
    assert!(said.contains("a priority is from -100 to 100, not 101"), "{said}");
    let said = refused(mail("x"), Options::default().max_attempts(0)).await;
    assert!(said.contains("at least once"), "{said}");
    for name in ["", "two words", "ü", "x'; DROP TABLE jobs; --", &"x".repeat(101)] {
        let said = refused(mail("x"), Options::default().queue(name)).await;
        assert!(said.contains("is no name of a queue"), "{said}");
    }
    assert!(fetch(&*queue, "mail").await.is_empty(), "nothing of those writes is there");
}
