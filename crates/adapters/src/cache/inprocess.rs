//! The cache within one process, bounded by the bytes it holds.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use tenon_core::{
    Time,
    ports::{
        cache::{Cache, CacheError},
        clock::Clock,
    },
};

use crate::connect::from_text;

/// Settings of the cache in process.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InProcessConfig {
    /// Keys and values kept, in bytes; beyond it the oldest go first.
    #[serde(deserialize_with = "from_text")]
    #[schemars(extend("minimum" = 65_536, "maximum" = 1_099_511_627_776_i64))]
    pub max_bytes: usize,
}

impl Default for InProcessConfig {
    fn default() -> Self {
        Self { max_bytes: 64 << 20 }
    }
}

pub(super) struct InProcessCache {
    clock: Arc<dyn Clock>,
    max_bytes: usize,
    entries: Mutex<Entries>,
}

/// The values by key, and the keys by when they were put.
#[derive(Default)]
struct Entries {
    by_key: HashMap<Arc<str>, Entry>,
    by_age: BTreeMap<u64, Arc<str>>,
    turn: u64,
    bytes: usize,
}

struct Entry {
    value: Bytes,
    until: Time,
    turn: u64,
}

impl InProcessCache {
    pub(super) fn new(config: &InProcessConfig, clock: Arc<dyn Clock>) -> Self {
        Self { clock, max_bytes: config.max_bytes, entries: Mutex::default() }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Cache for InProcessCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        let now = self.clock.now();
        let mut entries = self.entries();
        match entries.by_key.get(key) {
            Some(entry) if entry.until > now => Ok(Some(entry.value.clone())),
            Some(_) => {
                entries.remove(key);
                Ok(None)
            }
            None => Ok(None),
        }
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        let ttl = chrono::TimeDelta::from_std(ttl).unwrap_or(chrono::TimeDelta::MAX);
        let until = self.clock.now().checked_add_signed(ttl).unwrap_or(Time::MAX_UTC);
        let mut entries = self.entries();
        entries.remove(key);
        entries.insert(key, value, until);
        while entries.bytes > self.max_bytes && entries.remove_oldest() {}
        Ok(())
    }

    async fn forget(&self, key: &str) -> Result<(), CacheError> {
        self.entries().remove(key);
        Ok(())
    }
}

impl Entries {
    fn insert(&mut self, key: &str, value: Bytes, until: Time) {
        let key: Arc<str> = key.into();
        self.turn += 1;
        self.bytes += key.len() + value.len();
        self.by_age.insert(self.turn, key.clone());
        self.by_key.insert(key, Entry { value, until, turn: self.turn });
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.by_key.remove(key) {
            self.by_age.remove(&entry.turn);
            self.bytes -= key.len() + entry.value.len();
        }
    }

    fn remove_oldest(&mut self) -> bool {
        let Some(key) = self.by_age.values().next().cloned() else { return false };
        self.remove(&key);
        true
    }
}
