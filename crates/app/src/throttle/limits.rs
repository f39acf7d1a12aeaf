//! The limits, as an administrator may set them.

use std::time::Duration;

use tenon_core::ports::limiter::Budget;

/// How often something may be tried or caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Failed sign-ins at one account from one address.
    pub sign_in_pair: Budget,
    /// Failed sign-ins at one account from all addresses; beyond it sign-ins at the account are slowed.
    pub sign_in_account: Budget,
    /// By how much.
    pub sign_in_account_delay: Duration,
    /// Failed sign-ins from one address.
    pub sign_in_address: Budget,
    /// So many more for each account that has signed in from the address.
    pub sign_in_address_per_account: u32,
    /// Wishes of one kind (to sign up, for a new password) for one email address from one client address.
    pub request_pair: Budget,
    /// The same for all email addresses.
    pub request_address: Budget,
    /// Mails of one kind to one address that somebody asked for who is not signed in.
    pub request_mails: Budget,
    /// Mails of one person to people who are not members.
    pub mail_sender: Budget,
    /// The same of a new account.
    pub mail_new_sender: Budget,
    /// How long an account is new.
    pub new_sender_age: Duration,
    /// Mails of all people of the instance to people who are not members.
    pub mail_instance: Budget,
    /// Mails to one address that is not a member's.
    pub mail_recipient: Budget,
}

impl Default for Limits {
    fn default() -> Self {
        let quarter = |calls| Budget { calls, window: Duration::from_mins(15) };
        let hour = |calls| Budget { calls, window: Duration::from_hours(1) };
        let day = |calls| Budget { calls, window: Duration::from_hours(24) };
        Self {
            sign_in_pair: quarter(10),
            sign_in_account: hour(50),
            sign_in_account_delay: Duration::from_secs(2),
            sign_in_address: quarter(100),
            sign_in_address_per_account: 10,
            request_pair: quarter(10),
            request_address: quarter(100),
            request_mails: hour(5),
            mail_sender: day(250),
            mail_new_sender: day(50),
            new_sender_age: Duration::from_hours(72),
            mail_instance: hour(1000),
            mail_recipient: day(10),
        }
    }
}
