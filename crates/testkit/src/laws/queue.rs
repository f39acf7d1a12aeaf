//! Laws of the queue.

mod control;
mod delivery;
mod keys;
mod leases;
mod locks;
mod order;
mod outcomes;
mod remote;
mod waking;

use std::{any::Any, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::json;
use tenon_core::{
    ids::JobId,
    ports::{
        clock::Clock,
        queue::{Beat, LeasedJob, NewJob, Outcome, Queue},
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

pub use self::{
    control::{
        a_cancelled_waiting_job_never_runs, a_job_asked_to_end_is_not_tried_again,
        a_paused_queue_hands_out_nothing, a_queue_that_cannot_cancel_says_so, a_running_job_is_asked_to_end,
    },
    delivery::{
        a_fetch_takes_no_more_than_asked, a_known_id_is_skipped,
        a_larger_payload_is_refused_and_nothing_is_pushed, a_payload_of_256_kib_round_trips,
        done_is_never_redelivered, each_pushed_job_is_handled_as_it_was_pushed, no_two_workers_hold_one_job,
        only_the_queues_asked_for_are_served,
    },
    keys::{
        a_key_is_free_once_its_job_runs, a_queue_without_unique_keys_refuses_them,
        keys_within_one_push_are_unique_as_well, two_of_a_key_that_ran_at_once_come_back_together,
        while_one_waits_another_of_its_key_is_not_added,
    },
    leases::{
        a_job_that_loses_its_workers_is_dead, a_renewed_lease_lasts_and_is_told,
        a_vanished_worker_gives_its_job_back, a_worker_that_lost_its_hold_changes_nothing,
    },
    locks::{
        a_lock_keeps_others_out_while_its_job_is_retried, a_lock_passes_on_however_its_job_ends,
        a_queue_without_locks_refuses_them, jobs_behind_a_lock_hold_up_nobody_else,
        one_lock_runs_one_after_another_in_order_of_enqueueing,
    },
    order::{
        delayed_is_not_early, earlier_comes_first_within_a_priority,
        higher_priority_comes_first_among_the_ready,
    },
    outcomes::{
        a_retry_is_not_early_and_counts, an_error_of_any_characters_is_kept_with_the_rest_of_its_batch,
        dead_is_kept_with_its_error_and_never_redelivered, exhausted_is_dead_with_its_error,
        released_is_ready_at_once_and_not_counted,
    },
    remote::{
        a_job_can_be_looked_at, a_moved_job_keeps_its_attempts, a_queue_is_in_the_database_or_remote,
        every_end_is_told, what_ended_is_told_until_it_is_forgotten,
        what_is_taken_out_lets_its_lock_and_key_go, what_waits_can_be_taken_out,
        what_was_forgotten_can_be_pushed_anew,
    },
    waking::{
        a_waiting_worker_is_woken_by_a_notice, a_waiting_worker_is_woken_by_a_push, waiting_ends_by_itself,
    },
};

laws!(
    queue_laws,
    queue,
    in ["queue/delivery.rs", "queue/order.rs", "queue/outcomes.rs", "queue/leases.rs", "queue/waking.rs", "queue/locks.rs", "queue/keys.rs", "queue/control.rs", "queue/remote.rs"],
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
        an_error_of_any_characters_is_kept_with_the_rest_of_its_batch,
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
        two_of_a_key_that_ran_at_once_come_back_together,
        keys_within_one_push_are_unique_as_well,
        a_queue_without_unique_keys_refuses_them,
        a_cancelled_waiting_job_never_runs,
        a_running_job_is_asked_to_end,
        a_job_asked_to_end_is_not_tried_again,
        a_queue_that_cannot_cancel_says_so,
        a_paused_queue_hands_out_nothing,
        a_queue_is_in_the_database_or_remote,
        a_moved_job_keeps_its_attempts,
        what_ended_is_told_until_it_is_forgotten,
        what_was_forgotten_can_be_pushed_anew,
        a_job_can_be_looked_at,
        what_waits_can_be_taken_out,
        what_is_taken_out_lets_its_lock_and_key_go,
        every_end_is_told,
    ]
);

const LEASE: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_hours(24);
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
        attempts: 0,
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
