//! Mails to people who are not members, which somebody's words are in: they have limits by sender, by instance and by
//! receiver, over all workspaces.

use std::time::Duration;

use super::{Limit, digest, give_back, take_unseen};
use crate::Tx;
use tenon_core::{Error, Result, emails::Email, ids::UserId, ports::limiter::Budget};

/// Why a mail may not go out, and from when it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailRefusal {
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    pub(crate) retry_after: Duration,
}

impl From<MailRefusal> for Error {
    fn from(MailRefusal { code, detail, retry_after }: MailRefusal) -> Self {
        Self::LimitReached { code, detail, retry_after }
    }
}

/// Counts a mail of `sender` to `email`; refuses what is too much, and counts nothing then.
pub(crate) async fn may_mail_stranger(
    tx: &mut Tx<'_>,
    sender: UserId,
    email: &Email,
) -> Result<Result<(), MailRefusal>> {
    let user = tenon_db::users::find(tx.conn(), sender).await?.ok_or(Error::Unauthenticated)?;
    let app = tx.app();
    let limits = &app.settings.limits;
    let is_new = !user.is_admin && app.now() < user.created_at + limits.new_sender_age;
    let of_sender = if is_new { limits.mail_new_sender } else { limits.mail_sender };
    let whose = if is_new { "A new account may send" } else { "You may send" };
    let wanted = [
        (
            Limit { class: "mail-sender", key: format!("mails:sender:{sender}"), budget: of_sender },
            "mail-limit-sender",
            format!("{whose} {} to people who are not members yet.", so_many(of_sender)),
        ),
        (
            Limit { class: "mail-instance", key: "mails:instance".to_owned(), budget: limits.mail_instance },
            "mail-limit-instance",
            format!(
                "This instance sends {} to people who are not members yet, and has sent them.",
                so_many(limits.mail_instance)
            ),
        ),
        (
            Limit {
                class: "mail-recipient",
                key: format!("mails:recipient:{}", digest(email.as_str())),
                budget: limits.mail_recipient,
            },
            "mail-limit-recipient",
            format!(
                "This address gets {} of this kind, from all workspaces together.",
                so_many(limits.mail_recipient)
            ),
        ),
    ];
    let mut counted = Vec::with_capacity(wanted.len());
    for (limit, code, why) in wanted {
        match take_unseen(app, &limit).await {
            Some(verdict) if !verdict.allowed => {
                for limit in &counted {
                    give_back(app, limit).await;
                }
                metrics::counter!("rate_limited_total", "class" => limit.class).increment(1);
                let retry_after = verdict.reset_after;
                let detail = format!("{why} Try again in {}.", in_words(retry_after));
                return Ok(Err(MailRefusal { code, detail, retry_after }));
            }
            Some(_) => counted.push(limit),
            None => {}
        }
    }
    Ok(Ok(()))
}

fn so_many(budget: Budget) -> String {
    let mails = if budget.calls == 1 { "mail" } else { "mails" };
    format!("{} {mails} in {}", budget.calls, in_words(budget.window))
}

/// In the largest unit that says it well, rounded up.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let (count, unit) = match seconds {
        0..=119 => (seconds, "seconds"),
        120..=7199 => (seconds.div_ceil(60), "minutes"),
        _ => (seconds.div_ceil(3600), "hours"),
    };
    format!("{count} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_words() {
        let said = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!([said(30), said(3600), said(86_400)], ["30 seconds", "60 minutes", "24 hours"]);
    }
}
