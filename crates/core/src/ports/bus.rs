//! Messages between processes that may be lost: bells and presence.

use async_trait::async_trait;
use bytes::Bytes;

use crate::BoxError;

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A message on a topic listened to.
    Message {
        /// Its topic.
        topic: String,
        /// Its body.
        body: Bytes,
    },
    /// The connection was lost and is back: messages may be missing, catch up from the log.
    Lost,
}

/// The bus could not take the message.
#[derive(Debug, thiserror::Error)]
#[error("the bus is not available")]
pub struct BusError(#[source] pub BoxError);

/// Carries short messages to every listener of a topic, in whatever process it runs.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Sends `body` to everybody who listens to `topic` now. Each listener hears it once; messages of
    /// one publisher on one topic arrive in order. Nobody listening is no error.
    async fn publish(&self, topic: &str, body: Bytes) -> Result<(), BusError>;
    /// A new listener, to no topic yet.
    async fn listener(&self) -> Result<Box<dyn Listener>, BusError>;
    /// Succeeds when messages can be sent.
    async fn check(&self) -> Result<(), BusError>;
}

/// One connection's ear.
#[async_trait]
pub trait Listener: Send {
    /// Hears `topic` from when this returns.
    async fn listen(&mut self, topic: &str) -> Result<(), BusError>;
    /// Hears `topic` no more.
    async fn ignore(&mut self, topic: &str) -> Result<(), BusError>;
    /// The next thing heard; waits for it. A lost connection is mended and told as [`Heard::Lost`].
    /// Cancel-safe: dropping the future loses no message.
    async fn next(&mut self) -> Heard;
}
