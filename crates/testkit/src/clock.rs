//! Time that moves when a test says so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::DateTime;
use tenon_core::{Time, ports::clock::Clock};

/// A clock that stands at 2026-01-02 03:04:05 UTC until it is moved. Clones show the same time.
#[derive(Debug, Clone)]
pub struct FakeClock(Arc<AtomicI64>);

impl FakeClock {
    /// A clock of its own.
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_767_323_045_000_000)))
    }
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).expect("tests do not last for centuries");
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
    /// Sets it back.
    pub fn set_back(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).expect("tests do not last for centuries");
        self.0.fetch_sub(micros, Ordering::SeqCst);
    }
}

impl Default for FakeClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Time {
        DateTime::from_timestamp_micros(self.0.load(Ordering::SeqCst))
            .expect("tests stay within the calendar")
    }
}

/// The time a fixture's adapter goes by: one that a test moves, or the real one.
#[derive(Debug, Clone)]
pub enum Timeline {
    /// Moved by the test.
    Fake(FakeClock),
    /// Passes by itself; only for adapters whose service has a clock of its own.
    Real,
}

impl Timeline {
    /// Lets `time` pass, and a little more where nobody can stop the clock.
    pub async fn pass(&self, time: Duration) {
        match self {
            Self::Fake(clock) => clock.advance(time),
            Self::Real => tokio::time::sleep(time + Duration::from_millis(15)).await,
        }
    }
    /// A span that tests can afford to wait for.
    pub const fn span(&self) -> Duration {
        match self {
            Self::Fake(_) => Duration::from_mins(1),
            Self::Real => Duration::from_millis(400),
        }
    }
}
