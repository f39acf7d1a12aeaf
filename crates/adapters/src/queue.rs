//! Durable jobs: in the application's Postgres, or in memory.

mod memory;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use tenon_core::ports::{
    clock::Clock,
    queue::{MAX_PAYLOAD_BYTES, NewJob, Queue, QueueError},
};

pub use memory::MemoryQueue;

use crate::ConnectError;

/// Which queue.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "backend", rename_all = "lowercase", deny_unknown_fields)]
pub enum Config {
    /// Memory of this process; gone with it.
    Memory {},
}

impl Default for Config {
    fn default() -> Self {
        Self::Memory {}
    }
}

/// Opens the configured queue.
pub fn connect(config: &Config, clock: Arc<dyn Clock>) -> Result<Arc<dyn Queue>, ConnectError> {
    Ok(match config {
        Config::Memory {} => Arc::new(MemoryQueue::new(clock)),
    })
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
