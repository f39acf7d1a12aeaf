//! Sending mail.

use async_trait::async_trait;

use crate::{BoxError, emails::Email};

/// A mail, composed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// `Message-ID` without angle brackets; kept as it is, so that a retried job sends the same mail.
    pub message_id: String,
    /// Receiver.
    pub to: Email,
    /// Receiver's display name.
    pub to_name: Option<String>,
    /// One line; unicode is encoded as RFC 2047 asks.
    pub subject: String,
    /// Plain text body.
    pub text: String,
    /// HTML body.
    pub html: String,
    /// Further headers (`Auto-Submitted`, `List-Unsubscribe`, …). A line break in a name or value is refused.
    pub headers: Vec<(String, String)>,
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// Worth trying again: no server, or it answered 4xx.
    #[error("the mail could not be sent for now")]
    Transient(#[source] BoxError),
    /// Not worth trying again: a bad address or header, or the server answered 5xx.
    #[error("the mail was refused")]
    Permanent(#[source] BoxError),
}

/// Sends mails.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Sends one mail once, text before HTML, under the given `Message-ID`. Nothing is half-sent.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
    /// Succeeds when a mail could be sent.
    async fn check(&self) -> Result<(), MailError>;
}
