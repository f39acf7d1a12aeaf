//! Sending mail: by SMTP, by the machine's `sendmail`, into a directory, or into the log.

mod compose;
mod directory;
mod log;
mod sendmail;
mod smtp;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use tenon_core::ports::{clock::Clock, mail::Mailer};

pub use directory::DirectoryConfig;
pub use log::LogConfig;
pub use sendmail::SendmailConfig;
pub use smtp::{SmtpConfig, SmtpTls};

use crate::{ConnectError, connect::refuse_empty};
use compose::Composer;

/// How mail leaves, and whom it is from.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "backend", rename_all = "lowercase", deny_unknown_fields)]
pub enum Config {
    /// Over the network, to a mail server.
    Smtp(SmtpConfig),
    /// Through a program of this machine.
    Sendmail(SendmailConfig),
    /// Into a directory, one `.eml` file a mail.
    Directory(DirectoryConfig),
    /// Into the program's log, for trying things out.
    Log(LogConfig),
}

impl Default for Config {
    fn default() -> Self {
        Self::Log(LogConfig::default())
    }
}

impl Config {
    /// Says what no mail could be sent with, without connecting to anything.
    pub fn check(&self) -> Result<(), ConnectError> {
        match self {
            Self::Smtp(config) => {
                compose::sender(&config.from)?;
                config.check()
            }
            Self::Sendmail(config) => {
                compose::sender(&config.from)?;
                refuse_empty("command", &config.command)
            }
            Self::Directory(config) => {
                compose::sender(&config.from)?;
                refuse_empty("directory", &config.directory)
            }
            Self::Log(config) => compose::sender(&config.from).map(drop),
        }
    }
}

/// Makes the configured mailer. A mail server that is away now is no error: mails are retried.
pub async fn connect(config: Config, clock: Arc<dyn Clock>) -> Result<Arc<dyn Mailer>, ConnectError> {
    config.check()?;
    Ok(match config {
        Config::Smtp(config) => {
            let composer = Composer::new(&config.from, clock)?;
            Arc::new(smtp::SmtpMailer::new(config, composer)?)
        }
        Config::Sendmail(config) => {
            let composer = Composer::new(&config.from, clock)?;
            Arc::new(sendmail::SendmailMailer::new(config, composer).await?)
        }
        Config::Directory(config) => {
            let composer = Composer::new(&config.from, clock)?;
            Arc::new(directory::DirectoryMailer::new(config, composer).await?)
        }
        Config::Log(config) => Arc::new(log::LogMailer::new(Composer::new(&config.from, clock)?)),
    })
}

fn default_from() -> String {
    "Tenon <tenon@localhost>".to_owned()
}
