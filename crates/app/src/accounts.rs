//! Signing up and proving one's address.
//!
//! What a stranger is told does not depend on whether an address is known here: the owner of a known one gets a
//! mail instead of the stranger a refusal. An account whose address was never verified opens nothing, and whoever
//! signs up again with that address replaces it.

use tenon_core::{
    Error, Result, Time,
    accounts::{LinkPurpose, Registration, SignUp},
    changes::{Change, Kind, Stream},
    emails::Email,
    ids::UserId,
    jobs::{LinkInvitations, MailAbout, SendMail},
    sessions::ClientInfo,
    text::Color,
    users::{User, Username},
};
use tenon_db::users::{Account, NewUser};

use crate::{App, Tx, links, passwords, throttle};

/// Makes an account and mails a link that verifies its address. Answers the same for an address that is known.
pub async fn sign_up(app: &App, wish: SignUp, client: &ClientInfo, correlation_id: &str) -> Result<()> {
    throttle::attempt(app, "sign-up", wish.email.as_str(), client).await?;
    refuse_unaccepted(&wish)?;
    let own = own_words(&wish.email, wish.username.as_ref(), wish.full_name.as_str());
    passwords::refuse_common(&wish.password, "/password", &own.each_ref().map(String::as_str))?;
    refuse_unregistered(app, &wish.email).await?;
    let hash = passwords::hash(app, wish.password.expose()).await?;
    app.write(&[], correlation_id, async |tx| {
        let known = tenon_db::users::by_email(tx.conn(), &wish.email).await?;
        if let Some(known) = known
            && !(known.user.verified_at.is_none()
                && tenon_db::users::delete_unverified(tx.conn(), known.user.id).await?)
        {
            refuse_taken(tx, wish.username.as_ref()).await?;
            return tell_owner(tx, &known).await;
        }
        let now = tx.now();
        let new = Draft {
            email: wish.email.clone(),
            username: wish.username.clone(),
            password_hash: Some(hash),
            accepted_at: Some(now),
            verified_at: None,
            is_admin: false,
        };
        let user = match insert(tx, new, &wish).await {
            // Somebody else signed up with the address just now.
            Err(Error::Conflict { code: "email-taken", .. }) => return Ok(()),
            other => other?,
        };
        send_verification(tx, &user).await
    })
    .await
}

fn refuse_unaccepted(wish: &SignUp) -> Result<()> {
    for (accepted, pointer) in
        [(wish.accept_terms, "/accept_terms"), (wish.accept_privacy, "/accept_privacy")]
    {
        if !accepted {
            return Err(Error::invalid(pointer, "must-accept", "must be accepted"));
        }
    }
    Ok(())
}

async fn refuse_unregistered(app: &App, email: &Email) -> Result<()> {
    let closed = || {
        Error::conflict("registration-closed", "Accounts of this instance are made by its administrators.")
    };
    match app.settings.registration {
        Registration::Open => Ok(()),
        Registration::Closed => Err(closed()),
        Registration::Invite => {
            let mut conn = app.read().await?;
            if tenon_db::users::is_invited(&mut conn, email).await? {
                Ok(())
            } else {
                Err(Error::conflict(
                    "invitation-needed",
                    "This instance takes new people by invitation only.",
                ))
            }
        }
    }
}

async fn refuse_taken(tx: &mut Tx<'_>, username: Option<&Username>) -> Result<()> {
    match username {
        Some(name) if tenon_db::users::by_username(tx.conn(), name).await?.is_some() => Err(username_taken()),
        _ => Ok(()),
    }
}

async fn tell_owner(tx: &mut Tx<'_>, known: &Account) -> Result<()> {
    if throttle::may_mail(tx.app(), "sign-up-attempted", &known.user.email).await? {
        tx.enqueue(&SendMail::About(MailAbout::SignUpAttempted { user: known.user.id }))?;
    }
    Ok(())
}

async fn send_verification(tx: &mut Tx<'_>, user: &User) -> Result<()> {
    if throttle::may_mail(tx.app(), "verify", &user.email).await? {
        tenon_db::links::delete_of_user(tx.conn(), user.id, &[LinkPurpose::VerifyEmail]).await?;
        let link = links::make(tx, LinkPurpose::VerifyEmail, Some(user.id)).await?;
        tx.enqueue(&SendMail::About(MailAbout::VerifyEmail { user: user.id, link }))?;
    }
    Ok(())
}

