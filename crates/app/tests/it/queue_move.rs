//! Jobs moved from one queue to another: none lost, none twice, interrupted or not.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tenon_adapters::queue::{Config, connect};
use tenon_app::{
    queue_move::{self, Moved},
    relay,
};
use tenon_core::{
    Time,
    ids::JobId,
    ports::{
        clock::Clock,
        queue::{NewJob, Outcome, Queue},
    },
};
use tenon_db::jobs::{self, outbox};
use tenon_testkit::services::redis::Server;

use crate::{
    harness::{self, House},
    relay::code,
};

const LEASE: Duration = Duration::from_secs(30);

struct Test {
    house: House,
    server: Server,
}

impl Test {
    async fn new() -> Option<Self> {
        Some(Self { server: Server::start()?, house: House::new().await })
    }

    async fn queue(&self, backend: &str) -> Arc<dyn Queue> {
        let config = match backend {
            "redis" => json!({"backend": "redis", "url": self.server.url()}),
            other => json!({"backend": other}),
        };
        let config: Config = serde_json::from_value(config).unwrap();
        connect(&config, self.house.db.db(), Arc::new(self.house.clock.clone())).await.unwrap()
    }

    fn job(&self) -> NewJob {
        NewJob {
            id: uuid::Uuid::now_v7().into(),
            name: "count_sheep".to_owned(),
            payload: json!({"n": "ü"}),
            queue: "default".to_owned(),
            priority: 0,
            run_at: self.house.clock.now(),
            max_attempts: 5,
            attempts: 0,
            correlation_id: Some("request-1".to_owned()),
            lock: None,
            unique_key: None,
        }
    }

    /// As an application with that queue does.
    async fn enqueue(&self, queue: &Arc<dyn Queue>, new: &[NewJob]) {
        let app =
            harness::app(&self.house.db, &self.house.clock, queue.clone(), self.house.post.clone()).await;
        if queue.remote().is_none() {
            app.write(&[], "test", async |tx| Ok(jobs::insert(tx.conn(), new).await.map(drop)?))
                .await
                .unwrap();
        } else {
            app.write(&[], "test", async |tx| Ok(outbox::insert(tx.conn(), new).await?)).await.unwrap();
            relay::forward_all(&app).await.unwrap();
        }
    }

    async fn shift(&self, from: &Arc<dyn Queue>, to: &Arc<dyn Queue>) -> tenon_core::Result<Moved> {
        queue_move::run(&self.house.app, &**from, &**to, false).await
    }
}

async fn fetch(queue: &Arc<dyn Queue>, limit: usize) -> Vec<JobId> {
    let fetched = queue.fetch("w", &["default".to_owned()], limit, LEASE).await.unwrap();
    fetched.into_iter().map(|job| job.id).collect()
}

#[tokio::test]
async fn a_job_moves_with_everything_that_is_known_of_it() {
    let Some(t) = Test::new().await else { return };
    let backends = ["postgres", "redis", "memory"];
    for from in backends {
        for to in backends.into_iter().filter(|to| *to != from) {
            moves_whole(&t, from, to).await;
        }
    }
}

async fn moves_whole(t: &Test, from: &str, to: &str) {
    let (a, b) = (t.queue(from).await, t.queue(to).await);
    let failed = NewJob { priority: 7, ..t.job() };
    let (first, delayed) = (t.job(), NewJob { run_at: t.house.clock.now() + LEASE * 100, ..t.job() });
    t.enqueue(&a, &[failed.clone(), first.clone(), delayed.clone()]).await;
    assert_eq!(fetch(&a, 1).await, [failed.id]);
    let at: Time = t.house.clock.now() + LEASE;
    let outcome = Outcome::Retry { at, error: "not yet".into() };
    a.settle("w", vec![(failed.id, outcome)]).await.unwrap();

    let moved = t.shift(&a, &b).await.unwrap();
    assert_eq!(moved, Moved { moved: 3, left: 0 }, "{from} to {to}");
    if to == "memory" {
        // That of another process; this one is given it by its relay.
        t.enqueue(&b, &[]).await;
    }
    assert_eq!(fetch(&a, 10).await, []);
    assert_eq!(fetch(&b, 10).await, [first.id], "{from} to {to}");
    t.house.clock.advance(Duration::from_secs(29));
    assert_eq!(fetch(&b, 10).await, []);
    t.house.clock.advance(Duration::from_secs(1));
    let again = b.fetch("w", &["default".to_owned()], 1, LEASE).await.unwrap();
    // The lease of the first is over as well; the failed one is the more urgent.
    assert_eq!((again[0].id, again[0].attempt), (failed.id, 2), "{from} to {to}");
    assert_eq!((&again[0].payload, &again[0].correlation_id), (&failed.payload, &failed.correlation_id));
    t.house.clock.advance(LEASE * 100);
    let rest = fetch(&b, 10).await;
    assert_eq!(rest.len(), 3);
    assert!(rest.contains(&delayed.id));
    b.settle("w", rest.into_iter().map(|id| (id, Outcome::Done)).collect()).await.unwrap();
    let app = harness::app(&t.house.db, &t.house.clock, b.clone(), t.house.post.clone()).await;
    relay::collect_ended(&app).await.unwrap();
}

