//! Laws of the queue.

use std::{
    any::Any,
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{BoxFuture, join_all};
use serde_json::json;
use tenon_core::{
    ids::JobId,
    ports::{
        clock::Clock,
        queue::{
            Beat, Cancel, Held, LeasedJob, MAX_LOST_WORKERS, MAX_PAYLOAD_BYTES, NewJob, Outcome, Queue,
            QueueError,
        },
    },
};

use super::{laws, soon};
use crate::clock::FakeClock;

/// Looks at the dead jobs and their errors, past the queue.
pub type Dead = Box<dyn Fn() -> BoxFuture<'static, Vec<(JobId, String)>> + Send + Sync>;

/// An empty queue and its time.
pub struct Fixture {
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// The time it goes by.
    pub clock: FakeClock,
    /// The same queue as another process sees it; the same object where it reaches no further than one.
    pub elsewhere: Arc<dyn Queue>,
    /// The dead jobs with their errors.
    pub dead: Dead,
    /// What must live as long as the queue.
    pub keep: Box<dyn Any + Send>,
}

laws!(
    queue_laws,
    queue,
    [
        each_pushed_job_is_handled_as_it_was_pushed,
        a_payload_of_256_kib_round_trips,
        a_larger_payload_is_refused_and_nothing_is_pushed,
        a_known_id_is_skipped,
        done_is_never_redelivered,
        no_two_workers_hold_one_job,
        a_fetch_takes_no_more_than_asked,
        only_the_queues_asked_for_are_served,
        higher_priority_comes_first_among_the_ready,
        earlier_comes_first_within_a_priority,
        delayed_is_not_early,
        a_retry_is_not_early_and_counts,
        exhausted_is_dead_with_its_error,
        dead_is_kept_with_its_error_and_never_redelivered,
        released_is_ready_at_once_and_not_counted,
        a_vanished_worker_gives_its_job_back,
        a_job_that_loses_its_workers_is_dead,
        a_renewed_lease_lasts_and_is_told,
        a_worker_that_lost_its_hold_changes_nothing,
        a_waiting_worker_is_woken_by_a_push,
        a_waiting_worker_is_woken_by_a_notice,
        waiting_ends_by_itself,
        one_lock_runs_one_after_another_in_order_of_enqueueing,
        a_lock_passes_on_however_its_job_ends,
        a_lock_keeps_others_out_while_its_job_is_retried,
        jobs_behind_a_lock_hold_up_nobody_else,
        a_queue_without_locks_refuses_them,
        while_one_waits_another_of_its_key_is_not_added,
        a_key_is_free_once_its_job_runs,
        keys_within_one_push_are_unique_as_well,
        a_queue_without_unique_keys_refuses_them,
        a_cancelled_waiting_job_never_runs,
        a_running_job_is_asked_to_end,
        a_job_asked_to_end_is_not_tried_again,
        a_queue_that_cannot_cancel_says_so,
        a_paused_queue_hands_out_nothing,
    ]
);

const LEASE: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_hours(24);

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

/// Not before, and one attempt on.
pub async fn a_retry_is_not_early_and_counts(f: Fixture) {
    let new = job(&f);
    push(&f, [new.clone()]).await;
    fetch(&f, "w", 1).await;
    let at = f.clock.now() + Duration::from_mins(5);
    settle(&f, "w", new.id, Outcome::Retry { at, error: "not yet".to_owned() }).await;
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
        let retry = Outcome::Retry { at: f.clock.now(), error: error.to_owned() };
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
    settle(&f, "w", new.id, Outcome::Dead { error: "no handler of that name".to_owned() }).await;
    f.clock.advance(DAY);
    assert_eq!(fetch(&f, "w", 1).await, []);
    assert_eq!((f.dead)().await, [(new.id, "no handler of that name".to_owned())]);
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

/// After the lease and not before; the attempt counts.
pub async fn a_vanished_worker_gives_its_job_back(f: Fixture) {
    let new = job(&f);
    push(&f, [new.clone()]).await;
    fetch(&f, "vanishes", 1).await;
    f.clock.advance(LEASE - Duration::from_secs(1));
    assert_eq!(fetch(&f, "w", 1).await, []);
    f.clock.advance(Duration::from_secs(5));
    let again = fetch(&f, "w", 1).await;
    assert_eq!((ids(&again), again[0].attempt), (vec![new.id], 2));
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
    for outcome in [Outcome::Done, Outcome::Released, Outcome::Dead { error: "late".to_owned() }] {
        settle(&f, "slow", new.id, outcome).await;
    }
    assert_eq!(fetch(&f, "v", 1).await, []);
    assert_eq!((f.dead)().await, []);
    assert_eq!(renew(&f, "w", &[new.id]).await, [new.id]);
}

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
        [(&jobs[0], Outcome::Dead { error: "broken".to_owned() }), (&jobs[1], Outcome::Cancelled)]
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
    settle(&f, "w", first.id, Outcome::Retry { at, error: "not yet".to_owned() }).await;
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
    settle(&f, "w", first.id, Outcome::Retry { at, error: "not yet".to_owned() }).await;
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
    let retry = Outcome::Retry { at: f.clock.now(), error: "cut short".to_owned() };
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

const DEFAULT: &str = "default";
const PATIENCE: Duration = Duration::from_secs(10);

async fn wait(f: &Fixture) {
    f.queue.wait(&[DEFAULT.to_owned()], PATIENCE).await;
}

/// A job that is ready now.
fn job(f: &Fixture) -> NewJob {
    NewJob {
        id: uuid::Uuid::now_v7().into(),
        name: "count_sheep".to_owned(),
        payload: json!({}),
        queue: DEFAULT.to_owned(),
        priority: 0,
        run_at: f.clock.now(),
        max_attempts: 5,
        correlation_id: None,
        lock: None,
        unique_key: None,
    }
}

/// A job that is ready now, under a lock.
fn locked(f: &Fixture, lock: &str) -> NewJob {
    NewJob { lock: Some(lock.to_owned()), ..job(f) }
}

/// A job that is ready now, with a key.
fn keyed(f: &Fixture, key: &str) -> NewJob {
    NewJob { unique_key: Some(key.to_owned()), ..job(f) }
}

async fn push(f: &Fixture, jobs: impl Into<Vec<NewJob>>) {
    soon(f.queue.push(jobs.into())).await.unwrap();
}

async fn fetch(f: &Fixture, worker: &str, limit: usize) -> Vec<LeasedJob> {
    soon(f.queue.fetch(worker, &[DEFAULT.to_owned()], limit, LEASE)).await.unwrap()
}

async fn renew(f: &Fixture, worker: &str, jobs: &[JobId]) -> Vec<JobId> {
    let beats: Vec<Beat> = jobs.iter().map(|id| Beat { id: *id, progress: None }).collect();
    f.queue.renew(worker, &beats, LEASE).await.unwrap().into_iter().map(|held| held.id).collect()
}

async fn settle(f: &Fixture, worker: &str, id: JobId, outcome: Outcome) {
    soon(f.queue.settle(worker, vec![(id, outcome)])).await.unwrap();
}

fn ids(jobs: &[LeasedJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}
