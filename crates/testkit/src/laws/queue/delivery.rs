//! Laws of what is pushed and handed out.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::json;
use tenon_core::ports::queue::{LeasedJob, MAX_PAYLOAD_BYTES, NewJob, Outcome, QueueError};

use super::{DAY, DEFAULT, Fixture, LEASE, fetch, ids, job, push, settle};
use crate::laws::soon;

/// Name, payload, queue, attempts and cause arrive unchanged.
pub async fn each_pushed_job_is_handled_as_it_was_pushed(f: Fixture) {
    let new = NewJob {
        payload: json!({"a": [1, null, "ü\u{1f600}"], "b": {"c": 1.5}}),
        max_attempts: 7,
        correlation_id: Some("request-1".to_owned()),
        ..job(&f)
    };
    push(&f, [new.clone()]).await;
    let expected = LeasedJob {
        id: new.id,
        name: new.name,
        payload: new.payload,
        queue: new.queue,
        attempt: 1,
        max_attempts: 7,
        lost_workers: 0,
        correlation_id: new.correlation_id,
    };
    assert_eq!(fetch(&f, "w", 10).await, [expected]);
}

/// The largest payload comes back byte for byte.
pub async fn a_payload_of_256_kib_round_trips(f: Fixture) {
    let payload = json!("x".repeat(MAX_PAYLOAD_BYTES - 2));
    push(&f, [NewJob { payload: payload.clone(), ..job(&f) }]).await;
    assert!(fetch(&f, "w", 1).await[0].payload == payload);
}

/// All or none.
pub async fn a_larger_payload_is_refused_and_nothing_is_pushed(f: Fixture) {
    let large = NewJob { payload: json!("x".repeat(MAX_PAYLOAD_BYTES)), ..job(&f) };
    let refused = f.queue.push(vec![job(&f), large]).await;
    assert!(matches!(refused, Err(QueueError::PayloadTooLarge { .. })), "{refused:?}");
    assert_eq!(fetch(&f, "w", 10).await, []);
}

/// Forwarding twice is one job: while it waits, runs, and after.
pub async fn a_known_id_is_skipped(f: Fixture) {
    let new = job(&f);
    push(&f, [new.clone(), new.clone()]).await;
    push(&f, [new.clone()]).await;
    assert_eq!(ids(&fetch(&f, "w", 10).await), [new.id]);
    push(&f, [new.clone()]).await;
    assert_eq!(fetch(&f, "w", 10).await, []);
    settle(&f, "w", new.id, Outcome::Done).await;
    push(&f, [new, job(&f)]).await;
    assert_eq!(fetch(&f, "w", 10).await.len(), 1);
}

/// What is done stays done.
pub async fn done_is_never_redelivered(f: Fixture) {
    let new = job(&f);
    push(&f, [new.clone()]).await;
    fetch(&f, "w", 1).await;
    settle(&f, "w", new.id, Outcome::Done).await;
    f.clock.advance(DAY);
    assert_eq!(fetch(&f, "w", 10).await, []);
    assert_eq!((f.dead)().await, []);
}

/// However many workers ask at once.
pub async fn no_two_workers_hold_one_job(f: Fixture) {
    let jobs: Vec<NewJob> = (0..60).map(|_| job(&f)).collect();
    push(&f, jobs).await;
    let mut held = HashSet::new();
    while held.len() < 60 {
        let workers = (0..8).map(|n| {
            let queue = if n % 2 == 0 { &f.queue } else { &f.elsewhere };
            async move { queue.fetch(&format!("w{n}"), &[DEFAULT.to_owned()], 5, LEASE).await.unwrap() }
        });
        let fetched: Vec<LeasedJob> = soon(join_all(workers)).await.concat();
        assert!(!fetched.is_empty(), "{} of 60 jobs were handed out", held.len());
        for job in fetched {
            assert!(held.insert(job.id), "handed out twice");
        }
    }
    assert_eq!(fetch(&f, "w", 10).await, []);
}

/// `limit` is a limit, and what is left stays ready.
pub async fn a_fetch_takes_no_more_than_asked(f: Fixture) {
    push(&f, (0..5).map(|_| job(&f)).collect::<Vec<_>>()).await;
    assert_eq!(fetch(&f, "w", 2).await.len(), 2);
    assert_eq!(fetch(&f, "v", 2).await.len(), 2);
    assert_eq!(fetch(&f, "w", 2).await.len(), 1);
}

/// A worker of one queue leaves the others alone; one of several serves them all.
pub async fn only_the_queues_asked_for_are_served(f: Fixture) {
    let other = NewJob { queue: "other".to_owned(), priority: 100, ..job(&f) };
    let third = NewJob { queue: "third".to_owned(), ..job(&f) };
    let plain = job(&f);
    push(&f, [other.clone(), third, plain.clone()]).await;
    assert_eq!(ids(&fetch(&f, "w", 10).await), [plain.id]);
    let second = job(&f);
    push(&f, [second.clone()]).await;
    let both = ["other".to_owned(), DEFAULT.to_owned()];
    assert_eq!(ids(&f.queue.fetch("w", &both, 10, LEASE).await.unwrap()), [other.id, second.id]);
}
