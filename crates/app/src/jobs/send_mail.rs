//! Sends a mail, unless what it refers to was used, revoked or replaced in the meantime.

use tenon_core::{
    jobs::{Letter, SendMail},
    ports::mail::MailError,
};

use super::{Context, Failure, Handle};
use crate::{
    letters,
    mail::{self, Subject},
};

impl Handle for SendMail {
    async fn handle(self, cx: Context<'_>) -> Result<(), Failure> {
        let app = cx.app;
        let letter = letters::letter(app, &mut *app.read().await?, &self).await?;
        let Some(letter) = wanted(cx, letter).await? else {
            tracing::info!("The mail is not sent: what it refers to is no longer open.");
            return Ok(());
        };
        let mail = mail::compose(&app.settings, &app.keys, cx.id, cx.correlation_id, &letter)?;
        let sent = app.mailer.send(&mail).await.map_err(|error| {
            let text = without_receiver(&error, &letter);
            match error {
                MailError::Permanent(_) => Failure::Fatal(text.into()),
                _ => Failure::Retry(text.into()),
            }
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

async fn wanted(cx: Context<'_>, letter: Option<Letter>) -> Result<Option<Letter>, Failure> {
    let Some(letter) = letter else { return Ok(None) };
    let Some(subject) = mail::subject(&letter.mail) else { return Ok(Some(letter)) };
    let mut conn = cx.app.read().await?;
    let now = cx.app.now();
    let is_open = match subject {
        Subject::Link(link) => tenon_db::mails::link_is_open(&mut conn, link, now).await?,
        Subject::Invitation(invitation, send) => {
            tenon_db::mails::invitation_is_open(&mut conn, invitation, send, now).await?
        }
    };
    Ok(is_open.then_some(letter))
}

/// What went wrong, for the history of jobs: servers like to name whom they refuse.
fn without_receiver(error: &MailError, letter: &Letter) -> String {
    let error: &(dyn std::error::Error + 'static) = error;
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    let mut text = String::new();
    for cause in causes {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    let name = letter.name.as_deref().filter(|name| !name.is_empty());
    let text = text.replace(letter.to.as_str(), "the receiver");
    name.map_or(text.clone(), |name| text.replace(name, "the receiver"))
}
