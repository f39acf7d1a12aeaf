//! The wall clock.

use chrono::{SubsecRound, Utc};
use tenon_core::{Time, ports::clock::Clock};

/// Reads the system's clock; the only place that does.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the port's one adapter, the place that may")]
    fn now(&self) -> Time {
        Utc::now().trunc_subsecs(6)
    }
}
