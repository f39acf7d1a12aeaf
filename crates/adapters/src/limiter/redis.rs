//! Budgets in Redis: one script, one round trip, by the clock of Redis.

use std::time::Duration;

use async_trait::async_trait;
use redis::{AsyncCommands, Script};
use tenon_core::ports::limiter::{Budget, Limiter, LimiterError, Verdict};

use crate::{
    ConnectError,
    redis_pool::{Pool, RedisConfig},
};

/// A list per key holds when calls were allowed; the key expires with its youngest call.
/// Answers: allowed, remaining, microseconds to wait.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local first = redis.call('LINDEX', KEYS[1], 0)
while first and tonumber(first) + window <= now do
  redis.call('LPOP', KEYS[1])
  first = redis.call('LINDEX', KEYS[1], 0)
end
local used = redis.call('LLEN', KEYS[1])
if used >= limit then
  local oldest = redis.call('LINDEX', KEYS[1], used - math.max(limit, 1))
  local free = oldest and tonumber(oldest) + window or now + window
  return {0, 0, free - now}
end
redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000) + 1)
return {1, limit - used - 1, window}
";

pub(super) struct RedisLimiter {
    config: RedisConfig,
    pool: Pool,
    prefix: String,
    script: Script,
}

impl RedisLimiter {
    /// Without looking whether Redis is there.
    pub(super) fn lazily(config: RedisConfig) -> Result<Self, ConnectError> {
        let prefix = format!("{}limit:", config.prefix);
        Ok(Self { pool: config.lazy_pool()?, config, prefix, script: Script::new(TAKE) })
    }
}

#[async_trait]
impl Limiter for RedisLimiter {
    async fn take(&self, key: &str, budget: Budget) -> Result<Verdict, LimiterError> {
        let mut connection = self.pool.get().await.map_err(|e| LimiterError(e.into()))?;
        let window = u64::try_from(budget.window.as_micros()).unwrap_or(u64::MAX);
        let (allowed, remaining, wait): (bool, u32, u64) = self
            .script
            .key(format!("{}{key}", self.prefix))
            .arg(budget.calls)
            .arg(window)
            .invoke_async(&mut *connection)
            .await
            .map_err(|e| LimiterError(e.into()))?;
        Ok(Verdict { allowed, remaining, reset_after: Duration::from_micros(wait) })
    }

    async fn give_back(&self, key: &str, _: Budget) -> Result<(), LimiterError> {
        let mut connection = self.pool.get().await.map_err(|e| LimiterError(e.into()))?;
        let key = format!("{}{key}", self.prefix);
        connection.rpop::<_, ()>(key, None).await.map_err(|e| LimiterError(e.into()))
    }

    async fn check(&self) -> Result<(), LimiterError> {
        self.config.probe().await.map_err(|e| LimiterError(e.into()))
    }
}
