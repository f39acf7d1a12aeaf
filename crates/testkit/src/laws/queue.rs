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
        queue::{LeasedJob, MAX_LOST_WORKERS, MAX_PAYLOAD_BYTES, NewJob, Outcome, Queue, QueueError},
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
    f.clock.advance(Duration::from_secs(2));
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
        assert_eq!(f.queue.renew("w", &[kept.id], LEASE).await.unwrap(), [kept.id]);
    }
    assert_eq!(ids(&fetch(&f, "v", 10).await), [lost.id]);
    assert_eq!(f.queue.renew("w", &[kept.id, lost.id], LEASE).await.unwrap(), [kept.id]);
    assert_eq!(f.queue.renew("w", &[], LEASE).await.unwrap(), []);
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
    assert_eq!(f.queue.renew("w", &[new.id], LEASE).await.unwrap(), [new.id]);
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
    }
}

async fn push(f: &Fixture, jobs: impl Into<Vec<NewJob>>) {
    soon(f.queue.push(jobs.into())).await.unwrap();
}

async fn fetch(f: &Fixture, worker: &str, limit: usize) -> Vec<LeasedJob> {
    soon(f.queue.fetch(worker, &[DEFAULT.to_owned()], limit, LEASE)).await.unwrap()
}

async fn settle(f: &Fixture, worker: &str, id: JobId, outcome: Outcome) {
    soon(f.queue.settle(worker, vec![(id, outcome)])).await.unwrap();
}

fn ids(jobs: &[LeasedJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}
