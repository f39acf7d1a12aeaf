//! Jobs run, fail, come back and die.

use std::time::Duration;

use tenon_adapters::queue;
use tenon_app::{
    maintenance,
    worker::{Worker, run_until_idle},
};
use tenon_core::{
    emails::Email,
    jobs::{Job, Letter, MailKind, QUEUES, SendMail},
    ports::queue::{Cancel, NewJob, Outcome, Queue},
    users::Lang,
};
use tokio_util::sync::CancellationToken;

use crate::harness::{House, Mood};

fn queues() -> Vec<String> {
    QUEUES.map(str::to_owned).to_vec()
}

fn mail(house: &House, mail: MailKind) -> NewJob {
    let to = Email::parse("ada@example.org").unwrap();
    let send = SendMail::Whole(Letter { to, name: None, lang: Lang::En, mail });
    tenon_app::write::new_job(house.app.id(), &send, house.app.now(), Some("request-1".to_owned())).unwrap()
}

fn note(house: &House) -> NewJob {
    mail(house, MailKind::SignUpAttempted)
}

async fn outcomes(house: &House) -> Vec<Outcome> {
    let ran = run_until_idle(&house.app, &queues()).await.unwrap();
    ran.into_iter().map(|ran| ran.outcome).collect()
}

pub(crate) fn worker(house: &House, concurrency: usize) -> Worker {
    Worker {
        app: house.app.clone(),
        name: "test".to_owned(),
        queues: queues(),
        concurrency,
        prefetch: 0,
        lease: Duration::from_secs(30),
        grace: Duration::from_secs(20),
    }
}

/// Waits for `holds`, for at most ten seconds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_mail_is_sent_under_the_id_of_its_job() {
    let house = House::new().await;
    let job = note(&house);
    house.queue.push(vec![job.clone()]).await.unwrap();
    assert_eq!(outcomes(&house).await, [Outcome::Done]);
    let sent = house.post.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].message_id, format!("{}@localhost", job.id));
    assert!(sent[0].headers.contains(&("X-Correlation-ID".to_owned(), "request-1".to_owned())));
}

#[tokio::test]
async fn a_mail_whose_link_is_gone_is_not_sent() {
    let house = House::new().await;
    let link = house.app.id();
    let invitation = house.app.id();
    let jobs = vec![
        mail(&house, MailKind::VerifyEmail { link }),
        mail(
            &house,
            MailKind::WorkspaceInvitation {
                invitation,
                send: 1,
                workspace: "Engine room".to_owned(),
                inviter: "Charles".to_owned(),
            },
        ),
    ];
    house.queue.push(jobs).await.unwrap();
    assert_eq!(outcomes(&house).await, [Outcome::Done, Outcome::Done]);
    assert!(house.post.sent().is_empty());
}

#[tokio::test]
async fn a_mail_that_could_not_be_sent_is_sent_later() {
    let house = House::new().await;
    house.post.becomes(Mood::IsAway);
    house.queue.push(vec![note(&house)]).await.unwrap();
    let failed = outcomes(&house).await;
    let [Outcome::Retry { at, error }] = &failed[..] else { panic!("{failed:?}") };
    assert_eq!(error, "the mail could not be sent for now: connection refused");
    let pause = *at - house.app.now();
    assert!(pause >= chrono::Duration::milliseconds(750) && pause <= chrono::Duration::milliseconds(1250));

    house.post.becomes(Mood::Takes);
    assert!(outcomes(&house).await.is_empty(), "not before its time");
    house.clock.advance(Duration::from_secs(2));
    assert_eq!(outcomes(&house).await, [Outcome::Done]);
    assert_eq!(house.post.sent().len(), 1);
}

#[tokio::test]
async fn a_refused_mail_is_dead_at_once() {
    let house = House::new().await;
    house.post.becomes(Mood::Refuses);
    house.queue.push(vec![note(&house)]).await.unwrap();
    let error = "the mail was refused: 550 no such user".into();
    assert_eq!(outcomes(&house).await, [Outcome::Dead { error }]);
    assert_eq!(house.queue.dead().len(), 1);
}

