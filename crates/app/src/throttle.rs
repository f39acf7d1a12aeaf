//! Attempts at what a stranger may try: signing in, signing up, asking for mail.
//!
//! Attempts are counted per pair of account and client address, and more widely per address. There is no count
//! per account alone: whoever ran it out would lock its owner out.

use std::{net::IpAddr, time::Duration};

use tenon_core::{Error, Result, emails::Email, ports::limiter::Budget, sessions::ClientInfo};

use crate::{App, crypto};

/// Attempts at one account from one address.
const PAIR: Budget = Budget { calls: 10, window: Duration::from_mins(15) };
/// Attempts at any account from one address: an office shares one.
const ADDRESS: Budget = Budget { calls: 100, window: Duration::from_mins(15) };
/// Mails of one kind that strangers may cause to one address.
const MAILS: Budget = Budget { calls: 5, window: Duration::from_hours(1) };

/// Counts an attempt at `account`, which need not exist; refuses what is too much.
pub(crate) async fn attempt(app: &App, what: &str, account: &str, client: &ClientInfo) -> Result<()> {
    let network = network(&client.address);
    take(app, &format!("{what}:pair:{}:{network}", digest(account)), PAIR).await?;
    take(app, &format!("{what}:address:{network}"), ADDRESS).await
}

/// Whether one more mail of this kind may go to `email` because somebody who did not sign in asks for it.
pub(crate) async fn may_mail(app: &App, what: &str, email: &Email) -> Result<bool> {
    match take(app, &format!("mail:{what}:{}", digest(email.as_str())), MAILS).await {
        Ok(()) => Ok(true),
        Err(Error::RateLimited { .. }) => Ok(false),
        Err(other) => Err(other),
    }
}

async fn take(app: &App, key: &str, budget: Budget) -> Result<()> {
    match app.limiter.take(key, budget).await {
        Ok(verdict) if verdict.allowed => Ok(()),
        Ok(verdict) => {
            metrics::counter!("rate_limited_total", "class" => "attempts").increment(1);
            Err(Error::RateLimited { retry_after: verdict.reset_after })
        }
        // Better to let people in than to shut everybody out with the limiter.
        Err(error) => {
            tracing::warn!(error = %error, "attempts are not counted: the limiter is away");
            Ok(())
        }
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
