//! Of a queue outside the database: what it tells whoever keeps the rows of its jobs.

use std::time::Duration;

use tenon_core::{
    ids::JobId,
    ports::{
        clock::Clock,
        queue::{Cancel, End, Ended, NewJob, Outcome, SeenState},
    },
};

use super::{DAY, Fixture, LEASE, fetch, ids, job, locked, push, settle};

/// One of the two, and never both.
pub async fn a_queue_is_in_the_database_or_remote(f: Fixture) {
    assert_ne!(f.queue.capabilities().transactional, f.queue.remote().is_some());
}

/// A job that was moved here goes on where it was.
pub async fn a_moved_job_keeps_its_attempts(f: Fixture) {
    let moved = NewJob { attempts: 3, max_attempts: 5, ..job(&f) };
    push(&f, [moved.clone()]).await;
    for attempt in [4, 5] {
        let fetched = fetch(&f, "w", 1).await;
        assert_eq!((ids(&fetched), fetched[0].attempt), (vec![moved.id], attempt));
        settle(&f, "w", moved.id, Outcome::Retry { at: f.clock.now(), error: "broken".into() }).await;
    }
    assert_eq!((f.dead)().await, [(moved.id, "broken".to_owned())]);
}

/// However it ended, in order, and to every process.
pub async fn what_ended_is_told_until_it_is_forgotten(f: Fixture) {
    let (Some(remote), Some(elsewhere)) = (f.queue.remote(), f.elsewhere.remote()) else { return };
    let jobs = [job(&f), job(&f), job(&f)];
    push(&f, jobs.clone()).await;
    assert_eq!(fetch(&f, "w", 10).await.len(), 3);
    assert_eq!(remote.ended(10).await.unwrap(), []);
    f.clock.advance(Duration::from_secs(2));
    let dead = Outcome::Dead { error: "broken".into() };
    for (job, outcome) in jobs.iter().zip([Outcome::Done, dead, Outcome::Cancelled]) {
        settle(&f, "w", job.id, outcome).await;
    }
    let told = remote.ended(10).await.unwrap();
    let ends: Vec<(JobId, &End)> = told.iter().map(|ended| (ended.id, &ended.end)).collect();
    let dead = End::Dead { error: "broken".into() };
    assert_eq!(ends, [(jobs[0].id, &End::Done), (jobs[1].id, &dead), (jobs[2].id, &End::Cancelled)]);
    let now = f.clock.now();
    for ended in &told {
        let began = Some(now - Duration::from_secs(2));
        assert_eq!((ended.attempts, ended.started_at, ended.ended_at), (1, began, now));
    }
    assert_eq!(elsewhere.ended(2).await.unwrap(), told[..2]);
    elsewhere.forget(&told[..2]).await.unwrap();
    assert_eq!(remote.ended(10).await.unwrap(), told[2..]);
    remote.forget(&told).await.unwrap();
    assert_eq!(remote.ended(10).await.unwrap(), []);
    assert_eq!(remote.inspect(&jobs.map(|job| job.id)).await.unwrap(), []);
}

/// Tried again by hand, it is a new job to the queue, whatever is said late of its first end.
pub async fn what_was_forgotten_can_be_pushed_anew(f: Fixture) {
    let Some(remote) = f.queue.remote() else { return };
    let new = job(&f);
    let end = async || -> Ended {
        push(&f, [new.clone()]).await;
        assert_eq!(ids(&fetch(&f, "w", 10).await), [new.id]);
        settle(&f, "w", new.id, Outcome::Done).await;
        remote.ended(10).await.unwrap().remove(0)
    };
    let first = end().await;
    remote.forget(std::slice::from_ref(&first)).await.unwrap();
    let second = end().await;
    assert_ne!(first.mark, second.mark);
    remote.forget(&[first]).await.unwrap();
    assert_eq!(remote.ended(10).await.unwrap(), [second]);
}

