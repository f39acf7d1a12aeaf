//! Mail into the program's log: receiver, subject and plain text, links and all.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use tenon_core::ports::mail::{Mail, MailError, Mailer};

use super::{compose::Composer, default_from};

/// Settings of the log mailer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Whom mails are from: `Tenon <tenon@example.org>`.
    pub from: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { from: default_from() }
    }
}

pub(super) struct LogMailer {
    composer: Composer,
}

impl LogMailer {
    pub(super) const fn new(composer: Composer) -> Self {
        Self { composer }
    }
}

#[async_trait]
impl Mailer for LogMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        // Composed all the same, so that what a server would refuse is refused here too.
        self.composer.compose(mail)?;
        tracing::info!(
            mail.id = %mail.message_id,
            mail.to = %mail.to,
            mail.subject = %mail.subject,
            "Mail for {}: {}\n{}", mail.to, mail.subject, mail.text
        );
        Ok(())
    }

    async fn check(&self) -> Result<(), MailError> {
        Ok(())
    }
}
