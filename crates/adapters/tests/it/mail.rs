//! Mailers.

use std::sync::Arc;

use serde_json::json;
use tenon_adapters::mail::{Config, connect};
use tenon_core::{
    emails::Email,
    ports::mail::{Mail, MailError, Mailer},
};
use tenon_testkit::{clock::FakeClock, mail_laws, sendmail::Sendmail, services};

pub(crate) mod fixtures {
    use std::sync::Mutex;

    use futures_util::{FutureExt as _, future::BoxFuture};
    use tempfile::TempDir;
    use tenon_testkit::{
        laws::mail::{Fixture, Probe, Refusal},
        sendmail,
        services::smtp::Received,
    };

    use super::*;

    pub(crate) async fn smtp() -> Option<Fixture> {
        let server = services::smtp::Server::start().await;
        let mailer = mailer(smtp_config(&server)).await;
        let probe = SmtpProbe { server: tokio::sync::Mutex::new(Some(server)), last: Mutex::default() };
        Some(Fixture { mailer, probe: Arc::new(probe), keep: Box::new(()) })
    }

    pub(crate) async fn sendmail() -> Option<Fixture> {
        let sendmail = Sendmail::install();
        let config = json!({"backend": "sendmail", "from": FROM, "command": sendmail.command()});
        let mailer = mailer(config).await;
        Some(Fixture { mailer, probe: Arc::new(SendmailProbe(sendmail)), keep: Box::new(()) })
    }

    pub(crate) async fn directory() -> Option<Fixture> {
        let directory = tempfile::tempdir().unwrap();
        let config =
            json!({"backend": "directory", "from": FROM, "directory": directory.path().join("mail")});
        let mailer = mailer(config).await;
        Some(Fixture { mailer, probe: Arc::new(DirectoryProbe(directory)), keep: Box::new(()) })
    }

    pub(crate) async fn log() -> Option<Fixture> {
        let mailer = mailer(json!({"backend": "log", "from": FROM})).await;
        Some(Fixture { mailer, probe: Arc::new(NoProbe), keep: Box::new(()) })
    }

    struct SmtpProbe {
        server: tokio::sync::Mutex<Option<services::smtp::Server>>,
        last: Mutex<Vec<Received>>,
    }

    impl Probe for SmtpProbe {
        fn received(&self) -> Option<Vec<Received>> {
            let server = self.server.try_lock().unwrap();
            Some(
                server
                    .as_ref()
                    .map_or_else(|| self.last.lock().unwrap().clone(), services::smtp::Server::received),
            )
        }
        fn refuse(&self, refusal: Option<Refusal>) -> bool {
            let server = self.server.try_lock().unwrap();
            let server = server.as_ref().unwrap();
            match refusal {
                None => server.relent(),
                Some(Refusal::ForNow) => server.refuse("RCPT", "451 4.7.1 greylisted"),
                Some(Refusal::ForGood) => server.refuse("RCPT", "550 5.1.1 no such person"),
            }
            true
        }
        fn go_away(&self) -> BoxFuture<'_, bool> {
            async {
                if let Some(mut server) = self.server.lock().await.take() {
                    *self.last.lock().unwrap() = server.received();
                    server.stop().await;
                }
                true
            }
            .boxed()
        }
    }

    struct SendmailProbe(Sendmail);

    impl Probe for SendmailProbe {
        fn received(&self) -> Option<Vec<Received>> {
            Some(self.0.received())
        }
        fn refuse(&self, refusal: Option<Refusal>) -> bool {
            match refusal {
                None => self.0.relent(),
                Some(Refusal::ForNow) => self.0.refuse(75),
                Some(Refusal::ForGood) => self.0.refuse(67),
            }
            true
        }
        fn go_away(&self) -> BoxFuture<'_, bool> {
            self.0.uninstall();
            std::future::ready(true).boxed()
        }
    }

    struct DirectoryProbe(TempDir);

    impl Probe for DirectoryProbe {
        fn received(&self) -> Option<Vec<Received>> {
            let directory = self.0.path().join("mail");
            Some(if directory.exists() { sendmail::directory(&directory) } else { vec![] })
        }
        fn refuse(&self, _: Option<Refusal>) -> bool {
            false
        }
        fn go_away(&self) -> BoxFuture<'_, bool> {
            std::fs::remove_dir_all(self.0.path().join("mail")).unwrap();
            std::future::ready(true).boxed()
        }
    }

    /// The log is read by people.
    struct NoProbe;

    impl Probe for NoProbe {
        fn received(&self) -> Option<Vec<Received>> {
            None
        }
        fn refuse(&self, _: Option<Refusal>) -> bool {
            false
        }
        fn go_away(&self) -> BoxFuture<'_, bool> {
            std::future::ready(false).boxed()
        }
    }
}

