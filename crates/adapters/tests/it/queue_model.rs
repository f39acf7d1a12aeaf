//! Random histories of a queue beside a small model of it: whatever happens in whatever order, both say the same.

mod model;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config as Cases, TestRunner},
};
use serde_json::json;
use tenon_adapters::queue::{Config, MemoryQueue, connect};
use tenon_core::{
    Time,
    ids::JobId,
    ports::{
        clock::Clock as _,
        queue::{Beat, Cancel, NewJob, Outcome, Queue},
    },
};
use tenon_db::{Db, jobs::admin};
use tenon_testkit::{TestDb, clock::FakeClock, laws::unique};

use self::model::{At, Job, Model};

const LEASE: Duration = Duration::from_secs(30);
const WORKERS: [&str; 2] = ["ada", "bob"];

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    Push {
        queue: usize,
        priority: i16,
        delay: u64,
        lock: Option<u8>,
        key: Option<u8>,
        max_attempts: i32,
    },
    Fetch {
        worker: usize,
        queues: Vec<usize>,
        limit: usize,
    },
    /// Of what the worker holds: one, or everything in one statement.
    Settle {
        worker: usize,
        which: Option<usize>,
        how: How,
    },
    Renew {
        worker: usize,
    },
    Cancel {
        which: usize,
    },
    Pause {
        queue: usize,
        paused: bool,
    },
    Pass {
        seconds: u64,
    },
}

#[derive(Debug, Clone, Copy)]
enum How {
    Done,
    Retry(u64),
    Dead,
    Released,
    Cancelled,
}

fn step() -> impl Strategy<Value = Step> {
    let few = |n: u8| prop::option::weighted(0.4, 0..n);
    let how = prop_oneof![
        3 => Just(How::Done),
        2 => (0..40_u64).prop_map(How::Retry),
        1 => Just(How::Dead),
        2 => Just(How::Released),
        1 => Just(How::Cancelled),
    ];
    prop_oneof![
        6 => (0..2_usize, -1..2_i16, prop_oneof![3 => Just(0), 1 => 1..20_u64], few(2), few(2), 1..4_i32).prop_map(
            |(queue, priority, delay, lock, key, max_attempts)| Step::Push { queue, priority, delay, lock, key, max_attempts }
        ),
        5 => (0..2_usize, prop::sample::subsequence(vec![0, 1], 1..=2), 1..4_usize)
            .prop_map(|(worker, queues, limit)| Step::Fetch { worker, queues, limit }),
        4 => (0..2_usize, prop::option::weighted(0.7, 0..4_usize), how)
            .prop_map(|(worker, which, how)| Step::Settle { worker, which, how }),
        1 => (0..2_usize).prop_map(|worker| Step::Renew { worker }),
        1 => (0..30_usize).prop_map(|which| Step::Cancel { which }),
        1 => (0..2_usize, any::<bool>()).prop_map(|(queue, paused)| Step::Pause { queue, paused }),
        2 => prop_oneof![1..5_u64, 10..40_u64].prop_map(|seconds| Step::Pass { seconds }),
    ]
}

/// A queue under test with what it is compared by.
struct Bench {
    queue: Arc<dyn Queue>,
    clock: FakeClock,
    names: [String; 2],
    model: Model,
    /// It always hands out the most urgent; a queue with marks may come to them a little later.
    is_exact: bool,
    /// It looks at leases whenever it is asked anything.
    is_eager: bool,
}

