//! Signing in, staying in, signing out.

use tenon_core::{
    Error, Result, Time,
    callers::{Caller, Credential},
    changes::{Change, Kind, Stream},
    emails::Email,
    ids::{SessionId, UserId},
    jobs::{MailAbout, SendMail},
    outside,
    page::{Items, Page},
    secrets::{Secret, TokenHash},
    sessions::{ClientInfo, Session, TokenPair},
    users::{User, Username},
};
use tenon_db::users::Account;
use uuid::Uuid;

use crate::{
    App, Tx,
    access::{self, Inactive},
    credentials, crypto, me, passwords, throttle,
};

/// The most of a client's name that is kept.
const USER_AGENT_CHARS: usize = 200;

/// A wish to sign in.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// Address or handle.
    pub login: String,
    /// Password.
    pub password: Secret,
    /// Where from.
    pub client: ClientInfo,
}

/// Begins a session. An unknown account and a wrong password get the same answer after the same work; that an
/// account is not active is told only to whoever knows its password. Only failures count.
pub async fn sign_in(app: &App, wish: &SignIn, correlation_id: &str) -> Result<(User, TokenPair)> {
    let account = find(app, &wish.login).await?;
    let name = match &account {
        // One account, whether it is called by address or by handle.
        Some(account) => account.user.id.to_string(),
        None => wish.login.trim().to_lowercase(),
    };
    let proof = throttle::Proof::begin(app, &name, &wish.client).await?;
    let outcome = enter(app, wish, account, correlation_id).await;
    if !matches!(outcome, Err(Error::Unauthenticated)) {
        proof.give_back().await;
    }
    outcome
}

async fn enter(
    app: &App,
    wish: &SignIn,
    account: Option<Account>,
    correlation_id: &str,
) -> Result<(User, TokenPair)> {
    let hash = account.as_ref().and_then(|a| a.password_hash.clone());
    let right = passwords::verify(app, wish.password.expose(), hash.as_deref()).await?;
    let Some(account) = account.filter(|_| right) else { return Err(Error::Unauthenticated) };
    refuse_inactive(&account.user)?;
    app.write(&[Stream::Person(account.user.id)], correlation_id, async |tx| {
        // A password changed, or an account switched off, while the old one was being checked.
        let now = tenon_db::users::account(tx.conn(), account.user.id).await?;
        let same = |a: &Account| a.password_hash == account.password_hash;
        let user = now.filter(same).ok_or(Error::Unauthenticated)?.user;
        refuse_inactive(&user)?;
        let pair = begin(tx, &user, &wish.client).await?;
        Ok((user, pair))
    })
    .await
}

async fn find(app: &App, login: &str) -> Result<Option<Account>> {
    let mut conn = app.read().await?;
    if let Some(email) = Email::sought(login) {
        Ok(tenon_db::users::by_email(&mut conn, &email).await?)
    } else if let Some(username) = Username::sought(login) {
        Ok(tenon_db::users::by_username(&mut conn, &username).await?)
    } else {
        Ok(None)
    }
}

fn refuse_inactive(user: &User) -> Result<()> {
    Inactive::of(user).map_or(Ok(()), |why| Err(why.conflict()))
}

async fn begin(tx: &mut Tx<'_>, user: &User, client: &ClientInfo) -> Result<TokenPair> {
    let now = tx.now();
    let session = Session {
        id: tx.app().id(),
        user_id: user.id,
        created_at: now,
        last_seen_at: now,
        expires_at: now + tx.app().settings.refresh_token_ttl,
        user_agent: outside::clean(&client.user_agent, USER_AGENT_CHARS),
        address: client.address.clone(),
    };
    let is_new_device = user.last_login_at.is_some()
        && !tenon_db::sessions::knows_device(tx.conn(), user.id, &session.user_agent).await?;
    tenon_db::sessions::insert(tx.conn(), &session).await?;
    let pair = issue(tx, user.id, session.id).await?;
    tenon_db::users::signed_in(tx.conn(), user.id, now).await?;
    tx.act_as(user.as_ref());
    tx.record(Stream::Person(user.id), Change::new(Kind::SessionCreated, session.id, &session))?;
    if is_new_device {
        tx.enqueue(&SendMail::About(MailAbout::NewLogin { user: user.id, session: session.id }))?;
    }
    Ok(pair)
}

/// A fresh pair of tokens for a session, the refresh token stored by its hash.
async fn issue(tx: &mut Tx<'_>, user: UserId, session: SessionId) -> Result<TokenPair> {
    let (app, now) = (tx.app(), tx.now());
    let access_expires_at = now + app.settings.access_token_ttl;
    let refresh = crypto::random_token(app.random());
    let hash = crypto::hash_token(&refresh);
    let pair = TokenPair {
        user_id: user,
        session_id: session,
        access_token: app.keys.sign_access(user, session, app.id(), now, access_expires_at)?,
        access_expires_at,
        refresh_token: Secret::new(refresh),
        refresh_expires_at: now + app.settings.refresh_token_ttl,
        csrf_token: Secret::new(credentials::csrf_token(app, session)),
    };
    tenon_db::sessions::insert_refresh(tx.conn(), session, hash, now).await?;
    Ok(pair)
}

