//! Requests that may be retried: the first answer is kept and given again.

use std::time::Duration;

use tenon_core::Result;
pub use tenon_db::idempotency::Answer;

use crate::App;

/// How long an answer is kept.
pub const KEPT: Duration = Duration::from_hours(24);
/// How long a request may hold a key; one that ended with its process lets go of it then.
const LEASE: Duration = Duration::from_mins(2);

/// What a key means for the request that brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nobody brought it before: do the work, then [`finish`] or [`abandon`].
    Fresh,
    /// The work was done; this was the answer.
    Replay(Answer),
    /// The work is being done.
    Running,
    /// It came with another request.
    Mismatch,
}

/// Claims a key of a caller for a request.
pub async fn begin(app: &App, caller_key: &str, key: &str, fingerprint: [u8; 32]) -> Result<Begun> {
    let mut conn = app.read().await?;
    let now = app.now();
    if tenon_db::idempotency::claim(&mut conn, caller_key, key, fingerprint, now, now + LEASE).await? {
        return Ok(Begun::Fresh);
    }
    Ok(match tenon_db::idempotency::find(&mut conn, caller_key, key).await? {
        Some(known) if known.fingerprint != fingerprint => Begun::Mismatch,
        Some(known) => known.answer.map_or(Begun::Running, Begun::Replay),
        // It was let go of between the two statements.
        None => Begun::Running,
    })
}

/// Keeps the answer of a request that began [`Begun::Fresh`].
pub async fn finish(
    app: &App,
    caller_key: &str,
    key: &str,
    fingerprint: [u8; 32],
    answer: &Answer,
) -> Result<()> {
    let mut conn = app.read().await?;
    let until = app.now() + KEPT;
    tenon_db::idempotency::finish(&mut conn, caller_key, key, fingerprint, answer, until).await?;
    Ok(())
}

/// Lets go of a key whose request came to no answer worth keeping.
pub async fn abandon(app: &App, caller_key: &str, key: &str, fingerprint: [u8; 32]) -> Result<()> {
    let mut conn = app.read().await?;
    tenon_db::idempotency::abandon(&mut conn, caller_key, key, fingerprint).await?;
    Ok(())
}