impl Bench {
    async fn step(&mut self, step: &Step) {
        let now = self.clock.now();
        match step {
            Step::Push { queue, priority, delay, lock, key, max_attempts } => {
                let new = Job {
                    id: uuid::Uuid::now_v7().into(),
                    queue: *queue,
                    priority: *priority,
                    run_at: now + Duration::from_secs(*delay),
                    lock: *lock,
                    key: *key,
                    attempts: 0,
                    max_attempts: *max_attempts,
                    lost_workers: 0,
                    cancel_asked: false,
                    at: At::Waits,
                };
                let waiting = key.and_then(|key| self.model.waiting(key));
                let given = self.queue.push(vec![self.as_new(&new)]).await.unwrap();
                assert_eq!(given, [waiting.unwrap_or(new.id)]);
                if waiting.is_none() {
                    self.model.jobs.push(new);
                }
            }
            Step::Fetch { worker, queues, limit } => self.fetch(*worker, queues, *limit).await,
            Step::Settle { worker, which, how } => {
                let held = self.model.held(*worker);
                let chosen = match which {
                    Some(n) => held.get(*n).copied().into_iter().collect(),
                    None => held,
                };
                let outcomes: Vec<_> = chosen.into_iter().map(|id| (id, outcome(*how, now))).collect();
                for (id, outcome) in &outcomes {
                    self.model.settle(*id, outcome);
                }
                self.queue.settle(WORKERS[*worker], outcomes).await.unwrap();
            }
            Step::Renew { worker } => {
                let before = self.model.held(*worker);
                if self.is_eager {
                    self.model.look(now);
                }
                let held = self.model.held(*worker);
                let beats: Vec<Beat> = before.iter().map(|id| Beat { id: *id, progress: None }).collect();
                let renewed = self.queue.renew(WORKERS[*worker], &beats, LEASE).await.unwrap();
                let told: BTreeSet<_> = renewed.iter().map(|held| (held.id, held.cancel_asked)).collect();
                let expected = held.iter().map(|id| (*id, self.model.find(*id).cancel_asked)).collect();
                assert_eq!(told, expected);
                for id in held {
                    self.model.find(id).at = At::Held { by: *worker, until: now + LEASE };
                }
            }
            Step::Cancel { which } => {
                let Some(job) = self.model.jobs.get_mut(*which) else { return };
                let expected = match job.at {
                    At::Waits => Cancel::Taken,
                    At::Held { .. } => Cancel::Asked,
                    At::Ended { .. } => Cancel::Late,
                };
                match expected {
                    Cancel::Taken => job.at = At::Ended { dead: false },
                    Cancel::Asked => job.cancel_asked = true,
                    Cancel::Late => {}
                }
                assert_eq!(self.queue.cancel(job.id).await.unwrap(), expected);
            }
            Step::Pause { queue, paused } => {
                self.queue.pause(&self.names[*queue], *paused).await.unwrap();
                if *paused {
                    self.model.paused.insert(*queue);
                } else {
                    self.model.paused.remove(queue);
                }
            }
            Step::Pass { seconds } => self.clock.advance(Duration::from_secs(*seconds)),
        }
    }

    async fn fetch(&mut self, worker: usize, queues: &[usize], limit: usize) {
        let now = self.clock.now();
        self.model.look(now);
        let ready = self.model.ready(queues, now);
        let names: Vec<String> = queues.iter().map(|queue| self.names[*queue].clone()).collect();
        let fetched = self.queue.fetch(WORKERS[worker], &names, limit, LEASE).await.unwrap();
        let got: Vec<JobId> = fetched.iter().map(|job| job.id).collect();
        if self.is_exact {
            assert_eq!(got, ready[..limit.min(ready.len())]);
        } else {
            let in_order: Vec<JobId> = ready.iter().filter(|id| got.contains(id)).copied().collect();
            assert_eq!(got, in_order, "of what is ready, in order: {ready:?}");
            assert!(got.len() <= limit);
            assert_eq!(got.is_empty(), ready.is_empty(), "something is ready: {ready:?}");
        }
        for leased in fetched {
            let job = self.model.find(leased.id);
            job.attempts += 1;
            assert_eq!((leased.attempt, leased.max_attempts), (job.attempts, job.max_attempts));
            job.at = At::Held { by: worker, until: now + LEASE };
        }
    }

