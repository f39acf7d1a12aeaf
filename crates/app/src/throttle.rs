//! Limits on what a stranger may try, and on the mails that people may cause.
//!
//! Proofs of who one is (a password) count only when they fail; what makes us send mail to an address counts always. An
//! account has no limit that refuses over all addresses: whoever ran it out would lock its owner out. It has one that
//! slows.

mod limits;
mod mails;
mod observed;

use std::net::IpAddr;

use tenon_core::{
    Error, Result,
    emails::Email,
    ports::limiter::{Budget, Verdict},
    sessions::ClientInfo,
};

use crate::{App, crypto};

pub use limits::Limits;
pub(crate) use mails::{MailRefusal, may_mail_stranger};
pub use observed::{Observed, observing};

/// How long an address is remembered for the accounts that signed in from it.
const KNOWN_FOR: chrono::Duration = chrono::Duration::days(30);

/// A limit of one key.
struct Limit {
    /// Its name in headers, figures and configuration.
    class: &'static str,
    key: String,
    budget: Budget,
}

/// An attempt to prove who one is, counted as a failure until it is known to be none.
pub(crate) struct Proof<'a> {
    app: &'a App,
    counted: Vec<Limit>,
}

impl<'a> Proof<'a> {
    /// Counts an attempt at `account`, which need not exist; refuses what is too much, and takes its time when there were
    /// too many over all addresses.
    pub(crate) async fn begin(app: &'a App, account: &str, client: &ClientInfo) -> Result<Self> {
        let limits = &app.settings.limits;
        let (account, network) = (digest(account), network(&client.address));
        let mut this = Self { app, counted: Vec::with_capacity(3) };
        let pair = Limit {
            class: "sign-in-pair",
            key: format!("sign-in:pair:{account}:{network}"),
            budget: limits.sign_in_pair,
        };
        let address = Limit {
            class: "sign-in-address",
            key: format!("sign-in:address:{network}"),
            budget: limits.sign_in_address,
        };
        let of_account = Limit {
            class: "sign-in-account",
            key: format!("sign-in:account:{account}"),
            budget: limits.sign_in_account,
        };
        this.count(pair).await?;
        if let Err(refused) = this.count(address).await {
            let wider = Limit {
                class: "sign-in-address",
                key: format!("sign-in:address:{network}"),
                budget: wider(app, client).await?,
            };
            if wider.budget.calls == limits.sign_in_address.calls || this.count(wider).await.is_err() {
                this.give_back().await;
                return Err(refused);
            }
        }
        if let Some(verdict) = take(app, &of_account, false).await {
            if verdict.allowed {
                this.counted.push(of_account);
            } else {
                tokio::time::sleep(limits.sign_in_account_delay).await;
            }
        }
        Ok(this)
    }

    async fn count(&mut self, limit: Limit) -> Result<()> {
        match take(self.app, &limit, true).await {
            Some(verdict) if !verdict.allowed => Err(refusal(&limit, verdict)),
            _ => {
                self.counted.push(limit);
                Ok(())
            }
        }
    }

    /// It was no failure: it does not count.
    pub(crate) async fn give_back(self) {
        for limit in &self.counted {
            give_back(self.app, limit).await;
        }
    }
}

/// The limit of an address that many people share: more for each account that has signed in from it.
async fn wider(app: &App, client: &ClientInfo) -> Result<Budget> {
    let limits = &app.settings.limits;
    let mut conn = app.read().await?;
    let since = app.now() - KNOWN_FOR;
    let accounts = tenon_db::sessions::accounts_at(&mut conn, &client.address, since).await?;
    let more = u32::try_from(accounts).unwrap_or(u32::MAX).saturating_mul(limits.sign_in_address_per_account);
    Ok(Budget { calls: limits.sign_in_address.calls.saturating_add(more), ..limits.sign_in_address })
}

/// Counts a wish for something that is mailed to `account`, which need not exist; refuses what is too much.
pub(crate) async fn attempt(app: &App, what: &str, account: &str, client: &ClientInfo) -> Result<()> {
    let limits = &app.settings.limits;
    let network = network(&client.address);
    for limit in [
        Limit {
            class: "request-pair",
            key: format!("{what}:pair:{}:{network}", digest(account)),
            budget: limits.request_pair,
        },
        Limit {
            class: "request-address",
            key: format!("{what}:address:{network}"),
            budget: limits.request_address,
        },
    ] {
        if let Some(verdict) = take(app, &limit, true).await
            && !verdict.allowed
        {
            return Err(refusal(&limit, verdict));
        }
    }
    Ok(())
}

/// Whether one more mail of this kind may go to `email` because somebody who did not sign in asks for it.
pub(crate) async fn may_mail(app: &App, what: &str, email: &Email) -> Result<bool> {
    let limit = Limit {
        class: "request-mails",
        key: format!("mail:{what}:{}", digest(email.as_str())),
        budget: app.settings.limits.request_mails,
    };
    // Not shown: what is left would tell whether the address has an account.
    Ok(take_unseen(app, &limit).await.is_none_or(|verdict| verdict.allowed))
}

fn refusal(limit: &Limit, verdict: Verdict) -> Error {
    metrics::counter!("rate_limited_total", "class" => limit.class).increment(1);
    Error::RateLimited { retry_after: verdict.reset_after }
}

/// Counts once and notes it for the headers; nothing when the limiter is away.
async fn take(app: &App, limit: &Limit, refuses: bool) -> Option<Verdict> {
    let verdict = take_unseen(app, limit).await?;
    observed::note(limit, verdict, refuses);
    Some(verdict)
}

async fn take_unseen(app: &App, limit: &Limit) -> Option<Verdict> {
    match app.limiter.take(&limit.key, limit.budget).await {
        Ok(verdict) => Some(verdict),
        // Better to let people in than to shut everybody out with the limiter.
        Err(error) => {
            tracing::warn!(error = %error, "attempts are not counted: the limiter is away");
            None
        }
    }
}

async fn give_back(app: &App, limit: &Limit) {
    match app.limiter.give_back(&limit.key, limit.budget).await {
        Ok(()) => observed::take_back(limit),
        Err(error) => tracing::warn!(error = %error, "an attempt stays counted: the limiter is away"),
    }
}

/// Keeps addresses and handles out of the limiter's store.
fn digest(account: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(&crypto::hash_token(account).0[..12])
}

/// The network that one subscriber has: an IPv4 address, or 64 bits of an IPv6 one.
fn network(address: &str) -> String {
    match address.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}")
        }
        Ok(IpAddr::V4(ip)) => ip.to_string(),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_subscriber_is_one_network() {
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}