#[tokio::test]
async fn a_queue_whose_jobs_run_is_not_moved() {
    let Some(t) = Test::new().await else { return };
    for (from, to) in [("postgres", "redis"), ("redis", "postgres")] {
        let (a, b) = (t.queue(from).await, t.queue(to).await);
        let (running, waiting) = (t.job(), t.job());
        t.enqueue(&a, &[running.clone(), waiting.clone()]).await;
        assert_eq!(fetch(&a, 1).await, [running.id]);
        let refused = t.shift(&a, &b).await.unwrap_err();
        assert_eq!((code(&refused), fetch(&b, 10).await), ("queue-busy", vec![]));
        // It waits until they are done.
        let ends = async {
            a.settle("w", vec![(running.id, Outcome::Done)]).await.unwrap();
        };
        let (moved, ()) = tokio::join!(queue_move::run(&t.house.app, &*a, &*b, true), ends);
        assert_eq!(moved.unwrap(), Moved { moved: 1, left: 0 });
        assert_eq!(fetch(&b, 10).await, [waiting.id]);
        // One whose worker is gone waits.
        t.house.clock.advance(LEASE + Duration::from_secs(5));
        assert_eq!(t.shift(&b, &a).await.unwrap(), Moved { moved: 1, left: 0 });
        assert_eq!(fetch(&a, 10).await, [waiting.id]);
        a.settle("w", vec![(waiting.id, Outcome::Done)]).await.unwrap();
    }
}

#[tokio::test]
async fn a_move_that_was_interrupted_is_finished_by_the_next() {
    let Some(t) = Test::new().await else { return };
    let (postgres, redis) = (t.queue("postgres").await, t.queue("redis").await);
    let all: Vec<NewJob> = (0..1_200).map(|_| t.job()).collect();
    let mut expected: Vec<JobId> = all.iter().map(|job| job.id).collect();
    t.enqueue(&postgres, &all).await;
    // Part of them are on their way already.
    let app = &t.house.app;
    app.write(&[], "test", async |tx| Ok(outbox::fill_from_jobs(tx.conn(), 300).await?)).await.unwrap();
    app.write(&[], "test", async |tx| relay::forward(&*redis, tx.conn()).await).await.unwrap();
    app.write(&[], "test", async |tx| Ok(outbox::fill_from_jobs(tx.conn(), 200).await?)).await.unwrap();
    assert_eq!(t.shift(&postgres, &redis).await.unwrap().moved, 700);
    assert_eq!(t.shift(&postgres, &redis).await.unwrap().moved, 0);
    // And back, with some taken out of Redis by a move that did not get further.
    redis.remote().unwrap().take(&expected[100..900]).await.unwrap();
    assert_eq!(t.shift(&redis, &postgres).await.unwrap().moved, 1_200);
    assert_eq!(t.shift(&redis, &postgres).await.unwrap().moved, 0);
    let mut there = fetch(&postgres, 2_000).await;
    there.sort_unstable();
    expected.sort_unstable();
    assert_eq!(there, expected);
}

#[tokio::test]
async fn jobs_of_one_lock_keep_their_order() {
    let Some(t) = Test::new().await else { return };
    let (postgres, redis) = (t.queue("postgres").await, t.queue("redis").await);
    let locked = || NewJob { lock: Some("l".to_owned()), ..t.job() };
    let mut all = [locked(), locked(), locked()];
    // Neither time nor id is their order.
    all.reverse();
    for job in &all {
        t.enqueue(&postgres, std::slice::from_ref(job)).await;
    }
    t.shift(&postgres, &redis).await.unwrap();
    assert_eq!(fetch(&redis, 10).await, [all[0].id]);
    redis.settle("w", vec![(all[0].id, Outcome::Done)]).await.unwrap();
    t.shift(&redis, &postgres).await.unwrap();
    for job in &all[1..] {
        assert_eq!(fetch(&postgres, 10).await, [job.id]);
        postgres.settle("w", vec![(job.id, Outcome::Done)]).await.unwrap();
    }
}