    /// Everything ends once nothing holds it up.
    async fn drain(&mut self) {
        for queue in 0..2 {
            self.step(&Step::Pause { queue, paused: false }).await;
        }
        self.clock.advance(Duration::from_mins(5));
        for _ in 0..=self.model.jobs.len() {
            self.fetch(0, &[0, 1], 10).await;
            self.step(&Step::Settle { worker: 0, which: None, how: How::Done }).await;
        }
        let left: Vec<&Job> =
            self.model.jobs.iter().filter(|job| !matches!(job.at, At::Ended { .. })).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    fn dead(&self) -> BTreeSet<JobId> {
        let dead = self.model.jobs.iter().filter(|job| job.at == At::Ended { dead: true });
        dead.map(|job| job.id).collect()
    }

    fn as_new(&self, job: &Job) -> NewJob {
        // Names of this history, so that many can share a database.
        let own = |what: &str, n: u8| format!("{}-{what}-{n}", self.names[0]);
        NewJob {
            id: job.id,
            name: "count_sheep".to_owned(),
            payload: json!({}),
            queue: self.names[job.queue].clone(),
            priority: job.priority,
            run_at: job.run_at,
            max_attempts: job.max_attempts,
            attempts: 0,
            correlation_id: None,
            lock: job.lock.map(|n| own("lock", n)),
            unique_key: job.key.map(|n| own("key", n)),
        }
    }
}

fn outcome(how: How, now: Time) -> Outcome {
    let error = "the tool broke".into();
    match how {
        How::Done => Outcome::Done,
        How::Retry(seconds) => Outcome::Retry { at: now + Duration::from_secs(seconds), error },
        How::Dead => Outcome::Dead { error },
        How::Released => Outcome::Released,
        How::Cancelled => Outcome::Cancelled,
    }
}

fn names() -> [String; 2] {
    [unique("one"), unique("two")]
}

/// Runs random histories, and of one that fails the shortest that does.
fn histories(cases: u32, run: impl Fn(Vec<Step>)) {
    let config = Cases { cases, failure_persistence: None, max_shrink_iters: 2000, ..Cases::default() };
    let found = TestRunner::new(config).run(&prop::collection::vec(step(), 1..60), |steps| {
        run(steps);
        Ok(())
    });
    if let Err(error) = found {
        panic!("{error}");
    }
}

#[test]
fn a_queue_in_memory_does_as_the_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    histories(300, |steps| {
        runtime.block_on(async {
            let clock = FakeClock::new();
            let queue = Arc::new(MemoryQueue::new(Arc::new(clock.clone())));
            let model = Model::new(Duration::ZERO);
            let (is_exact, is_eager) = (true, true);
            let mut bench = Bench { queue: queue.clone(), clock, names: names(), model, is_exact, is_eager };
            for step in &steps {
                bench.step(step).await;
            }
            bench.drain().await;
            assert_eq!(queue.dead().into_iter().map(|(id, _)| id).collect::<BTreeSet<_>>(), bench.dead());
        });
    });
}

#[test]
fn a_queue_in_postgres_does_as_the_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(TestDb::new());
    histories(60, |steps| {
        runtime.block_on(async {
            let clock = FakeClock::new();
            let queue = connect(&Config::Postgres {}, database.db(), Arc::new(clock.clone())).await.unwrap();
            let model = Model::new(Duration::from_secs(3));
            let (is_exact, is_eager) = (false, false);
            let mut bench = Bench { queue, clock, names: names(), model, is_exact, is_eager };
            for step in &steps {
                bench.step(step).await;
            }
            bench.drain().await;
            assert_eq!(dead(database.db(), &bench.names).await, bench.dead());
        });
    });
}

async fn dead(db: &Db, queues: &[String]) -> BTreeSet<JobId> {
    let mut dead = BTreeSet::new();
    for queue in queues {
        let filter =
            admin::Filter { state: Some(admin::State::Dead), queue: Some(queue.clone()), name: None };
        let rows = admin::list(&mut db.conn().await.unwrap(), &filter, None, 1000).await.unwrap();
        dead.extend(rows.into_iter().map(|row| JobId::from(row.id)));
    }
    dead
}
