//! Personal access tokens.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DurationRound, TimeDelta};
use tenon_core::{
    Error, Result, Time,
    callers::Caller,
    changes::{Change, Kind, Stream},
    ids::{TokenId, UserId},
    page::{Items, Page},
    permissions::Rights,
    secrets::Secret,
    tokens::{NewToken, Scopes, TOKEN_PREFIX, Token},
};
use uuid::Uuid;

use crate::{
    App, Tx,
    access::{self, Inactive},
    crypto, me, policy,
};

/// The most a person may have.
const MAX_TOKENS: i64 = 100;
/// What writes from the machine itself are known by.
const COMMAND_LINE: &str = "command-line";

/// The caller's tokens, newest first.
pub async fn list(app: &App, caller: &Caller, page: &Page<Uuid>) -> Result<Items<Token, Uuid>> {
    let mut conn = app.read().await?;
    let person = access::person(app, &mut conn, caller).await?;
    let rows = tenon_db::tokens::of_user(&mut conn, person.id, page).await?;
    Ok(Items::cut(rows, page, |t| t.id.uuid()))
}

/// One of the caller's tokens.
pub async fn get(app: &App, caller: &Caller, id: TokenId) -> Result<Token> {
    let mut conn = app.read().await?;
    let person = access::person(app, &mut conn, caller).await?;
    tenon_db::tokens::find(&mut conn, person.id, id).await?.ok_or(Error::NotFound("token"))
}

/// Makes a token; its secret is told this once. A token cannot make tokens.
pub async fn create(app: &App, caller: &Caller, new: NewToken) -> Result<(Token, Secret)> {
    refuse_useless(app, &new)?;
    let stream = me::stream(app, caller).await?;
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let person = tx.person(caller).await?;
        me::in_session(&person)?;
        insert(tx, person.id, new).await
    })
    .await
}

/// Ends one of the caller's tokens.
pub async fn delete(app: &App, caller: &Caller, id: TokenId) -> Result<()> {
    let stream = me::stream(app, caller).await?;
    app.write(&[stream], &caller.correlation_id, async |tx| {
        let person = tx.person(caller).await?;
        remove(tx, person.id, id).await
    })
    .await
}

/// A person's tokens, newest first. Only from the machine itself, as all that follows: an administrator who holds
/// another's token could act in their name.
pub async fn list_of(app: &App, person: UserId, page: &Page<Uuid>) -> Result<Items<Token, Uuid>> {
    let rows = tenon_db::tokens::of_user(&mut *app.read().await?, person, page).await?;
    Ok(Items::cut(rows, page, |t| t.id.uuid()))
}

/// Makes a token for a person; its secret is told this once. Refused when it would open nothing.
pub async fn create_for(app: &App, person: UserId, new: NewToken) -> Result<(Token, Secret)> {
    refuse_useless(app, &new)?;
    app.write(&[Stream::Person(person)], COMMAND_LINE, async |tx| {
        let user = tenon_db::users::find(tx.conn(), person).await?.ok_or(Error::NotFound("user"))?;
        if let Some(why) = Inactive::of(&user) {
            return Err(why.conflict());
        }
        insert(tx, person, new).await
    })
    .await
}

/// Ends a token, whosever it is.
pub async fn revoke(app: &App, id: TokenId) -> Result<Token> {
    let gone = || Error::NotFound("token");
    let token = tenon_db::tokens::find_any(&mut *app.read().await?, id).await?.ok_or_else(gone)?;
    app.write(&[Stream::Person(token.user_id)], COMMAND_LINE, async |tx| {
        remove(tx, token.user_id, id).await?;
        Ok(token)
    })
    .await
}

fn refuse_useless(app: &App, new: &NewToken) -> Result<()> {
    if new.scopes.is_empty() {
        return Err(Error::invalid("/scopes", "too-short", "must name at least one scope"));
    }
    if new.expires_at.is_some_and(|at| at <= app.now()) {
        return Err(Error::invalid("/expires_at", "in-the-past", "must be in the future"));
    }
    Ok(())
}

/// Ends all of a person's tokens.
pub(crate) async fn end_all(tx: &mut Tx<'_>, person: UserId) -> Result<()> {
    for id in tenon_db::tokens::delete_all(tx.conn(), person).await? {
        tx.record(Stream::Person(person), revoked(id))?;
    }
    Ok(())
}

fn revoked(id: TokenId) -> Change {
    Change::new(Kind::TokenRevoked, id, serde_json::json!({ "token_id": id }))
}

async fn insert(tx: &mut Tx<'_>, person: UserId, new: NewToken) -> Result<(Token, Secret)> {
    let owner = tenon_db::users::find(tx.conn(), person).await?.ok_or(Error::NotFound("user"))?;
    let wanted = Rights { is_owner: false, permissions: Scopes::of(new.scopes.iter().copied()) };
    policy::may_grant(Scopes::held(owner.is_admin), Rights::NONE, wanted)?;
    if tenon_db::tokens::count(tx.conn(), person).await? >= MAX_TOKENS {
        let detail = format!("You have {MAX_TOKENS} tokens; delete one first.");
        return Err(Error::conflict("too-many-tokens", detail));
    }
    let secret = format!("{TOKEN_PREFIX}{}", crypto::random_token(tx.app().random()));
    let token = Token {
        id: tx.app().id(),
        user_id: person,
        name: new.name,
        scopes: new.scopes,
        created_at: tx.now(),
        expires_at: new.expires_at,
        last_used_at: None,
    };
    tenon_db::tokens::insert(tx.conn(), &token, crypto::hash_token(&secret)).await?;
    tx.record(Stream::Person(person), Change::new(Kind::TokenCreated, token.id, &token))?;
    Ok((token, Secret::new(secret)))
}

async fn remove(tx: &mut Tx<'_>, person: UserId, id: TokenId) -> Result<()> {
    if !tenon_db::tokens::delete(tx.conn(), person, id).await? {
        return Err(Error::NotFound("token"));
    }
    tx.record(Stream::Person(person), revoked(id))
}

/// Tokens used since the last [`flush_uses`]: what a request notes costs it no statement.
#[derive(Debug, Default)]
pub struct Uses(Mutex<BTreeMap<TokenId, Time>>);

impl Uses {
    pub(crate) fn note(&self, token: TokenId, at: Time) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token, at);
    }
    fn take(&self) -> BTreeMap<TokenId, Time> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes down which tokens were used, to the minute; says how many. To be called about once a minute, and last
/// when the process stops.
pub async fn flush_uses(app: &App) -> Result<usize> {
    let minute = |at: Time| at.duration_trunc(TimeDelta::minutes(1)).unwrap_or(at);
    let uses: Vec<(TokenId, Time)> =
        app.token_uses.take().into_iter().map(|(id, at)| (id, minute(at))).collect();
    if !uses.is_empty() {
        app.write(&[], "token-uses", async |tx| {
            tenon_db::tokens::used(tx.conn(), &uses).await?;
            Ok(())
        })
        .await?;
    }
    Ok(uses.len())
}