/// Mails the verifying link again. Answers the same whether there is anything to verify or not.
pub async fn resend_verification(
    app: &App,
    email: &Email,
    client: &ClientInfo,
    correlation_id: &str,
) -> Result<()> {
    throttle::attempt(app, "resend-verification", email.as_str(), client).await?;
    app.write(&[], correlation_id, async |tx| match tenon_db::users::by_email(tx.conn(), email).await? {
        Some(known) if known.user.verified_at.is_none() => send_verification(tx, &known.user).await,
        _ => {
            // A link that opens nothing costs what a real one does.
            links::make(tx, LinkPurpose::VerifyEmail, None).await?;
            Ok(())
        }
    })
    .await
}

/// Verifies the address that a link was mailed to; the account can sign in from then on.
pub async fn verify_email(app: &App, secret: &str, correlation_id: &str) -> Result<()> {
    let link = links::find(app, &mut *app.read().await?, &[LinkPurpose::VerifyEmail], secret).await?;
    let owner = links::owner(&link)?;
    app.write(&[Stream::Person(owner)], correlation_id, async |tx| {
        links::consume(tx, &link).await?;
        mark_verified(tx, owner).await
    })
    .await
}

/// Makes an account active because somebody read the mail that went to its address.
pub(crate) async fn mark_verified(tx: &mut Tx<'_>, id: UserId) -> Result<()> {
    let now = tx.now();
    if !tenon_db::users::verify(tx.conn(), id, now).await? {
        return Ok(());
    }
    if let Some(user) = tenon_db::users::find(tx.conn(), id).await? {
        tx.act_as(user.as_ref());
        tx.record(Stream::Person(id), Change::new(Kind::AccountVerified, id, &user))?;
        tx.enqueue(&LinkInvitations { user_id: id })?;
    }
    Ok(())
}

/// What differs between the ways to an account.
pub(crate) struct Draft {
    pub(crate) email: Email,
    pub(crate) username: Option<Username>,
    pub(crate) password_hash: Option<String>,
    pub(crate) accepted_at: Option<Time>,
    pub(crate) verified_at: Option<Time>,
    pub(crate) is_admin: bool,
}

/// Adds a person and opens their log. Refuses a handle (`username-taken`) or address (`email-taken`) that somebody
/// has; a handle that was not asked for is made from the address.
pub(crate) async fn insert(tx: &mut Tx<'_>, draft: Draft, profile: &impl Profile) -> Result<User> {
    refuse_taken(tx, draft.username.as_ref()).await?;
    // Also one that is stored in another spelling, which no constraint would notice.
    if tenon_db::users::by_email(tx.conn(), &draft.email).await?.is_some() {
        return Err(email_taken());
    }
    let id: UserId = tx.app().id();
    let mut new = NewUser {
        id,
        username: match &draft.username {
            Some(name) => name.clone(),
            None => free_username(tx, &draft.email).await?,
        },
        email: draft.email,
        password_hash: draft.password_hash,
        full_name: profile.full_name().clone(),
        color: Color::of(id.uuid()),
        lang: profile.lang(),
        timezone: profile.timezone().clone(),
        is_admin: draft.is_admin,
        accepted_at: draft.accepted_at,
        verified_at: draft.verified_at,
        created_at: tx.now(),
    };
    // Each round lost is one that somebody else won with the same handle in this very moment.
    for _ in 0..4 {
        if tenon_db::users::insert(tx.conn(), &new).await? {
            return opened(tx, id).await;
        }
        if tenon_db::users::by_email(tx.conn(), &new.email).await?.is_some() {
            return Err(email_taken());
        }
        if draft.username.is_some() {
            return Err(username_taken());
        }
        new.username = free_username(tx, &new.email).await?;
    }
    Err(username_taken())
}

async fn opened(tx: &mut Tx<'_>, id: UserId) -> Result<User> {
    let user = tenon_db::users::find(tx.conn(), id).await?.ok_or(Error::NotFound("user"))?;
    tx.open(Stream::Person(id)).await?;
    tx.record(Stream::Person(id), Change::new(Kind::AccountCreated, id, &user))?;
    if user.verified_at.is_some() && tenon_db::users::is_invited(tx.conn(), &user.email).await? {
        tx.enqueue(&LinkInvitations { user_id: id })?;
    }
    Ok(user)
}