/// What comes of presenting a refresh token.
enum Turn {
    Refused,
    Inactive(Inactive),
    Stolen(UserId, SessionId),
    Exchanged(Box<TokenPair>),
}

/// Exchanges a refresh token for a new pair. One that was exchanged before and comes back after the grace has
/// been stolen, from whom we cannot know: the session ends for everybody who holds a token of it.
pub async fn refresh(app: &App, token: &str, correlation_id: &str) -> Result<TokenPair> {
    let hash = crypto::hash_token(token);
    let turn = app.write(&[], correlation_id, async |tx| exchange(tx, hash).await).await?;
    match turn {
        Turn::Exchanged(pair) => Ok(*pair),
        Turn::Refused => Err(Error::Unauthenticated),
        Turn::Inactive(why) => Err(why.unauthenticated()),
        Turn::Stolen(user, session) => {
            tracing::warn!(%user, %session, "a refresh token came back after it was exchanged; its session ends");
            app.write(&[Stream::Person(user)], correlation_id, async |tx| end(tx, user, session).await)
                .await?;
            Err(Error::Unauthenticated)
        }
    }
}

async fn exchange(tx: &mut Tx<'_>, hash: TokenHash) -> Result<Turn> {
    let now = tx.now();
    let known = tenon_db::sessions::find_refresh(tx.conn(), hash, now).await?;
    let Some(known) = known else { return Ok(Turn::Refused) };
    if !known.is_alive {
        let user = tenon_db::users::find(tx.conn(), known.user()).await?;
        return Ok(user.as_ref().and_then(Inactive::of).map_or(Turn::Refused, Turn::Inactive));
    }
    let (user, session) = (known.user(), known.session());
    let is_lost_answer = |at: Time| now <= at + tx.app().settings.refresh_grace;
    if known.rotated_at.is_some_and(|at| !is_lost_answer(at)) {
        return Ok(Turn::Stolen(user, session));
    }
    let pair = issue(tx, user, session).await?;
    tenon_db::sessions::rotate(tx.conn(), session, hash, now, pair.refresh_expires_at).await?;
    Ok(Turn::Exchanged(Box::new(pair)))
}

/// Ends the caller's session.
pub async fn sign_out(app: &App, caller: &Caller) -> Result<()> {
    let Credential::Session { user, session } = caller.credential else {
        return Err(Error::Forbidden("sign out with a personal access token"));
    };
    app.write(&[Stream::Person(user)], &caller.correlation_id, async |tx| {
        tx.person(caller).await?;
        end(tx, user, session).await
    })
    .await
}

/// The caller's living sessions, newest first, and which one the caller uses.
pub async fn list(
    app: &App,
    caller: &Caller,
    page: &Page<Uuid>,
) -> Result<(Items<Session, Uuid>, Option<SessionId>)> {
    let mut conn = app.read().await?;
    let person = access::person(app, &mut conn, caller).await?;
    let rows = tenon_db::sessions::of_user(&mut conn, person.id, app.now(), page).await?;
    Ok((Items::cut(rows, page, |s| s.id.uuid()), person.session))
}

/// Ends one of the caller's sessions. Ending it again succeeds.
pub async fn revoke(app: &App, caller: &Caller, session: SessionId) -> Result<()> {
    let stream = me::stream(app, caller).await?;
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let person = tx.person(caller).await?;
        if !tenon_db::sessions::exists(tx.conn(), person.id, session).await? {
            return Err(Error::NotFound("session"));
        }
        end(tx, person.id, session).await
    })
    .await
}

/// Ends every session of the caller but the one in use; says how many. Refused to a token, which is used in no session:
/// it would end the one that it was made in, too.
pub async fn revoke_others(app: &App, caller: &Caller) -> Result<usize> {
    let stream = me::stream(app, caller).await?;
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let person = tx.person(caller).await?;
        me::in_session(&person)?;
        end_all(tx, person.id, person.session).await
    })
    .await
}

async fn end(tx: &mut Tx<'_>, user: UserId, session: SessionId) -> Result<()> {
    let now = tx.now();
    if tenon_db::sessions::revoke(tx.conn(), session, now).await? {
        tx.record(Stream::Person(user), revoked(session))?;
    }
    Ok(())
}

/// Ends a person's sessions, all or all but one.
pub(crate) async fn end_all(tx: &mut Tx<'_>, user: UserId, but: Option<SessionId>) -> Result<usize> {
    let now = tx.now();
    let ended = tenon_db::sessions::revoke_all(tx.conn(), user, but, now).await?;
    for session in &ended {
        tx.record(Stream::Person(user), revoked(*session))?;
    }
    Ok(ended.len())
}

fn revoked(session: SessionId) -> Change {
    Change::new(Kind::SessionRevoked, session, serde_json::json!({ "session_id": session }))
}
