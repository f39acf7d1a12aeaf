//! One's own profile and password.

use tenon_core::{
    Error, Result,
    callers::{Caller, Person},
    changes::{Change, Kind, Stream},
    jobs::{MailAbout, SendMail},
    secrets::{NewPassword, Secret},
    sessions::ClientInfo,
    users::{ProfilePatch, User},
};
use tenon_db::users::Account;

use crate::{App, access, accounts, passwords, resets, sessions, throttle};

/// The log of the caller's own person.
pub(crate) async fn stream(app: &App, caller: &Caller) -> Result<Stream> {
    Ok(Stream::Person(access::person_id(app, caller).await?))
}

/// Refuses tokens for what would let a leaked one take the account over.
pub(crate) fn in_session(person: &Person) -> Result<()> {
    if person.session.is_some() {
        Ok(())
    } else {
        Err(Error::Forbidden("do this with a personal access token; sign in for it"))
    }
}

/// The caller.
pub async fn get(app: &App, caller: &Caller) -> Result<User> {
    let mut conn = app.read().await?;
    let person = access::person(app, &mut conn, caller).await?;
    tenon_db::users::find(&mut conn, person.id).await?.ok_or(Error::Unauthenticated)
}

/// Changes the caller's profile.
pub async fn patch(app: &App, caller: &Caller, patch: &ProfilePatch, expected: Option<i64>) -> Result<User> {
    let stream = stream(app, caller).await?;
    let changed = app
        .write(&[stream], &caller.correlation_id, async |tx| {
            let person = tx.person(caller).await?;
            let before = tenon_db::users::find(tx.conn(), person.id).await?.ok_or(Error::Unauthenticated)?;
            refuse_stale(&before, expected)?;
            if changes_nothing(&before, patch) {
                return Ok(before);
            }
            if let Some(username) = &patch.username {
                let holder = tenon_db::users::by_username(tx.conn(), username).await?;
                if holder.is_some_and(|h| h.user.id != person.id) {
                    return Err(accounts::username_taken());
                }
            }
            tenon_db::users::update_profile(tx.conn(), person.id, patch).await.map_err(taken)?;
            let after = tenon_db::users::find(tx.conn(), person.id).await?.ok_or(Error::Unauthenticated)?;
            let change = Change::new(Kind::AccountUpdated, person.id, &after).with_before(&before);
            tx.record(stream, change)?;
            Ok(after)
        })
        .await?;
    Ok(changed)
}

fn changes_nothing(user: &User, patch: &ProfilePatch) -> bool {
    fn same<T: PartialEq>(wanted: Option<&T>, is: &T) -> bool {
        wanted.is_none_or(|wanted| wanted == is)
    }
    same(patch.username.as_ref(), &user.username)
        && same(patch.full_name.as_ref(), &user.full_name)
        && same(patch.color.as_ref(), &user.color)
        && same(patch.lang.as_ref(), &user.lang)
        && same(patch.timezone.as_ref(), &user.timezone)
}

/// Refuses a caller whose version is not the present one.
pub(crate) fn refuse_stale(user: &User, expected: Option<i64>) -> Result<()> {
    match expected {
        Some(expected) if expected != user.version => Err(Error::Stale {
            what: "account",
            expected,
            current: user.version,
            representation: serde_json::to_value(user).ok(),
        }),
        _ => Ok(()),
    }
}

/// A handle or address that somebody else took in the same moment.
pub(crate) fn taken(error: tenon_db::Error) -> Error {
    match error.unique_violation() {
        Some(constraint) if constraint.contains("email") => accounts::email_taken(),
        Some(_) => accounts::username_taken(),
        None => error.into(),
    }
}

/// Changes the caller's password, which needs the old one, and ends every other session. Personal access tokens go on;
/// the mail names them.
pub async fn change_password(
    app: &App,
    caller: &Caller,
    old: &Secret,
    new: &NewPassword,
    client: &ClientInfo,
) -> Result<()> {
    let account = prove(app, caller, old, "/old_password", client).await?;
    let user = &account.user;
    let own = accounts::own_words(&user.email, Some(&user.username), user.full_name.as_str());
    passwords::refuse_common(new, "/new_password", &own.each_ref().map(String::as_str))?;
    let hash = passwords::hash(app, new.expose()).await?;
    let stream = Stream::Person(user.id);
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let person = tx.person(caller).await?;
        let now = tenon_db::users::account(tx.conn(), person.id).await?;
        if now.is_none_or(|now| now.password_hash != account.password_hash) {
            return Err(wrong_password("/old_password"));
        }
        tenon_db::users::set_password(tx.conn(), person.id, &hash).await?;
        resets::end_links(tx, person.id).await?;
        sessions::end_all(tx, person.id, person.session).await?;
        tx.record(stream, resets::changed(person.id))?;
        let about = MailAbout::PasswordChanged { user: user.id, at: tx.now(), reset: false };
        tx.enqueue(&SendMail::About(about))
    })
    .await
}

/// The caller's account, if the caller is signed in and knows its password.
pub(crate) async fn prove(
    app: &App,
    caller: &Caller,
    password: &Secret,
    pointer: &str,
    client: &ClientInfo,
) -> Result<Account> {
    let mut conn = app.read().await?;
    let person = access::person(app, &mut conn, caller).await?;
    in_session(&person)?;
    let account = tenon_db::users::account(&mut conn, person.id).await?.ok_or(Error::Unauthenticated)?;
    drop(conn);
    let proof = throttle::Proof::begin(app, &person.id.to_string(), client).await?;
    if passwords::verify(app, password.expose(), account.password_hash.as_deref()).await? {
        proof.give_back().await;
        Ok(account)
    } else {
        Err(wrong_password(pointer))
    }
}

/// How long ago a session may have begun to stand for a password where there is none.
const RECENT: chrono::Duration = chrono::Duration::minutes(15);

/// Makes sure that the caller is the person, not somebody who found a session: by the password, or, where the account
/// has none, by a sign-in of a moment ago.
pub(crate) async fn prove_or_recent(
    app: &App,
    caller: &Caller,
    password: Option<&Secret>,
    client: &ClientInfo,
) -> Result<()> {
    let mut conn = app.read().await?;
    let person = access::person(app, &mut conn, caller).await?;
    in_session(&person)?;
    let account = tenon_db::users::account(&mut conn, person.id).await?.ok_or(Error::Unauthenticated)?;
    match (account.password_hash, password, person.session) {
        (Some(_), Some(password), _) => {
            drop(conn);
            prove(app, caller, password, "/password", client).await.map(|_| ())
        }
        (Some(_), None, _) => {
            Err(Error::invalid("/password", "missing", "is needed for this: your password"))
        }
        (None, _, Some(session)) => {
            let session = tenon_db::sessions::find(&mut conn, session).await?;
            if session.is_some_and(|s| s.created_at + RECENT > app.now()) {
                Ok(())
            } else {
                let detail = "You signed in more than 15 minutes ago. Sign in again, then do this.";
                Err(Error::conflict("sign-in-not-recent", detail))
            }
        }
        (None, _, None) => Err(Error::Unauthenticated),
    }
}

fn wrong_password(pointer: &str) -> Error {
    Error::invalid(pointer, "wrong-password", "is not your password")
}
