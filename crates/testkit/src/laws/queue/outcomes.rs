//! Laws of how a job ends for now.

use std::time::Duration;

use tenon_core::ports::{
    clock::Clock as _,
    queue::{NewJob, Outcome},
};

use super::{DAY, Fixture, fetch, ids, job, push, settle};

/// Not before, and one attempt on.
pub async fn a_retry_is_not_early_and_counts(f: Fixture) {
    let new = job(&f);
    push(&f, [new.clone()]).await;
    fetch(&f, "w", 1).await;
    let at = f.clock.now() + Duration::from_mins(5);
    settle(&f, "w", new.id, Outcome::Retry { at, error: "not yet".into() }).await;
    f.clock.advance(Duration::from_secs(299));
    assert_eq!(fetch(&f, "w", 1).await, []);
    f.clock.advance(Duration::from_secs(1));
    let again = fetch(&f, "v", 1).await;
    assert_eq!((ids(&again), again[0].attempt), (vec![new.id], 2));
}

/// The last attempt's retry is the end.
pub async fn exhausted_is_dead_with_its_error(f: Fixture) {
    let new = NewJob { max_attempts: 2, ..job(&f) };
    push(&f, [new.clone()]).await;
    for error in ["first", "second"] {
        assert_eq!(fetch(&f, "w", 1).await.len(), 1);
        let retry = Outcome::Retry { at: f.clock.now(), error: error.into() };
        settle(&f, "w", new.id, retry).await;
    }
    f.clock.advance(DAY);
    assert_eq!(fetch(&f, "w", 1).await, []);
    assert_eq!((f.dead)().await, [(new.id, "second".to_owned())]);
}

/// A handler may give up at once.
pub async fn dead_is_kept_with_its_error_and_never_redelivered(f: Fixture) {
    let new = job(&f);
    push(&f, [new.clone()]).await;
    fetch(&f, "w", 1).await;
    settle(&f, "w", new.id, Outcome::Dead { error: "no handler of that name".into() }).await;
    f.clock.advance(DAY);
    assert_eq!(fetch(&f, "w", 1).await, []);
    assert_eq!((f.dead)().await, [(new.id, "no handler of that name".to_owned())]);
}

/// An error may hold what a database does not keep; it is kept without that, and so is the rest of its batch.
pub async fn an_error_of_any_characters_is_kept_with_the_rest_of_its_batch(f: Fixture) {
    let (dead, retried, done) = (job(&f), job(&f), job(&f));
    push(&f, [dead.clone(), retried.clone(), done.clone()]).await;
    assert_eq!(fetch(&f, "w", 3).await.len(), 3);
    let error = "550 no\0such\u{202e} \u{1b}[31mperson\r\n".into();
    let again = Outcome::Retry { at: f.clock.now(), error: "451 wait\0".repeat(1000).into() };
    let outcomes = vec![(dead.id, Outcome::Dead { error }), (retried.id, again), (done.id, Outcome::Done)];
    f.queue.settle("w", outcomes).await.unwrap();
    assert_eq!((f.dead)().await, [(dead.id, "550 no such [31mperson".to_owned())]);
    assert_eq!(ids(&fetch(&f, "w", 3).await), [retried.id]);
}

/// How a worker that shuts down hands back what it did not begin.
pub async fn released_is_ready_at_once_and_not_counted(f: Fixture) {
    let new = NewJob { max_attempts: 1, ..job(&f) };
    push(&f, [new.clone()]).await;
    for _ in 0..3 {
        let fetched = fetch(&f, "w", 1).await;
        assert_eq!((ids(&fetched), fetched[0].attempt), (vec![new.id], 1));
        settle(&f, "w", new.id, Outcome::Released).await;
    }
}
