//! Laws of what comes first, and not before its time.

use std::time::Duration;

use tenon_core::ports::{clock::Clock as _, queue::NewJob};

use super::{DAY, Fixture, fetch, ids, job, push};

/// −100 to 100, higher first, if the queue says so.
pub async fn higher_priority_comes_first_among_the_ready(f: Fixture) {
    if !f.queue.capabilities().priority {
        return;
    }
    let with = |priority| NewJob { priority, ..job(&f) };
    let jobs = [with(0), with(-100), with(100), with(5)];
    let not_ready = NewJob { run_at: f.clock.now() + DAY, ..with(100) };
    push(&f, jobs.clone()).await;
    push(&f, [not_ready]).await;
    let expected = [2, 3, 0, 1].map(|n: usize| jobs[n].id);
    let fetched = [fetch(&f, "w", 1).await, fetch(&f, "w", 10).await].concat();
    assert_eq!(ids(&fetched), expected);
}

/// Older first.
pub async fn earlier_comes_first_within_a_priority(f: Fixture) {
    let at = |seconds| NewJob { run_at: f.clock.now() - Duration::from_secs(seconds), ..job(&f) };
    let jobs = [at(1), at(3), at(2)];
    push(&f, jobs.clone()).await;
    assert_eq!(ids(&fetch(&f, "w", 10).await), [1, 2, 0].map(|n: usize| jobs[n].id));
}

/// `run_at` is a promise.
pub async fn delayed_is_not_early(f: Fixture) {
    let hour = Duration::from_hours(1);
    let late = NewJob { run_at: f.clock.now() + hour, ..job(&f) };
    push(&f, [late.clone()]).await;
    f.clock.advance(hour - Duration::from_millis(1));
    assert_eq!(fetch(&f, "w", 1).await, []);
    f.clock.advance(Duration::from_millis(1));
    assert_eq!(ids(&fetch(&f, "w", 1).await), [late.id]);
}
