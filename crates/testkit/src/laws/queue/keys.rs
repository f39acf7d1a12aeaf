//! Laws of unique keys.

use std::{collections::HashSet, time::Duration};

use tenon_core::{
    ids::JobId,
    ports::{
        clock::Clock as _,
        queue::{NewJob, Outcome, QueueError},
    },
};

use super::{Fixture, LEASE, fetch, ids, job, keyed, push, settle};

/// And the one that waits is named; delayed ones and those to be tried again wait as well.
pub async fn while_one_waits_another_of_its_key_is_not_added(f: Fixture) {
    if !f.queue.capabilities().unique_keys {
        return;
    }
    let at = f.clock.now() + Duration::from_mins(5);
    let first = NewJob { run_at: at, ..keyed(&f, "k") };
    let other = keyed(&f, "another");
    push(&f, [first.clone()]).await;
    let named = f.elsewhere.push(vec![keyed(&f, "k"), other.clone()]).await.unwrap();
    assert_eq!(named, [first.id, other.id]);
    assert_eq!(ids(&fetch(&f, "w", 10).await), [other.id]);
    settle(&f, "w", other.id, Outcome::Done).await;
    f.clock.advance(Duration::from_mins(5));
    assert_eq!(ids(&fetch(&f, "w", 10).await), [first.id]);
    let at = f.clock.now() + Duration::from_mins(5);
    settle(&f, "w", first.id, Outcome::Retry { at, error: "not yet".into() }).await;
    assert_eq!(f.queue.push(vec![keyed(&f, "k")]).await.unwrap(), [first.id]);
    assert_eq!(fetch(&f, "w", 10).await, []);
}

/// What it has read by then may be out of date. Both are then worked off.
pub async fn a_key_is_free_once_its_job_runs(f: Fixture) {
    if !f.queue.capabilities().unique_keys {
        return;
    }
    let (first, second) = (keyed(&f, "k"), keyed(&f, "k"));
    push(&f, [first.clone()]).await;
    assert_eq!(ids(&fetch(&f, "w", 10).await), [first.id]);
    assert_eq!(f.queue.push(vec![second.clone()]).await.unwrap(), [second.id]);
    assert_eq!(f.queue.push(vec![keyed(&f, "k")]).await.unwrap(), [second.id]);
    settle(&f, "w", first.id, Outcome::Released).await;
    let both: HashSet<JobId> = ids(&fetch(&f, "w", 10).await).into_iter().collect();
    assert_eq!(both, HashSet::from([first.id, second.id]));
}

/// However they come back: handed back, or with their worker gone.
pub async fn two_of_a_key_that_ran_at_once_come_back_together(f: Fixture) {
    if !f.queue.capabilities().unique_keys {
        return;
    }
    let (first, second) = (keyed(&f, "k"), keyed(&f, "k"));
    let both = HashSet::from([first.id, second.id]);
    for new in [first.clone(), second.clone()] {
        push(&f, [new.clone()]).await;
        assert_eq!(ids(&fetch(&f, "w", 10).await), [new.id]);
    }
    let released = vec![(first.id, Outcome::Released), (second.id, Outcome::Released)];
    f.queue.settle("w", released).await.unwrap();
    for _ in 0..2 {
        assert_eq!(ids(&fetch(&f, "w", 10).await).into_iter().collect::<HashSet<_>>(), both);
        f.clock.advance(LEASE + Duration::from_secs(5));
    }
}

/// The first of them is added.
pub async fn keys_within_one_push_are_unique_as_well(f: Fixture) {
    if !f.queue.capabilities().unique_keys {
        return;
    }
    let (first, second, plain) = (keyed(&f, "k"), keyed(&f, "k"), job(&f));
    let named = f.queue.push(vec![first.clone(), second, plain.clone()]).await.unwrap();
    assert_eq!(named, [first.id, first.id, plain.id]);
    assert_eq!(fetch(&f, "w", 10).await.len(), 2);
}

/// Rather than run twice what should run once.
pub async fn a_queue_without_unique_keys_refuses_them(f: Fixture) {
    let refused = f.queue.push(vec![job(&f), keyed(&f, "k")]).await;
    if f.queue.capabilities().unique_keys {
        assert!(refused.is_ok());
    } else {
        assert!(matches!(refused, Err(QueueError::Unsupported(_))), "{refused:?}");
        assert_eq!(fetch(&f, "w", 10).await, []);
    }
}
