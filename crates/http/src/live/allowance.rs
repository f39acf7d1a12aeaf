//! How much a socket may say: its frames draw from the rate limit of its credential, as requests do.
//!
//! A frame too many is not done and told so; who goes on regardless is closed.

use std::{sync::Arc, time::Duration};

use tenon_core::{callers::Credential, ports::limiter::Limiter};
use tokio::time::timeout;

use crate::frame::{CredentialLimit, Frame};

/// How long the limiter may think; one that is away lets everybody through, as with requests.
const PATIENCE: Duration = Duration::from_millis(500);
/// Refused frames in a row after which a socket is closed.
const REFUSALS: u32 = 20;

/// What a socket draws from.
pub(crate) struct Allowance {
    limiter: Arc<dyn Limiter>,
    limit: CredentialLimit,
    /// Frames refused since the last one that was not.
    refused: u32,
}

impl std::fmt::Debug for Allowance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Allowance").field("class", &self.limit.class).finish_non_exhaustive()
    }
}

/// What is said of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drawn {
    Allowed,
    /// Too many; come back after this time.
    Refused(Duration),
    /// Far too many.
    Exhausted,
}

impl Allowance {
    /// That of a credential.
    pub(crate) fn of(frame: &Frame, credential: Credential) -> Self {
        Self { limiter: Arc::clone(&frame.limiter), limit: frame.settings.limits.of(credential), refused: 0 }
    }

    /// Counts a frame.
    pub(super) async fn draw(&mut self) -> Drawn {
        let taken = timeout(PATIENCE, self.limiter.take(&self.limit.key, self.limit.budget)).await;
        let verdict = match taken {
            Ok(Ok(verdict)) if !verdict.allowed => verdict,
            Ok(Ok(_)) => {
                self.refused = 0;
                return Drawn::Allowed;
            }
            Ok(Err(error)) => {
                tracing::warn!(limiter.error = %error.0, "the limiter is away; frames are not counted");
                return Drawn::Allowed;
            }
            Err(_) => {
                tracing::warn!("the limiter takes too long; frames are not counted");
                return Drawn::Allowed;
            }
        };
        metrics::counter!("rate_limited_total", "class" => self.limit.class).increment(1);
        self.refused += 1;
        if self.refused > REFUSALS { Drawn::Exhausted } else { Drawn::Refused(verdict.reset_after) }
    }
}
