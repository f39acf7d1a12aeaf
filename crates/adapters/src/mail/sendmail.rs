//! Mail through the machine's `sendmail`.
//!
//! We run the program ourselves since its exit status says whether to try again (`sysexits.h`).

use std::{path::PathBuf, process::Stdio, time::Duration};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use tenon_core::ports::mail::{Mail, MailError, Mailer};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use super::{compose::Composer, default_from};
use crate::ConnectError;

/// Settings of the sendmail mailer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SendmailConfig {
    /// Whom mails are from: `Tenon <tenon@example.org>`.
    pub from: String,
    /// The program; it must understand `-i -f from -- to`.
    pub command: PathBuf,
}

impl Default for SendmailConfig {
    fn default() -> Self {
        Self { from: default_from(), command: PathBuf::from("/usr/sbin/sendmail") }
    }
}

/// The longest that handing over one mail may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Exit statuses that another try will not change: `EX_USAGE`, `EX_DATAERR`, `EX_NOUSER`, `EX_NOHOST`.
const PERMANENT: [i32; 4] = [64, 65, 67, 68];

pub(super) struct SendmailMailer {
    command: PathBuf,
    composer: Composer,
}

impl SendmailMailer {
    pub(super) async fn new(config: SendmailConfig, composer: Composer) -> Result<Self, ConnectError> {
        let mailer = Self { command: config.command, composer };
        mailer.find().await.map_err(|e| {
            ConnectError::caused(format!("The program {} does not exist.", mailer.command.display()), e)
        })?;
        Ok(mailer)
    }

    async fn find(&self) -> std::io::Result<()> {
        tokio::fs::metadata(&self.command)
            .await
            .and_then(|meta| if meta.is_file() { Ok(()) } else { Err(std::io::ErrorKind::NotFound.into()) })
    }
}

#[async_trait]
impl Mailer for SendmailMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.composer.compose(mail)?;
        let mut command = Command::new(&self.command);
        command.args(["-i", "-f", message.envelope().from().map_or("", AsRef::as_ref), "--"]);
        command.args(message.envelope().to().iter().map(AsRef::<str>::as_ref));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let text = message.formatted();
        let hand_over = async {
            let mut child = command.spawn()?;
            if let Some(mut input) = child.stdin.take() {
                // A program that refuses early need not read; its exit status says why.
                let _ = input.write_all(&text).await;
            }
            child.wait_with_output().await
        };
        let output = timeout(PATIENCE, hand_over).await.map_err(transient)?.map_err(transient)?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let why = format!("sendmail ended with {}: {said}", output.status).into();
        match output.status.code() {
            Some(code) if PERMANENT.contains(&code) => Err(MailError::Permanent(why)),
            _ => Err(MailError::Transient(why)),
        }
    }

    async fn check(&self) -> Result<(), MailError> {
        self.find().await.map_err(transient)
    }
}

fn transient(e: impl Into<tenon_core::BoxError>) -> MailError {
    MailError::Transient(e.into())
}
