//! A circuit breaker: while a service is away, callers are told at once instead of each waiting for it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tenon_core::BoxError;
use tokio::time::{Instant, timeout};

/// How long a call may take before the service counts as away.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a service that went away is left alone; twice as long after each vain attempt, up to the longest.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);
/// How long a health check may take: less than readiness waits, so that its outcome is remembered.
const CHECK: Duration = Duration::from_millis(800);

/// Remembers whether a service is away. One call at a time finds out whether it is back.
#[derive(Default)]
pub(crate) struct Breaker {
    /// Since the service is away: when it is tried next, and how long it was left alone before.
    open: Mutex<Option<Open>>,
}

#[derive(Clone, Copy)]
struct Open {
    retry_at: Instant,
    pause: Duration,
}

/// The service was away a moment ago and was not asked.
#[derive(Debug, thiserror::Error)]
#[error("it was away a moment ago")]
struct NotAsked;

/// The service took too long.
#[derive(Debug, thiserror::Error)]
#[error("it did not respond within {} ms", .0.as_millis())]
struct TooLate(Duration);

impl Breaker {
    /// Asks the service, unless it is known to be away.
    pub(crate) async fn run<T, E: Into<BoxError>>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, BoxError> {
        if !self.admits() {
            return Err(NotAsked.into());
        }
        self.settle(timeout(PATIENCE, call).await.map_err(|_| TooLate(PATIENCE)))
    }

    /// Asks the service whether or not it was away, and remembers what comes of it.
    pub(crate) async fn check<E: Into<BoxError>>(
        &self,
        call: impl Future<Output = Result<(), E>>,
    ) -> Result<(), BoxError> {
        self.settle(timeout(CHECK, call).await.map_err(|_| TooLate(CHECK)))
    }

    fn settle<T, E: Into<BoxError>>(&self, outcome: Result<Result<T, E>, TooLate>) -> Result<T, BoxError> {
        let outcome = match outcome {
            Ok(answered) => answered.map_err(Into::into),
            Err(late) => Err(late.into()),
        };
        let mut open = self.lock();
        match (&outcome, *open) {
            (Ok(_), _) => *open = None,
            (Err(_), None) => *open = Some(Open { retry_at: Instant::now() + SHORTEST, pause: SHORTEST }),
            // Others noted it already.
            (Err(_), Some(_)) => {}
        }
        outcome
    }

    /// Whether this call may ask. The one that finds out keeps the others from asking meanwhile.
    fn admits(&self) -> bool {
        let mut open = self.lock();
        let Some(known) = *open else { return true };
        let now = Instant::now();
        if now < known.retry_at {
            return false;
        }
        let pause = (known.pause * 2).min(LONGEST);
        *open = Some(Open { retry_at: now + PATIENCE + pause, pause });
        true
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::pending};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_now_and_then_somebody_waits_for_a_service_that_is_silent() {
        let (breaker, began) = (Breaker::default(), Instant::now());
        let mut waits = 0;
        while began.elapsed() < Duration::from_mins(1) {
            let asked = Instant::now();
            breaker.run(pending::<Result<(), Infallible>>()).await.unwrap_err();
            waits += u32::from(asked.elapsed() > Duration::ZERO);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!((10..20).contains(&waits), "{waits} callers waited within a minute");
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_is_back_is_used_again() {
        let breaker = Breaker::default();
        breaker.run(async { Err::<(), _>("refused") }).await.unwrap_err();
        breaker.run(async { Ok::<_, Infallible>(1) }).await.unwrap_err();
        tokio::time::advance(SHORTEST).await;
        assert_eq!(breaker.run(async { Ok::<_, Infallible>(1) }).await.unwrap(), 1);
        assert_eq!(breaker.run(async { Ok::<_, Infallible>(2) }).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_tells_callers_before_they_ask() {
        let breaker = Breaker::default();
        breaker.check(async { Err::<(), _>("refused") }).await.unwrap_err();
        breaker.run(async { Ok::<_, Infallible>(1) }).await.unwrap_err();
        breaker.check(async { Ok::<_, Infallible>(()) }).await.unwrap();
        assert_eq!(breaker.run(async { Ok::<_, Infallible>(1) }).await.unwrap(), 1);
    }
}
