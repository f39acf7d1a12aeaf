//! People, as administrators of the instance see them.

use tenon_core::{
    Error, Result,
    accounts::Belonging,
    callers::Caller,
    changes::{Change, Kind, Stream},
    emails::Email,
    ids::UserId,
    page::{Items, Page},
    secrets::NewPassword,
    users::{NewAccount, User},
};
use tenon_db::Connection;
use uuid::Uuid;

use crate::{
    App, Tx,
    access::{self, Inactive},
    accounts,
    deletions::last_admin,
    ownership, passwords, resets, sessions, tokens,
    write::{ATTEMPTS, is_outdated, outdated},
};

/// Who administers.
#[derive(Debug, Clone, Copy)]
pub enum Operator<'a> {
    /// An administrator, through the API.
    Caller(&'a Caller),
    /// Whoever has a shell on the machine.
    System,
}

impl Operator<'_> {
    pub(crate) fn correlation_id(&self) -> &str {
        match self {
            Self::Caller(caller) => &caller.correlation_id,
            Self::System => "command-line",
        }
    }
    pub(crate) async fn check(&self, app: &App, conn: &mut Connection) -> Result<()> {
        if let Self::Caller(caller) = self {
            access::admin(app, conn, caller).await?;
        }
        Ok(())
    }
    /// The operator's own id, when it is a person; from then on the author.
    pub(crate) async fn enter(&self, tx: &mut Tx<'_>) -> Result<Option<UserId>> {
        match self {
            Self::Caller(caller) => Ok(Some(tx.admin(caller).await?.id)),
            Self::System => Ok(None),
        }
    }
}

/// People in order of arrival, whose handle, name or address contains `search`; with their number if asked.
pub async fn list(
    app: &App,
    operator: Operator<'_>,
    search: Option<&str>,
    page: &Page<Uuid>,
    count: bool,
) -> Result<(Items<User, Uuid>, Option<i64>)> {
    let mut conn = app.read().await?;
    operator.check(app, &mut conn).await?;
    let rows = tenon_db::users::list(&mut conn, search, page).await?;
    let total = if count { Some(tenon_db::users::count(&mut conn, search).await?) } else { None };
    Ok((Items::cut(rows, page, |u| u.id.uuid()), total))
}

/// A person.
pub async fn get(app: &App, operator: Operator<'_>, id: UserId) -> Result<User> {
    let mut conn = app.read().await?;
    operator.check(app, &mut conn).await?;
    tenon_db::users::find(&mut conn, id).await?.ok_or(Error::NotFound("user"))
}

/// Whose address or handle it is.
pub async fn find(app: &App, operator: Operator<'_>, login: &str) -> Result<User> {
    let mut conn = app.read().await?;
    operator.check(app, &mut conn).await?;
    let found = if let Some(email) = Email::sought(login) {
        tenon_db::users::by_email(&mut conn, &email).await?
    } else if let Some(username) = tenon_core::users::Username::sought(login) {
        tenon_db::users::by_username(&mut conn, &username).await?
    } else {
        None
    };
    Ok(found.ok_or(Error::NotFound("user"))?.user)
}

/// Makes an account: ready at once with a password; without one, a mailed link lets the person choose it, which
/// verifies the address.
pub async fn create(app: &App, operator: Operator<'_>, new: NewAccount) -> Result<User> {
    operator.check(app, &mut *app.read().await?).await?;
    let hash = match &new.password {
        Some(password) => {
            let own = accounts::own_words(&new.email, new.username.as_ref(), new.full_name.as_str());
            passwords::refuse_common(password, "/password", &own.each_ref().map(String::as_str))?;
            Some(passwords::hash(app, password.expose()).await?)
        }
        None => None,
    };
    app.write(&[], operator.correlation_id(), async |tx| {
        operator.enter(tx).await?;
        let draft = accounts::Draft {
            email: new.email.clone(),
            username: new.username.clone(),
            verified_at: hash.as_ref().map(|_| tx.now()),
            password_hash: hash,
            accepted_at: None,
            is_admin: new.is_admin,
        };
        let user = accounts::insert(tx, draft, &new).await?;
        if user.verified_at.is_none() {
            resets::send(tx, &user).await?;
        }
        Ok(user)
    })
    .await
}

/// Whether this installation has an administrator who can sign in.
pub async fn has_admin(app: &App) -> Result<bool> {
    Ok(tenon_db::users::admins(&mut *app.read().await?).await? > 0)
}

/// What an administrator may change of an account; `None` leaves it as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct AccountPatch {
    /// Switches the account on or off.
    pub is_active: Option<bool>,
    /// Makes or unmakes an administrator.
    pub is_admin: Option<bool>,
}