#[tokio::test]
async fn a_job_that_never_succeeds_is_dead_with_its_last_error() {
    let house = House::new().await;
    house.post.becomes(Mood::IsAway);
    house.queue.push(vec![note(&house)]).await.unwrap();
    for attempt in 1..=SendMail::MAX_ATTEMPTS {
        let outcomes = outcomes(&house).await;
        let dies = attempt == SendMail::MAX_ATTEMPTS;
        assert_eq!(matches!(outcomes[..], [Outcome::Dead { .. }]), dies, "{attempt}: {outcomes:?}");
        house.clock.advance(Duration::from_hours(1));
    }
    assert!(outcomes(&house).await.is_empty());
    assert!(house.queue.dead()[0].1.contains("connection refused"));
}

#[tokio::test]
async fn a_panic_ends_the_attempt_and_nothing_else() {
    let house = House::new().await;
    house.post.becomes(Mood::Panics);
    house.queue.push(vec![note(&house), note(&house)]).await.unwrap();
    let failed = outcomes(&house).await;
    assert_eq!(failed.len(), 2);
    for outcome in failed {
        let Outcome::Retry { error, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(error, "panicked: the post fell over");
    }
}

#[tokio::test]
async fn an_unknown_job_and_a_payload_of_another_shape_are_parked() {
    let house = House::new().await;
    let unknown = NewJob { name: "make_coffee".to_owned(), ..note(&house) };
    let odd = NewJob { payload: serde_json::json!({ "to": 7 }), ..note(&house) };
    house.queue.push(vec![unknown.clone(), odd.clone()]).await.unwrap();
    let ran = run_until_idle(&house.app, &queues()).await.unwrap();
    for ran in ran {
        let Outcome::Dead { error } = ran.outcome else { panic!("{ran:?}") };
        let expected =
            if ran.job.id == unknown.id { "unknown job make_coffee" } else { "the payload is no mail" };
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(house.queue.dead().len(), 2);
}

#[tokio::test]
async fn a_worker_runs_as_many_at_once_as_it_may() {
    let house = House::new().await;
    house.post.becomes(Mood::TakesAtTheDoor);
    house.queue.push((0..5).map(|_| note(&house)).collect()).await.unwrap();
    let shutdown = CancellationToken::new();
    let test = async {
        house.post.awaits(3).await;
        assert_eq!(house.post.at_the_door.available_permits(), 0, "two wait for a free hand");
        house.post.door.add_permits(5);
        house.post.awaits(2).await;
        eventually("all are sent", async || house.post.sent().len() == 5).await;
        shutdown.cancel();
    };
    tokio::join!(worker(&house, 3).run(shutdown.clone()), test);
    assert!(outcomes(&house).await.is_empty(), "and none is left");
}

#[tokio::test]
async fn a_worker_that_is_idle_takes_a_new_job_at_once() {
    let house = House::new().await;
    let shutdown = CancellationToken::new();
    let test = async {
        for n in 1..=3 {
            house.queue.push(vec![note(&house)]).await.unwrap();
            eventually("it is sent", async || house.post.sent().len() == n).await;
        }
        shutdown.cancel();
    };
    tokio::join!(worker(&house, 2).run(shutdown.clone()), test);
}

#[tokio::test]
async fn a_shutdown_lets_running_jobs_end_and_takes_no_more() {
    let house = House::new().await;
    house.post.becomes(Mood::TakesAtTheDoor);
    house.queue.push(vec![note(&house), note(&house)]).await.unwrap();
    let shutdown = CancellationToken::new();
    let test = async {
        house.post.awaits(1).await;
        shutdown.cancel();
        house.post.door.add_permits(1);
    };
    tokio::join!(worker(&house, 1).run(shutdown.clone()), test);
    assert_eq!(house.post.sent().len(), 1, "the one it had taken");
    house.post.becomes(Mood::Takes);
    assert_eq!(outcomes(&house).await, [Outcome::Done], "the other was never touched");
}

#[tokio::test]
async fn short_jobs_are_taken_ahead_and_each_runs_once() {
    let house = House::new().await;
    house.queue.push((0..300).map(|_| note(&house)).collect()).await.unwrap();
    let shutdown = CancellationToken::new();
    let test = async {
        eventually("all are sent", async || house.post.sent().len() >= 300).await;
        shutdown.cancel();
    };
    let worker = Worker { prefetch: 50, ..worker(&house, 2) };
    tokio::join!(worker.run(shutdown.clone()), test);
    let ids: std::collections::HashSet<String> =
        house.post.sent().into_iter().map(|mail| mail.message_id).collect();
    assert_eq!((ids.len(), house.post.sent().len()), (300, 300));
    assert!(outcomes(&house).await.is_empty(), "and none is left");
}

#[tokio::test]
async fn a_running_job_that_is_cancelled_and_fails_is_not_tried_again() {
    let house = House::new().await;
    house.post.becomes(Mood::TakesAtTheDoor);
    let job = note(&house);
    house.queue.push(vec![job.clone()]).await.unwrap();
    let shutdown = CancellationToken::new();
    let test = async {
        house.post.awaits(1).await;
        assert_eq!(house.queue.cancel(job.id).await.unwrap(), Cancel::Asked);
        shutdown.cancel();
    };
    // It outlasts the grace, and would otherwise be handed back.
    let worker = Worker { grace: Duration::from_millis(20), ..worker(&house, 1) };
    tokio::join!(worker.run(shutdown.clone()), test);
    house.post.becomes(Mood::Takes);
    assert!(outcomes(&house).await.is_empty());
}

#[tokio::test]
async fn a_job_that_outlasts_the_grace_is_handed_back_uncounted() {
    let house = House::new().await;
    house.post.becomes(Mood::TakesAtTheDoor);
    let job = NewJob { max_attempts: 1, ..note(&house) };
    house.queue.push(vec![job]).await.unwrap();
    let shutdown = CancellationToken::new();
    let test = async {
        house.post.awaits(1).await;
        shutdown.cancel();
    };
    let worker = Worker { grace: Duration::from_millis(20), ..worker(&house, 1) };
    tokio::join!(worker.run(shutdown.clone()), test);
    assert!(house.post.sent().is_empty());
    house.post.becomes(Mood::Takes);
    assert_eq!(outcomes(&house).await, [Outcome::Done], "its only attempt is still there");
}

#[tokio::test]
async fn a_long_job_keeps_its_lease() {
    let house = House::new().await;
    house.post.becomes(Mood::TakesAtTheDoor);
    house.queue.push(vec![note(&house)]).await.unwrap();
    let shutdown = CancellationToken::new();
    let lease = Duration::from_millis(150);
    let test = async {
        house.post.awaits(1).await;
        for _ in 0..4 {
            // Two thirds of the lease on the queue's clock, and time for a heartbeat on the worker's.
            house.clock.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let other = house.queue.fetch("other", &queues(), 1, lease).await.unwrap();
        assert!(other.is_empty(), "nobody else may have it");
        house.post.door.add_permits(1);
        eventually("it is sent", async || house.post.sent().len() == 1).await;
        shutdown.cancel();
    };
    tokio::join!(Worker { lease, ..worker(&house, 1) }.run(shutdown.clone()), test);
    assert_eq!(house.post.sent().len(), 1);
}

#[tokio::test]
async fn a_job_whose_lease_went_to_another_worker_is_stopped() {
    let house = House::new().await;
    house.post.becomes(Mood::TakesAtTheDoor);
    house.queue.push(vec![note(&house)]).await.unwrap();
    let shutdown = CancellationToken::new();
    let lease = Duration::from_millis(150);
    let test = async {
        house.post.awaits(1).await;
        house.clock.advance(Duration::from_secs(1));
        let other = house.queue.fetch("other", &queues(), 1, Duration::from_mins(1)).await.unwrap();
        assert_eq!(other.len(), 1);
        // The next heartbeat finds out, and the free hand takes the next job.
        house.queue.push(vec![note(&house)]).await.unwrap();
        house.post.awaits(1).await;
        house.post.door.add_permits(2);
        eventually("the second is sent", async || house.post.sent().len() == 1).await;
        shutdown.cancel();
    };
    tokio::join!(Worker { lease, ..worker(&house, 1) }.run(shutdown.clone()), test);
    assert_eq!(house.post.sent().len(), 1, "the first was not sent by who had lost it");
}

#[tokio::test]
async fn a_write_s_jobs_reach_a_queue_elsewhere_once_it_is_committed() {
    let house = House::new().await;
    assert!(!house.queue.capabilities().transactional);
    let to = Email::parse("ada@example.org").unwrap();
    let send = SendMail::Whole(Letter { to, name: None, lang: Lang::En, mail: MailKind::SignUpAttempted });
    let undone: tenon_core::Result<()> = house
        .app
        .write(&[], "undone", async |tx| {
            tx.enqueue(&send)?;
            Err(tenon_core::Error::Unauthenticated)
        })
        .await;
    assert!(undone.is_err());
    assert!(outcomes(&house).await.is_empty(), "a write that failed enqueues nothing");
    house.app.write(&[], "done", async |tx| tx.enqueue(&send)).await.unwrap();
    assert_eq!(outcomes(&house).await, [Outcome::Done]);
    assert!(outcomes(&house).await.is_empty(), "and the outbox is empty");
}

#[tokio::test]
async fn the_relay_forwards_at_once_and_a_worker_runs_it() {
    let house = House::new().await;
    let to = Email::parse("ada@example.org").unwrap();
    let send = SendMail::Whole(Letter { to, name: None, lang: Lang::En, mail: MailKind::SignUpAttempted });
    let shutdown = CancellationToken::new();
    let test = async {
        for n in 1..=3 {
            house.app.write(&[], "done", async |tx| tx.enqueue(&send)).await.unwrap();
            eventually("it is sent", async || house.post.sent().len() == n).await;
        }
        shutdown.cancel();
    };
    tokio::join!(
        tenon_app::relay::run(house.app.clone(), shutdown.clone()),
        worker(&house, 2).run(shutdown.clone()),
        test
    );
}

#[tokio::test]
async fn two_workers_of_one_name_do_each_job_once() {
    let house = House::new().await;
    house.queue.push((0..200).map(|_| note(&house)).collect()).await.unwrap();
    let shutdown = CancellationToken::new();
    let test = async {
        eventually("all are sent", async || house.post.sent().len() >= 200).await;
        shutdown.cancel();
    };
    let twin = || Worker { prefetch: 20, ..worker(&house, 2) };
    tokio::join!(twin().run(shutdown.clone()), twin().run(shutdown.clone()), test);
    let ids: std::collections::HashSet<String> =
        house.post.sent().into_iter().map(|mail| mail.message_id).collect();
    assert_eq!((ids.len(), house.post.sent().len()), (200, 200));
    assert!(outcomes(&house).await.is_empty(), "and none is left");
}

#[tokio::test]
async fn jobs_in_the_database_need_no_relay() {
    let house = House::new().await;
    let clock = std::sync::Arc::new(house.clock.clone());
    let queue = queue::connect(&queue::Config::Postgres {}, house.db.db(), clock).await.unwrap();
    let app = crate::harness::app(&house.db, &house.clock, queue, house.post.clone()).await;
    let to = Email::parse("ada@example.org").unwrap();
    let send = SendMail::Whole(Letter { to, name: None, lang: Lang::En, mail: MailKind::SignUpAttempted });
    app.write(&[], "done", async |tx| tx.enqueue(&send)).await.unwrap();
    tenon_app::scheduler::enqueue_due(&app).await.unwrap();
    let shutdown = CancellationToken::new();
    let test = async {
        eventually("it is sent", async || house.post.sent().len() == 1).await;
        app.write(&[], "done", async |tx| tx.enqueue(&send)).await.unwrap();
        eventually("an idle worker takes the next", async || house.post.sent().len() == 2).await;
        shutdown.cancel();
    };
    tokio::join!(Worker { app: app.clone(), ..worker(&house, 2) }.run(shutdown.clone()), test);
    assert!(run_until_idle(&app, &queues()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_worker_takes_no_job_during_maintenance_and_goes_on_after_it() {
    let house = House::new().await;
    maintenance::begin(&house.app, None, None).await.unwrap();
    maintenance::look(&house.app).await.unwrap();
    house.queue.push(vec![note(&house)]).await.unwrap();
    let shutdown = CancellationToken::new();
    let maintained = async {
        // Longer than a worker needs that looks at the queue.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(house.post.sent().len(), 0);
        maintenance::end(&house.app).await.unwrap();
        maintenance::look(&house.app).await.unwrap();
        eventually("the job is done", async || house.post.sent().len() == 1).await;
        shutdown.cancel();
    };
    tokio::join!(worker(&house, 1).run(shutdown.clone()), maintained);
}
