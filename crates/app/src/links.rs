//! Mailed single-use links: made, opened, and their secrets, which are derived and never stored.

use tenon_core::{Error, Result, accounts::LinkPurpose, emails::Email, ids::UserId};
use tenon_db::{Connection, links::Link};
use uuid::Uuid;

use crate::{App, Keys, Tx, crypto};

/// The secret in a link: what its receiver sends back.
pub fn secret(keys: &Keys, link: Uuid) -> String {
    keys.derive("link", &[link.as_bytes()])
}

/// Makes a link. One made for nobody opens nothing.
pub(crate) async fn make(tx: &mut Tx<'_>, purpose: LinkPurpose, user: Option<UserId>) -> Result<Uuid> {
    let link = Link { id: tx.app().id(), purpose, user, new_email: None, partner: None };
    insert(tx, &link).await?;
    Ok(link.id)
}

/// Makes the two links of a change of address: the one for the old address first.
pub(crate) async fn make_pair(tx: &mut Tx<'_>, user: UserId, new_email: &Email) -> Result<(Uuid, Uuid)> {
    let (old, new): (Uuid, Uuid) = (tx.app().id(), tx.app().id());
    for (id, partner, purpose) in
        [(old, new, LinkPurpose::ChangeEmailOld), (new, old, LinkPurpose::ChangeEmailNew)]
    {
        let link = Link {
            id,
            purpose,
            user: Some(user),
            new_email: Some(new_email.clone()),
            partner: Some(partner),
        };
        insert(tx, &link).await?;
    }
    Ok((old, new))
}

async fn insert(tx: &mut Tx<'_>, link: &Link) -> Result<()> {
    let (hash, now) = (crypto::hash_token(&secret(&tx.app().keys, link.id)), tx.now());
    tenon_db::links::insert(tx.conn(), link, hash, now).await?;
    Ok(())
}

/// The link behind a secret, if it is of one of these purposes and still opens something.
pub(crate) async fn find(
    app: &App,
    conn: &mut Connection,
    purposes: &[LinkPurpose],
    secret: &str,
) -> Result<Link> {
    let hash = crypto::hash_token(secret);
    for purpose in purposes {
        if let Some(link) = tenon_db::links::find(conn, *purpose, hash, app.now()).await? {
            return Ok(link);
        }
    }
    Err(dead())
}

/// Uses a link up; whoever comes second is refused.
pub(crate) async fn consume(tx: &mut Tx<'_>, link: &Link) -> Result<()> {
    let now = tx.now();
    if tenon_db::links::mark_used(tx.conn(), link.id, now).await? { Ok(()) } else { Err(dead()) }
}

/// Whose link it is; one made for nobody is as dead as one that never was.
pub(crate) fn owner(link: &Link) -> Result<UserId> {
    link.user.ok_or_else(dead)
}

fn dead() -> Error {
    Error::conflict(
        "link-not-valid",
        "This link was used already, has ended, or never was. Ask for a new one.",
    )
}
