//! Connections that the system refuses to hand over, told once a second and counted always.

use std::{
    io::Error,
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);

/// What was refused at one socket.
#[derive(Debug, Default)]
pub struct Refusals {
    told: Option<Instant>,
    untold: u64,
}

impl Refusals {
    /// Counts an error of `accept`, and logs it unless one was logged within the second.
    pub fn tell(&mut self, error: &Error) {
        metrics::counter!("http_accept_errors_total").increment(1);
        self.untold += 1;
        if self.told.is_some_and(|told| told.elapsed() < SECOND) {
            return;
        }
        tracing::error!(
            error = error as &dyn std::error::Error,
            accept.errors = self.untold,
            "Cannot accept connections: raise the limit of open files (LimitNOFILE) if there are too many"
        );
        self.told = Some(Instant::now());
        self.untold = 0;
    }
}
