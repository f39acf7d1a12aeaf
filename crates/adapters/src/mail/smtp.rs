//! Mail over SMTP, on a few connections that stay open between mails.

use std::time::Duration;

use async_trait::async_trait;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    transport::smtp::{
        Error, PoolConfig,
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_core::{
    ports::mail::{Mail, MailError, Mailer},
    secrets::Secret,
};

use super::{compose::Composer, default_from};
use crate::{ConnectError, connect::from_text};

/// Settings of the SMTP mailer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// Whom mails are from: `Tenon <tenon@example.org>`.
    #[serde(default = "default_from")]
    pub from: String,
    /// The mail server's name, which its certificate must bear.
    pub host: String,
    /// Port of the mail server; unset, 25, 587 or 465, as `tls` asks.
    #[serde(default, deserialize_with = "optional_port")]
    #[schemars(extend("minimum" = 1, "maximum" = 65535))]
    pub port: Option<u16>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: SmtpTls,
    /// Name to sign in with; unset, nobody signs in.
    #[serde(default)]
    pub username: Option<String>,
    /// Password to sign in with; belongs to `username`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Most connections at once.
    #[serde(default = "default_connections", deserialize_with = "from_text")]
    #[schemars(extend("minimum" = 1, "maximum" = 100))]
    pub connections: u32,
}

impl SmtpConfig {
    /// Says what no server could be reached with.
    pub(super) fn check(&self) -> Result<(), ConnectError> {
        let is_address = self.host.parse::<std::net::IpAddr>().is_ok();
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | ':' | '[' | ']');
        if !is_address && (self.host.is_empty() || self.host.contains(odd)) {
            return Err(ConnectError::new(format!(
                "host must be the name of the mail server, without a port, not {:?}.",
                self.host
            )));
        }
        if self.username.is_some() != self.password.is_some() {
            return Err(ConnectError::new("The mail server needs both username and password, or neither."));
        }
        Ok(())
    }
}

/// Protection of the connection to the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// In the clear; for a server on this machine.
    None,
    /// Begins in the clear and must switch, usually on port 587.
    #[default]
    StartTls,
    /// From the first byte, usually on port 465.
    Tls,
}

const fn default_connections() -> u32 {
    4
}

fn optional_port<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    from_text(deserializer).map(Some)
}

pub(super) struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    composer: Composer,
}

impl SmtpMailer {
    pub(super) fn new(config: SmtpConfig, composer: Composer) -> Result<Self, ConnectError> {
        let parameters = || {
            TlsParameters::new(config.host.clone()).map_err(|e| {
                ConnectError::caused(
                    format!("The mail server's name {} cannot be used for TLS.", config.host),
                    e,
                )
            })
        };
        let (tls, port) = match config.tls {
            SmtpTls::None => (Tls::None, 25),
            SmtpTls::StartTls => (Tls::Required(parameters()?), 587),
            SmtpTls::Tls => (Tls::Wrapper(parameters()?), 465),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port.unwrap_or(port))
            .tls(tls)
            .timeout(Some(Duration::from_secs(20)))
            .pool_config(
                PoolConfig::new().max_size(config.connections.max(1)).idle_timeout(Duration::from_secs(30)),
            );
        if let (Some(username), Some(password)) = (config.username, config.password) {
            builder = builder.credentials(Credentials::new(username, password.expose().clone()));
        }
        Ok(Self { transport: builder.build(), composer })
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.composer.compose(mail)?;
        self.transport.send(message).await.map(drop).map_err(from_smtp)
    }

    async fn check(&self) -> Result<(), MailError> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(MailError::Transient("the mail server does not answer".into())),
            Err(e) => Err(from_smtp(e)),
        }
    }
}

fn from_smtp(e: Error) -> MailError {
    if e.is_permanent() || e.is_client() {
        MailError::Permanent(e.into())
    } else {
        MailError::Transient(e.into())
    }
}