mail_laws!(smtp, crate::mail::fixtures::smtp);
mail_laws!(sendmail, crate::mail::fixtures::sendmail);
mail_laws!(directory, crate::mail::fixtures::directory);
mail_laws!(log, crate::mail::fixtures::log);

#[tokio::test]
async fn smtp_signs_in_with_the_configured_credentials() {
    let server = services::smtp::Server::start_with_login("tenon", "0123").await;
    let with = |password: &str| {
        let mut config = smtp_config(&server);
        config["username"] = json!("tenon");
        config["password"] = json!(password);
        config
    };
    mailer(with("0123")).await.send(&mail()).await.unwrap();
    let refused = mailer(with("wrong")).await.send(&mail()).await;
    assert!(matches!(refused, Err(MailError::Permanent(_))), "{refused:?}");
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn smtp_keeps_its_connection_between_mails() {
    let server = services::smtp::Server::start().await;
    let mailer = mailer(smtp_config(&server)).await;
    for _ in 0..20 {
        mailer.send(&mail()).await.unwrap();
    }
    assert_eq!(server.received().len(), 20);
    // A mail may begin before the last one's connection is back.
    assert!(server.connections() <= 2, "{} connections", server.connections());
}

#[tokio::test]
async fn a_mail_refused_at_its_very_end_is_not_half_sent() {
    let server = services::smtp::Server::start().await;
    let mailer = mailer(smtp_config(&server)).await;
    server.refuse(".", "452 4.3.1 disk full");
    assert!(matches!(mailer.send(&mail()).await, Err(MailError::Transient(_))));
    server.refuse(".", "554 5.7.1 spam");
    assert!(matches!(mailer.send(&mail()).await, Err(MailError::Permanent(_))));
    assert_eq!(server.received().len(), 0);
}

#[tokio::test]
async fn starttls_never_goes_on_in_the_clear() {
    let server = services::smtp::Server::start().await;
    let mut config = smtp_config(&server);
    config["tls"] = json!("starttls");
    mailer(config).await.send(&mail()).await.unwrap_err();
    assert_eq!(server.received().len(), 0);
}

#[tokio::test]
async fn a_retried_mail_replaces_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let config = json!({"backend": "directory", "from": FROM, "directory": directory.path()});
    let (mailer, mail) = (mailer(config).await, mail());
    mailer.send(&mail).await.unwrap();
    mailer.send(&mail).await.unwrap();
    let files: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files, ["id@tenon.example.eml"]);
}

#[tokio::test]
async fn what_cannot_work_is_said_at_once() {
    let refused = async |config| {
        let config = serde_json::from_value(config).unwrap();
        connect(config, Arc::new(FakeClock::new())).await.map(drop).unwrap_err().to_string()
    };
    assert_eq!(
        refused(json!({"backend": "sendmail", "command": "/nowhere/sendmail"})).await,
        "The program /nowhere/sendmail does not exist."
    );
    assert_eq!(
        refused(json!({"backend": "log", "from": "nobody"})).await,
        "The sender's address \"nobody\" of mail.from is not valid; write it as Tenon <tenon@example.org>."
    );
    assert_eq!(
        refused(json!({"backend": "smtp", "host": "localhost", "username": "x"})).await,
        "The mail server needs both username and password, or neither."
    );
}

const FROM: &str = "Tenon <tenon@example.org>";

fn smtp_config(server: &services::smtp::Server) -> serde_json::Value {
    json!({"backend": "smtp", "from": FROM, "host": "127.0.0.1", "port": server.port().to_string(), "tls": "none"})
}

async fn mailer(config: serde_json::Value) -> Arc<dyn Mailer> {
    let config: Config = serde_json::from_value(config).unwrap();
    connect(config, Arc::new(FakeClock::new())).await.unwrap()
}

fn mail() -> Mail {
    Mail {
        message_id: "id@tenon.example".to_owned(),
        to: Email::parse("ada@example.org").unwrap(),
        to_name: None,
        subject: "Hello".to_owned(),
        text: "Hello".to_owned(),
        html: "<p>Hello</p>".to_owned(),
        headers: vec![],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_do_not_hinder_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let config = json!({"backend": "directory", "from": FROM, "directory": directory.path().join("mail")});
    let mailers = (0..50).map(|_| mailer(config.clone()));
    futures_util::future::join_all(mailers).await;
}
