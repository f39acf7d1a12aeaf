//! The queue in Redis, beyond its laws: a Redis that forgets, goes away, or does not let us in.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tenon_adapters::queue::{Config, connect};
use tenon_core::{
    ids::JobId,
    ports::{
        clock::Clock,
        queue::{Beat, NewJob, Outcome, Queue, QueueError},
    },
};
use tenon_db::{Db, DbConfig};
use tenon_testkit::{clock::FakeClock, laws::soon, services::redis::Server};

const LEASE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_redis_that_was_emptied_is_a_queue_without_jobs() {
    let Some(t) = Test::new().await else { return };
    let (held, waiting) = (t.job(), t.job());
    t.queue.push(vec![held.clone(), waiting.clone()]).await.unwrap();
    assert_eq!(t.fetch(1).await, [held.id]);
    t.tell("FLUSHALL");
    t.tell("SCRIPT FLUSH");
    // The worker does not know, and goes on.
    let beat = Beat { id: held.id, progress: None };
    assert_eq!(t.queue.renew("w", &[beat], LEASE).await.unwrap(), []);
    t.queue.settle("w", vec![(held.id, Outcome::Done)]).await.unwrap();
    assert_eq!(t.fetch(10).await, []);
    assert_eq!(t.queue.remote().unwrap().ended(10).await.unwrap(), []);
    // Given them again, it hands them out again.
    t.queue.push(vec![held.clone(), waiting.clone()]).await.unwrap();
    assert_eq!(t.fetch(10).await, [held.id, waiting.id]);
}

#[tokio::test]
async fn an_evicted_job_blocks_neither_its_queue_nor_its_lock() {
    let Some(t) = Test::new().await else { return };
    let locked = |lock: &str| NewJob { lock: Some(lock.to_owned()), ..t.job() };
    let (first, gone, last) = (locked("l"), locked("l"), locked("l"));
    let plain = t.job();
    t.queue.push(vec![plain.clone(), first.clone(), gone.clone(), last.clone()]).await.unwrap();
    for id in [plain.id, gone.id] {
        t.tell(&format!("DEL {{queue}}:job:{id}"));
    }
    assert_eq!(t.fetch(10).await, [first.id]);
    t.queue.settle("w", vec![(first.id, Outcome::Done)]).await.unwrap();
    assert_eq!(t.fetch(10).await, [last.id]);
}

#[tokio::test]
async fn lost_connections_are_made_again() {
    let Some(t) = Test::new().await else { return };
    let job = t.job();
    t.queue.push(vec![job.clone()]).await.unwrap();
    for kind in ["normal", "pubsub"] {
        t.tell(&format!("CLIENT KILL TYPE {kind} SKIPME yes"));
    }
    let fetched = soon(async {
        loop {
            let queues = ["default".to_owned()];
            match t.queue.fetch("w", &queues, 1, LEASE).await {
                Ok(jobs) => break jobs,
                Err(QueueError::Unavailable(_)) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    })
    .await;
    assert_eq!(fetched[0].id, job.id);
    // And it hears of what others push.
    soon(async {
        t.queue.wait(&["default".to_owned()], Duration::from_millis(100)).await;
    })
    .await;
}

#[tokio::test]
async fn many_large_jobs_go_in_one_push() {
    let Some(t) = Test::new().await else { return };
    let payload = json!("x".repeat(200 * 1024));
    let jobs: Vec<NewJob> = (0..100).map(|_| NewJob { payload: payload.clone(), ..t.job() }).collect();
    t.queue.push(jobs.clone()).await.unwrap();
    assert_eq!(t.fetch(200).await.len(), 100);
}

#[tokio::test]
async fn odd_names_are_names() {
    let Some(t) = Test::new().await else { return };
    for queue in ["", " ", "ü:{x}*", "a\nb", "ready:default"] {
        let job = NewJob { queue: queue.to_owned(), lock: Some(queue.to_owned()), ..t.job() };
        t.queue.push(vec![job.clone()]).await.unwrap();
        let fetched = t.queue.fetch("w", &[queue.to_owned()], 10, LEASE).await.unwrap();
        assert_eq!((fetched.len(), fetched[0].id, fetched[0].queue.as_str()), (1, job.id, queue));
    }
}

#[tokio::test]
async fn two_prefixes_are_two_queues() {
    let Some(t) = Test::new().await else { return };
    let other = open(&t.server, "other", &t.clock).await.unwrap();
    t.queue.push(vec![t.job()]).await.unwrap();
    assert_eq!(other.fetch("w", &["default".to_owned()], 10, LEASE).await.unwrap(), []);
    assert_eq!(t.fetch(10).await.len(), 1);
}

#[tokio::test]
async fn a_redis_that_refuses_us_or_is_not_there_is_named() {
    let Some(t) = Test::new().await else { return };
    let refused = async |url: &str| {
        let config = json!({"backend": "redis", "url": url});
        let config: Config = serde_json::from_value(config).unwrap();
        assert!(!format!("{config:?}").contains("hush"));
        connect(&config, &no_database(), Arc::new(t.clock.clone())).await.map(drop).unwrap_err().to_string()
    };
    let absent = refused("redis://user:hush@127.0.0.1:9/0").await;
    assert_eq!(absent, "Redis at 127.0.0.1:9 cannot be reached.");
    let other = refused("http://127.0.0.1/").await;
    assert!(other.starts_with("url is not one of Redis, such as redis://host:6379"), "{other}");
    t.tell("ACL SETUSER reader on >hush ~* +ping +get");
    let path = t.server.url();
    let reader = refused(&format!("{path}?user=reader&pass=hush")).await;
    assert_eq!(reader, "Redis does not let the queue run its scripts.");
    let wrong = refused(&format!("{path}?user=reader&pass=guess")).await;
    assert!(wrong.ends_with("refuses the user or the password."), "{wrong}");
}

struct Test {
    queue: Arc<dyn Queue>,
    clock: FakeClock,
    server: Server,
}

impl Test {
    /// With a server of its own; `None`, said loudly, where there is none.
    async fn new() -> Option<Self> {
        let (server, clock) = (Server::start()?, FakeClock::new());
        let queue = open(&server, "", &clock).await.unwrap();
        Some(Self { queue, clock, server })
    }

    fn tell(&self, command: &str) {
        let answer = self.server.tell(command).unwrap();
        assert!(!answer.starts_with('-'), "{answer}");
    }

    async fn fetch(&self, limit: usize) -> Vec<JobId> {
        let fetched = self.queue.fetch("w", &["default".to_owned()], limit, LEASE).await.unwrap();
        fetched.into_iter().map(|job| job.id).collect()
    }

    fn job(&self) -> NewJob {
        NewJob {
            id: uuid::Uuid::now_v7().into(),
            name: "count_sheep".to_owned(),
            payload: json!({"n": 1}),
            queue: "default".to_owned(),
            priority: 0,
            run_at: self.clock.now(),
            max_attempts: 3,
            attempts: 0,
            correlation_id: None,
            lock: None,
            unique_key: None,
        }
    }
}

async fn open(
    server: &Server,
    prefix: &str,
    clock: &FakeClock,
) -> Result<Arc<dyn Queue>, tenon_adapters::ConnectError> {
    let config = json!({"backend": "redis", "url": server.url(), "prefix": prefix});
    let config: Config = serde_json::from_value(config).unwrap();
    connect(&config, &no_database(), Arc::new(clock.clone())).await
}

/// It is not asked.
fn no_database() -> Db {
    Db::open(DbConfig::new("postgres://127.0.0.1:9"))
}