/// A handle that nobody has: what stands before the @, with a number behind it if need be.
async fn free_username(tx: &mut Tx<'_>, email: &Email) -> Result<Username> {
    let base = handle_of(email);
    let random = u32::from_be_bytes(tx.app().random::<4>());
    let mut candidates = vec![base.clone()];
    candidates.extend((2..10).map(|n| format!("{base}{n}")));
    candidates.push(format!("{base}-{random:08x}"));
    let taken = tenon_db::users::taken(tx.conn(), &candidates).await?;
    let free = candidates.iter().filter(|name| !taken.contains(name)).find_map(|n| Username::parse(n).ok());
    free.ok_or_else(username_taken)
}

fn handle_of(email: &Email) -> String {
    let local = email.as_str().split(['@', '+']).next().unwrap_or_default();
    let fits = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(*c);
    let handle: String = local.chars().filter(fits).take(40).collect();
    let handle = handle.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if handle.is_empty() { "user".to_owned() } else { handle.to_owned() }
}

/// What a password must not be made of.
pub(crate) fn own_words(email: &Email, username: Option<&Username>, full_name: &str) -> [String; 3] {
    let username = username.map_or_else(|| handle_of(email), |name| name.as_str().to_owned());
    [email.as_str().to_owned(), username, full_name.to_owned()]
}

pub(crate) fn username_taken() -> Error {
    Error::conflict("username-taken", "Somebody else has this username.")
}

pub(crate) fn email_taken() -> Error {
    Error::conflict("email-taken", "Another account has this address.")
}

/// The part of a wish for an account that is only ever copied.
pub(crate) trait Profile {
    fn full_name(&self) -> &tenon_core::users::FullName;
    fn lang(&self) -> tenon_core::users::Lang;
    fn timezone(&self) -> &tenon_core::users::Timezone;
}

macro_rules! profile {
    ($($wish:ty),*) => {$(
        impl Profile for $wish {
            fn full_name(&self) -> &tenon_core::users::FullName { &self.full_name }
            fn lang(&self) -> tenon_core::users::Lang { self.lang }
            fn timezone(&self) -> &tenon_core::users::Timezone { &self.timezone }
        }
    )*};
}
profile!(SignUp, tenon_core::accounts::Claim, tenon_core::users::NewAccount);

/// What [`purge`] removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Accounts never verified.
    pub accounts: usize,
    /// Ended sessions.
    pub sessions: usize,
    /// Ended personal access tokens.
    pub tokens: usize,
    /// Ended links.
    pub links: usize,
    /// Old answers kept for retries.
    pub idempotency_keys: usize,
    /// Logs of people who are gone.
    pub logs: usize,
    /// Addresses put into ASCII.
    pub emails: usize,
}

/// Removes what has ended: links, sessions, tokens, kept answers, and accounts never verified in time.
pub async fn purge(app: &App, correlation_id: &str) -> Result<Purged> {
    app.write(&[], correlation_id, async |tx| {
        let (now, settings) = (tx.now(), tx.app().settings.clone());
        let conn = tx.conn();
        let emails = tenon_db::users::respell_emails(conn).await?;
        if emails.kept > 0 {
            tracing::warn!(
                accounts = emails.kept,
                "accounts have addresses outside ASCII that cannot be mailed, or that another account has in ASCII; \
                 see them with: tenon user list"
            );
        }
        Ok(Purged {
            emails: emails.changed,
            accounts: tenon_db::users::purge_unverified(conn, now - settings.unverified).await?,
            sessions: tenon_db::sessions::purge(conn, now - settings.refresh_token_ttl).await?,
            tokens: tenon_db::tokens::purge(conn, now - settings.refresh_token_ttl).await?,
            links: tenon_db::links::purge(conn, now).await?,
            idempotency_keys: tenon_db::idempotency::purge(conn, now).await?,
            logs: tenon_db::users::purge_logs(conn, now - settings.log).await?,
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_made_from_the_address() {
        let of = |email: &str| handle_of(&Email::parse(email).unwrap());
        assert_eq!(of("Ada.Lovelace+work@example.org"), "ada.lovelace");
        assert_eq!(of("_ada-@example.org"), "ada");
        assert_eq!(of("!!@example.org"), "user");
    }
}
