//! Durable jobs: in the application's Postgres, in Redis, as messages of sqlxmq, or in memory.

mod bell;
mod memory;
mod postgres;
mod redis;
#[cfg(feature = "sqlxmq")]
mod sqlxmq;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use tenon_core::ports::{
    clock::Clock,
    queue::{MAX_PAYLOAD_BYTES, NewJob, Queue, QueueError},
};

use tenon_db::Db;

use crate::ConnectError;
pub use crate::redis_pool::RedisConfig;
pub use memory::MemoryQueue;

/// Which queue.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "backend", rename_all = "lowercase", deny_unknown_fields)]
pub enum Config {
    /// The application's own Postgres.
    Postgres {},
    /// Redis, fed from the database, which keeps every job until it has ended.
    Redis(RedisConfig),
    /// Messages of sqlxmq in the application's database, in a schema of their own; without priorities, locks, unique
    /// keys, cancelling and pausing.
    #[cfg(feature = "sqlxmq")]
    Sqlxmq {},
    /// Memory of this process; gone with it.
    Memory {},
}

impl Config {
    /// Says what could never be connected to, without connecting.
    pub fn check(&self) -> Result<(), ConnectError> {
        match self {
            Self::Redis(config) => config.check(),
            _ => Ok(()),
        }
    }

    /// The word for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Postgres {} => "postgres",
            Self::Redis(_) => "redis",
            #[cfg(feature = "sqlxmq")]
            Self::Sqlxmq {} => "sqlxmq",
            Self::Memory {} => "memory",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::Postgres {}
    }
}

/// Opens the configured queue, within a runtime.
pub async fn connect(
    config: &Config,
    db: &Db,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Queue>, ConnectError> {
    Ok(match config {
        Config::Postgres {} => Arc::new(postgres::PostgresQueue::new(db.clone(), clock)),
        Config::Redis(config) => Arc::new(redis::RedisQueue::connect(config, clock).await?),
        #[cfg(feature = "sqlxmq")]
        Config::Sqlxmq {} => Arc::new(sqlxmq::SqlxmqQueue::connect(db.url(), clock).await?),
        Config::Memory {} => Arc::new(MemoryQueue::new(clock)),
    })
}

/// The same for a process that waits for its queue while it works: a Redis need not be there yet.
pub async fn connect_lazily(
    config: &Config,
    db: &Db,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Queue>, ConnectError> {
    match config {
        Config::Redis(config) => Ok(Arc::new(redis::RedisQueue::lazily(config, clock)?)),
        other => connect(other, db, clock).await,
    }
}

/// What is written down of a job whose worker vanished once too often.
const LOST_WORKER: &str = "its worker vanished while running it";

/// Refuses payloads that no adapter takes.
fn refuse_large_payloads(jobs: &[NewJob]) -> Result<(), QueueError> {
    for job in jobs {
        let bytes = job.payload.to_string().len();
        if bytes > MAX_PAYLOAD_BYTES {
            return Err(QueueError::PayloadTooLarge { name: job.name.clone(), bytes });
        }
    }
    Ok(())
}
