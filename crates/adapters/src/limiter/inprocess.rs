//! Budgets within one process: a log of the calls allowed, per key.
//!
//! A log and not a bucket of tokens: a bucket lets twice its size through in some window.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tenon_core::ports::{
    clock::Clock,
    limiter::{Budget, Limiter, LimiterError, Verdict},
};

/// Keys remembered; beyond it the one that was quiet longest is forgotten, and its budget is whole again.
const KEYS: usize = 100_000;

pub(super) struct InProcessLimiter {
    clock: Arc<dyn Clock>,
    calls: Mutex<Calls>,
}

/// Allowed calls per key, and the keys by when they were last allowed one.
#[derive(Default)]
struct Calls {
    by_key: HashMap<Arc<str>, Log>,
    by_age: BTreeMap<u64, Arc<str>>,
    turn: u64,
}

/// When a key's calls were allowed, in microseconds, and its place among the keys by age.
#[derive(Default)]
struct Log {
    times: VecDeque<i64>,
    turn: u64,
}

impl InProcessLimiter {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, calls: Mutex::default() }
    }
}

#[async_trait]
impl Limiter for InProcessLimiter {
    async fn take(&self, key: &str, budget: Budget) -> Result<Verdict, LimiterError> {
        let now = self.clock.now().timestamp_micros();
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(calls.take(key, budget, now))
    }

    async fn give_back(&self, key: &str, _: Budget) -> Result<(), LimiterError> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).give_back(key);
        Ok(())
    }
}

impl Calls {
    fn take(&mut self, key: &str, budget: Budget, now: i64) -> Verdict {
        let window = i64::try_from(budget.window.as_micros()).unwrap_or(i64::MAX);
        let limit = budget.calls as usize;
        let used = self.by_key.get_mut(key).map_or(0, |log| {
            while log.times.front().is_some_and(|first| first.saturating_add(window) <= now) {
                log.times.pop_front();
            }
            log.times.len()
        });
        if used >= limit {
            let oldest =
                self.by_key.get(key).and_then(|log| log.times.get(used.saturating_sub(limit.max(1))));
            let free_at = oldest.map_or(now.saturating_add(window), |first| first.saturating_add(window));
            let wait = u64::try_from(free_at.saturating_sub(now)).unwrap_or(0);
            return Verdict { allowed: false, remaining: 0, reset_after: Duration::from_micros(wait) };
        }
        self.note(key, now);
        let remaining = u32::try_from(limit - used - 1).unwrap_or(u32::MAX);
        Verdict { allowed: true, remaining, reset_after: budget.window }
    }

    /// Crosses out the newest call of `key`; a key without calls is forgotten.
    fn give_back(&mut self, key: &str) {
        let Some(log) = self.by_key.get_mut(key) else { return };
        log.times.pop_back();
        if log.times.is_empty() {
            self.by_age.remove(&log.turn);
            self.by_key.remove(key);
        }
    }

    /// Writes an allowed call down and makes `key` the youngest.
    fn note(&mut self, key: &str, now: i64) {
        let key: Arc<str> = self.by_key.get_key_value(key).map_or_else(|| key.into(), |(key, _)| key.clone());
        self.turn += 1;
        let log = self.by_key.entry(key.clone()).or_default();
        log.times.push_back(now);
        self.by_age.remove(&log.turn);
        log.turn = self.turn;
        self.by_age.insert(self.turn, key);
        if self.by_key.len() > KEYS
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.by_key.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_whose_calls_were_all_given_back_is_forgotten() {
        let mut calls = Calls::default();
        calls.take("key", Budget { calls: 2, window: Duration::from_mins(1) }, 0);
        calls.give_back("key");
        assert_eq!((calls.by_key.len(), calls.by_age.len()), (0, 0));
    }

    #[test]
    fn a_flood_of_keys_does_not_fill_the_memory() {
        let mut calls = Calls::default();
        let budget = Budget { calls: 2, window: Duration::from_mins(1) };
        for n in 0..(KEYS + 10) {
            calls.take(&n.to_string(), budget, 0);
        }
        assert_eq!(calls.by_key.len(), KEYS);
        assert_eq!(calls.by_age.len(), KEYS);
    }
}
