//! A limiter that goes on in this process while the shared one is away.
//!
//! Counts are not carried over: each side knows the calls that it allowed itself. So a caller who meets the moment of
//! the change may be allowed the limit once more, but never goes uncounted.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use tenon_core::ports::limiter::{Budget, Limiter, LimiterError, Verdict};

use crate::breaker::Breaker;

pub(super) struct FallbackLimiter {
    shared: Arc<dyn Limiter>,
    local: Arc<dyn Limiter>,
    breaker: Breaker,
    /// Whether the log was told that calls are counted here.
    told: AtomicBool,
}

impl FallbackLimiter {
    pub(super) fn new(shared: Arc<dyn Limiter>, local: Arc<dyn Limiter>) -> Self {
        Self { shared, local, breaker: Breaker::default(), told: AtomicBool::new(false) }
    }

    /// What the shared limiter says; nothing while it is away.
    async fn shared<T>(&self, call: impl Future<Output = Result<T, LimiterError>>) -> Option<T> {
        match self.breaker.run(async { call.await.map_err(|e| e.0) }).await {
            Ok(value) => {
                self.back();
                Some(value)
            }
            Err(error) => {
                self.away(&*error);
                None
            }
        }
    }

    fn away(&self, error: &(dyn std::error::Error + 'static)) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "The limiter's Redis is away; this process counts calls by itself");
        }
    }

    fn back(&self) {
        if self.told.load(Ordering::Relaxed) && self.told.swap(false, Ordering::Relaxed) {
            tracing::info!("The limiter's Redis is back; calls are counted there");
        }
    }
}

#[async_trait]
impl Limiter for FallbackLimiter {
    async fn take(&self, key: &str, budget: Budget) -> Result<Verdict, LimiterError> {
        match self.shared(self.shared.take(key, budget)).await {
            Some(verdict) => Ok(verdict),
            None => self.local.take(key, budget).await,
        }
    }

    async fn give_back(&self, key: &str, budget: Budget) -> Result<(), LimiterError> {
        match self.shared(self.shared.give_back(key, budget)).await {
            Some(()) => Ok(()),
            None => self.local.give_back(key, budget).await,
        }
    }

    async fn check(&self) -> Result<(), LimiterError> {
        let checked = self.breaker.check(async { self.shared.check().await.map_err(|e| e.0) }).await;
        match &checked {
            Ok(()) => self.back(),
            Err(error) => self.away(&**error),
        }
        checked.map_err(LimiterError)
    }
}
