//! Laws of cancelling jobs and pausing queues.

use std::time::Duration;

use tenon_core::ports::{
    clock::Clock as _,
    queue::{Beat, Cancel, Held, NewJob, Outcome, QueueError},
};

use super::{DAY, DEFAULT, Fixture, LEASE, fetch, ids, job, push, settle};

/// Nor does a copy of it that is forwarded late.
pub async fn a_cancelled_waiting_job_never_runs(f: Fixture) {
    if !f.queue.capabilities().cancel {
        return;
    }
    let (ready, delayed, kept) = (job(&f), NewJob { run_at: f.clock.now() + DAY, ..job(&f) }, job(&f));
    push(&f, [ready.clone(), delayed.clone(), kept.clone()]).await;
    for id in [ready.id, delayed.id] {
        assert_eq!(f.elsewhere.cancel(id).await.unwrap(), Cancel::Taken);
        assert_eq!(f.queue.cancel(id).await.unwrap(), Cancel::Late);
    }
    push(&f, [ready]).await;
    f.clock.advance(2 * DAY);
    assert_eq!(ids(&fetch(&f, "w", 10).await), [kept.id]);
    assert_eq!((f.dead)().await, []);
}

/// And may finish all the same.
pub async fn a_running_job_is_asked_to_end(f: Fixture) {
    if !f.queue.capabilities().cancel {
        return;
    }
    let (asked, other) = (job(&f), NewJob { priority: -1, ..job(&f) });
    push(&f, [asked.clone(), other.clone()]).await;
    fetch(&f, "w", 2).await;
    assert_eq!(f.elsewhere.cancel(asked.id).await.unwrap(), Cancel::Asked);
    let beats = [asked.id, other.id].map(|id| Beat { id, progress: None });
    let mut held = f.queue.renew("w", &beats, LEASE).await.unwrap();
    held.sort_by_key(|held| held.id != asked.id);
    let expected = [Held { id: asked.id, cancel_asked: true }, Held { id: other.id, cancel_asked: false }];
    assert_eq!(held, expected);
    settle(&f, "w", asked.id, Outcome::Done).await;
    assert_eq!(f.queue.cancel(asked.id).await.unwrap(), Cancel::Late);
}

/// Whether it stops, fails, is handed back, or loses its worker; and it is not among the dead.
pub async fn a_job_asked_to_end_is_not_tried_again(f: Fixture) {
    if !f.queue.capabilities().cancel {
        return;
    }
    let retry = Outcome::Retry { at: f.clock.now(), error: "cut short".into() };
    for outcome in [Some(Outcome::Cancelled), Some(retry), Some(Outcome::Released), None] {
        let new = job(&f);
        push(&f, [new.clone()]).await;
        assert_eq!(fetch(&f, "w", 10).await.len(), 1, "the ones before have ended");
        assert_eq!(f.queue.cancel(new.id).await.unwrap(), Cancel::Asked);
        match outcome {
            Some(outcome) => settle(&f, "w", new.id, outcome).await,
            None => f.clock.advance(LEASE + Duration::from_secs(5)),
        }
    }
    f.clock.advance(DAY);
    assert_eq!(fetch(&f, "w", 10).await, []);
    assert_eq!((f.dead)().await, []);
}

/// Nobody believes that a job was stopped that was not.
pub async fn a_queue_that_cannot_cancel_says_so(f: Fixture) {
    let new = job(&f);
    push(&f, [new.clone()]).await;
    let refused = f.queue.cancel(new.id).await;
    let can = f.queue.capabilities().cancel;
    assert_eq!(matches!(refused, Err(QueueError::Unsupported(_))), !can, "{refused:?}");
}

/// For every process, until it is resumed; other queues go on.
pub async fn a_paused_queue_hands_out_nothing(f: Fixture) {
    if !f.queue.capabilities().pause {
        let refused = f.queue.pause(DEFAULT, true).await;
        assert!(matches!(refused, Err(QueueError::Unsupported(_))), "{refused:?}");
        return;
    }
    let (paused, other) = (job(&f), NewJob { queue: "other".to_owned(), ..job(&f) });
    push(&f, [paused.clone(), other.clone()]).await;
    for _ in 0..2 {
        f.queue.pause(DEFAULT, true).await.unwrap();
    }
    assert_eq!(fetch(&f, "w", 10).await, []);
    let both = [DEFAULT.to_owned(), "other".to_owned()];
    assert_eq!(ids(&f.elsewhere.fetch("w", &both, 10, LEASE).await.unwrap()), [other.id]);
    for _ in 0..2 {
        f.elsewhere.pause(DEFAULT, false).await.unwrap();
    }
    assert_eq!(ids(&fetch(&f, "w", 10).await), [paused.id]);
}
