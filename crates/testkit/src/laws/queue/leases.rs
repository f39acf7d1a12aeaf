//! Laws of workers that vanish, and of those that only were slow.

use std::{collections::HashSet, time::Duration};

use tenon_core::{
    ids::JobId,
    ports::queue::{MAX_LOST_WORKERS, NewJob, Outcome},
};

use super::{Fixture, LEASE, fetch, ids, job, push, renew, settle};

/// After the lease and not before; the attempt counts, and the worker that it lost.
pub async fn a_vanished_worker_gives_its_job_back(f: Fixture) {
    let new = job(&f);
    push(&f, [new.clone()]).await;
    fetch(&f, "vanishes", 1).await;
    f.clock.advance(LEASE - Duration::from_secs(1));
    assert_eq!(fetch(&f, "w", 1).await, []);
    f.clock.advance(Duration::from_secs(5));
    let again = fetch(&f, "w", 1).await;
    assert_eq!((ids(&again), again[0].attempt, again[0].lost_workers), (vec![new.id], 2, 1));
}

/// Out of attempts, or three workers gone: it is not tried for ever.
pub async fn a_job_that_loses_its_workers_is_dead(f: Fixture) {
    let poison = NewJob { max_attempts: 100, ..job(&f) };
    let last_try = NewJob { max_attempts: 1, ..job(&f) };
    push(&f, [poison.clone(), last_try.clone()]).await;
    for round in 0..MAX_LOST_WORKERS {
        let expected = if round == 0 { 2 } else { 1 };
        assert_eq!(fetch(&f, "vanishes", 10).await.len(), expected);
        f.clock.advance(LEASE + Duration::from_secs(1));
    }
    assert_eq!(fetch(&f, "w", 10).await, []);
    let dead: HashSet<JobId> = (f.dead)().await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(dead, HashSet::from([poison.id, last_try.id]));
}

/// A heartbeat keeps the job, and tells of those that are gone.
pub async fn a_renewed_lease_lasts_and_is_told(f: Fixture) {
    let (kept, lost) = (job(&f), NewJob { priority: -1, ..job(&f) });
    push(&f, [kept.clone(), lost.clone()]).await;
    assert_eq!(fetch(&f, "w", 2).await.len(), 2);
    for _ in 0..3 {
        f.clock.advance(Duration::from_secs(20));
        assert_eq!(renew(&f, "w", &[kept.id]).await, [kept.id]);
    }
    assert_eq!(ids(&fetch(&f, "v", 10).await), [lost.id]);
    assert_eq!(renew(&f, "w", &[kept.id, lost.id]).await, [kept.id]);
    assert_eq!(renew(&f, "w", &[]).await, []);
}

/// Late news of a former holder are no news.
pub async fn a_worker_that_lost_its_hold_changes_nothing(f: Fixture) {
    let new = job(&f);
    push(&f, [new.clone()]).await;
    fetch(&f, "slow", 1).await;
    f.clock.advance(LEASE + Duration::from_secs(1));
    assert_eq!(fetch(&f, "w", 1).await.len(), 1);
    for outcome in [Outcome::Done, Outcome::Released, Outcome::Dead { error: "late".into() }] {
        settle(&f, "slow", new.id, outcome).await;
    }
    assert_eq!(fetch(&f, "v", 1).await, []);
    assert_eq!((f.dead)().await, []);
    assert_eq!(renew(&f, "w", &[new.id]).await, [new.id]);
}
