//! Mail into a directory, one `.eml` file each.
//!
//! The file is named after the `Message-ID`, so a retried job replaces its own mail.

use std::{fmt::Write, path::PathBuf};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use tenon_core::ports::mail::{Mail, MailError, Mailer};

use super::{compose::Composer, default_from};
use crate::ConnectError;

/// Settings of the directory mailer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DirectoryConfig {
    /// Whom mails are from: `Tenon <tenon@example.org>`.
    pub from: String,
    /// Directory of the mails; made when absent. Unset, `mail` within `data_dir`.
    pub directory: PathBuf,
}

impl Default for DirectoryConfig {
    fn default() -> Self {
        Self { from: default_from(), directory: PathBuf::from("./.tenon/mail") }
    }
}

pub(super) struct DirectoryMailer {
    directory: PathBuf,
    composer: Composer,
}

impl DirectoryMailer {
    pub(super) async fn new(config: DirectoryConfig, composer: Composer) -> Result<Self, ConnectError> {
        let mailer = Self { directory: config.directory, composer };
        mailer.prove_writable().await.map_err(|e| {
            ConnectError::caused(
                format!("The mail directory {} is not writable.", mailer.directory.display()),
                e,
            )
        })?;
        Ok(mailer)
    }

    async fn prove_writable(&self) -> std::io::Result<()> {
        tokio::fs::create_dir_all(&self.directory).await?;
        // Processes of an installation start at once.
        let probe = self.directory.join(format!(".probe-{}", std::process::id()));
        tokio::fs::write(&probe, b"").await?;
        match tokio::fs::remove_file(&probe).await {
            // Another mailer of this process was probing too.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Readers see the whole file or none.
    async fn write(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let partial = self.directory.join(format!(".{name}.partial"));
        tokio::fs::write(&partial, bytes).await?;
        tokio::fs::rename(&partial, self.directory.join(name)).await
    }
}

#[async_trait]
impl Mailer for DirectoryMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.composer.compose(mail)?;
        self.write(&file_name(&mail.message_id), &message.formatted())
            .await
            .map_err(|e| MailError::Transient(e.into()))
    }

    async fn check(&self) -> Result<(), MailError> {
        let meta = tokio::fs::metadata(&self.directory).await;
        match meta {
            Ok(meta) if meta.is_dir() => Ok(()),
            Ok(_) => Err(MailError::Transient("the mail directory is no directory".into())),
            Err(e) => Err(MailError::Transient(e.into())),
        }
    }
}

/// The id with everything but letters, digits and a few harmless marks replaced by its code.
fn file_name(message_id: &str) -> String {
    let mut name = String::with_capacity(message_id.len() + 4);
    for c in message_id.trim_start_matches('.').chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@') {
            name.push(c);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{:x}", u32::from(c));
        }
    }
    name.truncate(200);
    name.push_str(".eml");
    name
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn a_message_id_cannot_leave_the_directory() {
        assert_eq!(file_name("../../etc/x@y"), "%2f..%2fetc%2fx@y.eml");
        assert_eq!(file_name("1f.2@tenon.example"), "1f.2@tenon.example.eml");
    }
}