/// Where each job is, how often it was tried and why it failed; nothing of one that is not known.
pub async fn a_job_can_be_looked_at(f: Fixture) {
    let Some(remote) = f.elsewhere.remote() else { return };
    let (running, failed, done) = (job(&f), job(&f), job(&f));
    let delayed = NewJob { run_at: f.clock.now() + DAY, ..job(&f) };
    push(&f, [running.clone(), failed.clone(), done.clone(), delayed.clone()]).await;
    assert_eq!(fetch(&f, "w", 10).await.len(), 3);
    let at = f.clock.now() + Duration::from_mins(5);
    settle(&f, "w", failed.id, Outcome::Retry { at, error: "not yet".into() }).await;
    settle(&f, "w", done.id, Outcome::Done).await;
    let unknown = job(&f).id;
    let asked = [running.id, failed.id, done.id, delayed.id, unknown];
    let seen = remote.inspect(&asked).await.unwrap();
    let of = |id: JobId| seen.iter().find(|seen| seen.id == id);
    let state = |id: JobId| of(id).map(|seen| (seen.state.clone(), seen.attempts));
    assert_eq!(state(running.id), Some((SeenState::Running { worker: "w".to_owned() }, 1)));
    assert_eq!(state(failed.id), Some((SeenState::Waiting, 1)));
    assert_eq!(state(done.id), Some((SeenState::Ended, 1)));
    assert_eq!(state(delayed.id), Some((SeenState::Waiting, 0)));
    assert_eq!(state(unknown), None);
    let failed = of(failed.id).unwrap();
    assert_eq!((failed.run_at, failed.error.as_deref()), (at, Some("not yet")));
    assert_eq!(of(delayed.id).unwrap().run_at, delayed.run_at);
    assert_eq!(remote.running().await.unwrap(), [(running.queue, 1)]);
}

/// What runs stays, and what was taken is as if it had never been there.
pub async fn what_waits_can_be_taken_out(f: Fixture) {
    let Some(remote) = f.elsewhere.remote() else { return };
    let (running, ready) = (job(&f), NewJob { priority: -1, ..job(&f) });
    let delayed = NewJob { run_at: f.clock.now() + DAY, ..job(&f) };
    push(&f, [running.clone(), ready.clone(), delayed.clone()]).await;
    assert_eq!(fetch(&f, "w", 1).await.len(), 1);
    let asked = [running.id, ready.id, delayed.id, job(&f).id];
    let mut taken: Vec<JobId> = remote.take(&asked).await.unwrap().iter().map(|seen| seen.id).collect();
    taken.sort_unstable();
    assert_eq!(taken, [ready.id, delayed.id]);
    assert_eq!(remote.take(&asked).await.unwrap(), []);
    f.clock.advance(DAY);
    assert_eq!(ids(&fetch(&f, "v", 10).await), [running.id], "whose lease is over");
    assert_eq!(remote.ended(10).await.unwrap(), []);
    push(&f, [ready.clone()]).await;
    assert_eq!(ids(&fetch(&f, "w", 10).await), [ready.id]);
}

/// As if it had ended.
pub async fn what_is_taken_out_lets_its_lock_and_key_go(f: Fixture) {
    let Some(remote) = f.queue.remote() else { return };
    if f.queue.capabilities().locks {
        let (first, second) = (locked(&f, "l"), locked(&f, "l"));
        push(&f, [first.clone(), second.clone()]).await;
        assert_eq!(remote.take(&[first.id]).await.unwrap().len(), 1);
        assert_eq!(ids(&fetch(&f, "w", 10).await), [second.id]);
    }
    if f.queue.capabilities().unique_keys {
        let (first, second) = (super::keyed(&f, "k"), super::keyed(&f, "k"));
        push(&f, [first.clone()]).await;
        assert_eq!(remote.take(&[first.id]).await.unwrap().len(), 1);
        assert_eq!(f.queue.push(vec![second.clone()]).await.unwrap(), [second.id]);
    }
}

/// Nor is one that lost its last worker, or was cancelled, forgotten without being told.
pub async fn every_end_is_told(f: Fixture) {
    let Some(remote) = f.queue.remote() else { return };
    let last_try = NewJob { max_attempts: 1, ..job(&f) };
    push(&f, [last_try.clone()]).await;
    fetch(&f, "vanishes", 1).await;
    f.clock.advance(LEASE + Duration::from_secs(5));
    assert_eq!(fetch(&f, "w", 1).await, []);
    let mut expected = vec![last_try.id];
    if f.queue.capabilities().cancel {
        let cancelled = job(&f);
        push(&f, [cancelled.clone()]).await;
        assert_eq!(f.queue.cancel(cancelled.id).await.unwrap(), Cancel::Taken);
        expected.push(cancelled.id);
    }
    let told = remote.ended(10).await.unwrap();
    assert_eq!(told.iter().map(|ended| ended.id).collect::<Vec<_>>(), expected);
    assert!(matches!(told[0].end, End::Dead { .. }));
}
