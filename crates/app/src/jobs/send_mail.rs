//! Sends a mail, unless what it refers to was used, revoked or replaced in the meantime.

use tenon_core::{jobs::SendMail, ports::mail::MailError};

use super::{Context, Failure, Handle};
use crate::mail::{self, Subject};

impl Handle for SendMail {
    async fn handle(self, cx: Context<'_>) -> Result<(), Failure> {
        if !is_wanted(cx, &self).await? {
            tracing::info!("The mail is not sent: what it refers to is no longer open.");
            return Ok(());
        }
        let app = cx.app;
        let mail = mail::compose(&app.settings, &app.keys, cx.id, cx.correlation_id, &self)?;
        let sent = app.mailer.send(&mail).await.map_err(|error| match error {
            MailError::Permanent(_) => Failure::Fatal(Box::new(error)),
            _ => Failure::Retry(Box::new(error)),
        });
        let outcome = match &sent {
            Ok(()) => "sent",
            Err(Failure::Retry(_) | Failure::Cancelled) => "failed",
            Err(Failure::Fatal(_)) => "refused",
        };
        metrics::counter!("mail_sent_total", "outcome" => outcome).increment(1);
        sent
    }
}

async fn is_wanted(cx: Context<'_>, send: &SendMail) -> Result<bool, Failure> {
    let Some(subject) = mail::subject(&send.mail) else { return Ok(true) };
    let mut conn = cx.app.read().await?;
    let now = cx.app.now();
    Ok(match subject {
        Subject::Link(link) => tenon_db::mails::link_is_open(&mut conn, link, now).await?,
        Subject::Invitation(invitation, send) => {
            tenon_db::mails::invitation_is_open(&mut conn, invitation, send, now).await?
        }
    })
}
