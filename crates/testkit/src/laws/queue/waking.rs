//! Laws of waiting for jobs.

use std::time::{Duration, Instant};

use tenon_core::ports::queue::Outcome;

use super::{DEFAULT, Fixture, PATIENCE, fetch, job, settle, wait};
use crate::laws::soon;

/// Long before its patience ends, whichever process pushed.
pub async fn a_waiting_worker_is_woken_by_a_push(f: Fixture) {
    for pusher in [&f.queue, &f.elsewhere] {
        let began = Instant::now();
        let waiting = wait(&f);
        let pushing = async { pusher.push(vec![job(&f)]).await.unwrap() };
        soon(async { futures_util::join!(waiting, pushing) }).await;
        assert!(began.elapsed() < PATIENCE / 2, "nobody woke it");
        let fetched = fetch(&f, "w", 10).await;
        assert_eq!(fetched.len(), 1);
        settle(&f, "w", fetched[0].id, Outcome::Done).await;
    }
}

/// A notice that comes between looking and waiting counts.
pub async fn a_waiting_worker_is_woken_by_a_notice(f: Fixture) {
    let began = Instant::now();
    f.queue.notify(&[DEFAULT.to_owned()]).await;
    soon(wait(&f)).await;
    assert!(began.elapsed() < PATIENCE / 2, "the notice was lost");
}

/// `at_most` is at most.
pub async fn waiting_ends_by_itself(f: Fixture) {
    let began = Instant::now();
    f.queue.wait(&[DEFAULT.to_owned()], Duration::from_millis(50)).await;
    assert!(began.elapsed() < Duration::from_secs(5));
}