/// A changed account.
#[derive(Debug, Clone)]
pub struct Patched {
    /// As it is now.
    pub user: User,
    /// What others use and is without an active owner, as the account is switched off.
    pub without_owner: Vec<Belonging>,
}

/// Switches an account on or off, makes or unmakes an administrator. The last administrator stays one. A sole owner can be
/// switched off at once; what that leaves without an owner is said, and [`crate::ownership`] gives it another.
pub async fn patch(
    app: &App,
    operator: Operator<'_>,
    id: UserId,
    patch: AccountPatch,
    expected: Option<i64>,
) -> Result<Patched> {
    for _ in 0..ATTEMPTS {
        let mut streams = vec![Stream::Person(id)];
        if patch.is_active == Some(false) {
            // What they invited others to ends with them.
            streams.extend(tenon_db::delegations::places_by(&mut *app.read().await?, id).await?);
        }
        let tried = app
            .write(&streams, operator.correlation_id(), async |tx| {
                change(tx, operator, id, patch, expected).await
            })
            .await;
        if !is_outdated(&tried) {
            return tried;
        }
    }
    Err(outdated())
}

async fn change(
    tx: &mut Tx<'_>,
    operator: Operator<'_>,
    id: UserId,
    patch: AccountPatch,
    expected: Option<i64>,
) -> Result<Patched> {
    operator.enter(tx).await?;
    let admins = tenon_db::users::lock_admins(tx.conn()).await?;
    let before = load(tx, id).await?;
    crate::me::refuse_stale(&before, expected)?;
    let is_active = patch.is_active.unwrap_or(before.is_active);
    let is_admin = patch.is_admin.unwrap_or(before.is_admin);
    let was_one = before.is_admin && before.is_active;
    if was_one && !(is_admin && is_active) && admins <= 1 {
        return Err(last_admin());
    }
    if is_active && before.verified_at.is_none() {
        let detail = "The address was never verified; the person follows the link in their mail first.";
        return Err(Error::conflict("email-not-verified", detail));
    }
    if is_admin != before.is_admin {
        tenon_db::users::set_admin(tx.conn(), id, is_admin).await?;
        let after = load(tx, id).await?;
        let change = Change::new(Kind::AccountUpdated, id, &after).with_before(&before);
        tx.record(Stream::Person(id), change)?;
    }
    if is_active != before.is_active {
        tenon_db::users::set_active(tx.conn(), id, is_active).await?;
        if is_active {
            // Until now they told their holders why they open nothing. Whoever is let in again makes new ones: nobody
            // remembers who has the old ones.
            tokens::end_all(tx, id).await?;
        } else {
            sessions::end_all(tx, id, None).await?;
            resets::end_links(tx, id).await?;
        }
        let data = serde_json::json!({ "is_active": is_active });
        tx.record(Stream::Person(id), Change::new(Kind::AccountActivityChanged, id, data))?;
    }
    let user = load(tx, id).await?;
    let without_owner = if user.is_active { vec![] } else { ownership::left_by(tx.conn(), id).await? };
    Ok(Patched { user, without_owner })
}

/// Mails a link with which a person chooses a new password. Refused for a deactivated account, whose person could not
/// sign in with it.
pub async fn send_reset(app: &App, operator: Operator<'_>, id: UserId) -> Result<()> {
    app.write(&[Stream::Person(id)], operator.correlation_id(), async |tx| {
        operator.enter(tx).await?;
        let user = load(tx, id).await?;
        match Inactive::of(&user) {
            Some(why @ Inactive::Deactivated) => Err(why.conflict()),
            // The link verifies the address, too.
            _ => resets::send(tx, &user).await,
        }
    })
    .await
}

/// Sets a person's password, ends their sessions and tokens, and verifies an address that was not: whoever sets it vouches
/// for the person. Answers the account as it is then; a deactivated one stays so. Only from the machine itself: an administrator who knows
/// another's password could act in their name.
pub async fn set_password(app: &App, id: UserId, new: &NewPassword) -> Result<User> {
    let user = get(app, Operator::System, id).await?;
    let own = accounts::own_words(&user.email, Some(&user.username), user.full_name.as_str());
    passwords::refuse_common(new, "/password", &own.each_ref().map(String::as_str))?;
    let hash = passwords::hash(app, new.expose()).await?;
    app.write(&[Stream::Person(id)], Operator::System.correlation_id(), async |tx| {
        let user = load(tx, id).await?;
        resets::set(tx, &user, &hash).await?;
        accounts::mark_verified(tx, id).await?;
        load(tx, id).await
    })
    .await
}

async fn load(tx: &mut Tx<'_>, id: UserId) -> Result<User> {
    tenon_db::users::find(tx.conn(), id).await?.ok_or(Error::NotFound("user"))
}
