//! Laws of jobs that run one after another.

use std::{collections::HashSet, time::Duration};

use tenon_core::{
    ids::JobId,
    ports::{
        clock::Clock as _,
        queue::{Cancel, NewJob, Outcome, QueueError},
    },
};

use super::{DAY, Fixture, LEASE, fetch, ids, job, locked, push, settle};

/// However many workers ask, and whichever process pushed.
pub async fn one_lock_runs_one_after_another_in_order_of_enqueueing(f: Fixture) {
    if !f.queue.capabilities().locks {
        return;
    }
    let first = locked(&f, "story-1");
    // Neither priority nor time changes the order.
    let second = NewJob { priority: 100, ..locked(&f, "story-1") };
    let third = NewJob { run_at: f.clock.now() - DAY, ..locked(&f, "story-1") };
    push(&f, [first.clone(), second.clone()]).await;
    f.elsewhere.push(vec![third.clone()]).await.unwrap();
    for expected in [first.id, second.id, third.id] {
        let fetched = [fetch(&f, "w", 10).await, fetch(&f, "v", 10).await].concat();
        assert_eq!(ids(&fetched), [expected]);
        settle(&f, "w", expected, Outcome::Done).await;
    }
}

/// Done, dead, cancelled, or with its worker.
pub async fn a_lock_passes_on_however_its_job_ends(f: Fixture) {
    if !f.queue.capabilities().locks {
        return;
    }
    let last_try = NewJob { max_attempts: 1, ..locked(&f, "l") };
    let jobs = [locked(&f, "l"), locked(&f, "l"), locked(&f, "l"), last_try, locked(&f, "l")];
    push(&f, jobs.clone()).await;
    for (job, outcome) in
        [(&jobs[0], Outcome::Dead { error: "broken".into() }), (&jobs[1], Outcome::Cancelled)]
    {
        assert_eq!(ids(&fetch(&f, "w", 10).await), [job.id]);
        settle(&f, "w", job.id, outcome).await;
    }
    if f.queue.capabilities().cancel {
        assert_eq!(f.queue.cancel(jobs[2].id).await.unwrap(), Cancel::Taken);
    } else {
        assert_eq!(ids(&fetch(&f, "w", 10).await), [jobs[2].id]);
        settle(&f, "w", jobs[2].id, Outcome::Done).await;
    }
    assert_eq!(ids(&fetch(&f, "vanishes", 10).await), [jobs[3].id]);
    f.clock.advance(LEASE + Duration::from_secs(5));
    assert_eq!(ids(&fetch(&f, "w", 10).await), [jobs[4].id]);
}

/// The order holds through failures.
pub async fn a_lock_keeps_others_out_while_its_job_is_retried(f: Fixture) {
    if !f.queue.capabilities().locks {
        return;
    }
    let (first, second) = (locked(&f, "l"), locked(&f, "l"));
    push(&f, [first.clone(), second.clone()]).await;
    fetch(&f, "w", 10).await;
    let at = f.clock.now() + Duration::from_mins(5);
    settle(&f, "w", first.id, Outcome::Retry { at, error: "not yet".into() }).await;
    assert_eq!(fetch(&f, "w", 10).await, []);
    f.clock.advance(Duration::from_mins(5));
    assert_eq!(ids(&fetch(&f, "w", 10).await), [first.id]);
    settle(&f, "w", first.id, Outcome::Released).await;
    assert_eq!(ids(&fetch(&f, "w", 10).await), [first.id]);
    settle(&f, "w", first.id, Outcome::Done).await;
    assert_eq!(ids(&fetch(&f, "w", 10).await), [second.id]);
}

/// Those of other locks, and those of none.
pub async fn jobs_behind_a_lock_hold_up_nobody_else(f: Fixture) {
    if !f.queue.capabilities().locks {
        return;
    }
    let mut jobs: Vec<NewJob> = (0..5).map(|_| locked(&f, "l")).collect();
    jobs.extend([locked(&f, "m"), job(&f)]);
    push(&f, jobs.clone()).await;
    let held: HashSet<JobId> = ids(&fetch(&f, "w", 3).await).into_iter().collect();
    assert_eq!(held, HashSet::from([jobs[0].id, jobs[5].id, jobs[6].id]));
}

/// Rather than run what must not run.
pub async fn a_queue_without_locks_refuses_them(f: Fixture) {
    let refused = f.queue.push(vec![job(&f), locked(&f, "l")]).await;
    if f.queue.capabilities().locks {
        assert!(refused.is_ok());
    } else {
        assert!(matches!(refused, Err(QueueError::Unsupported(_))), "{refused:?}");
        assert_eq!(fetch(&f, "w", 10).await, []);
    }
}
