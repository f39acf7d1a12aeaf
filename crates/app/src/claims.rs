//! The first administrator: whoever holds the link that the instance shows to whoever started it.

use tenon_core::{
    Error, Result,
    accounts::{Claim, LinkPurpose},
    users::User,
};

use crate::{App, accounts, links, passwords};

const TAKEN: &str = "This instance has an administrator already.";

/// A fresh secret with which the instance can be claimed, for as long as it has no administrator; earlier ones end.
pub async fn open(app: &App, correlation_id: &str) -> Result<Option<String>> {
    app.write(&[], correlation_id, async |tx| {
        if tenon_db::users::lock_admins(tx.conn()).await? > 0 {
            return Ok(None);
        }
        tenon_db::links::delete_all(tx.conn(), LinkPurpose::ClaimInstance).await?;
        let link = links::make(tx, LinkPurpose::ClaimInstance, None).await?;
        Ok(Some(links::secret(&tx.app().keys, link)))
    })
    .await
}

/// Makes the first administrator; the address needs no verification.
pub async fn claim(app: &App, secret: &str, wish: Claim, correlation_id: &str) -> Result<User> {
    let link = links::find(app, &mut *app.read().await?, &[LinkPurpose::ClaimInstance], secret).await?;
    let own = accounts::own_words(&wish.email, wish.username.as_ref(), wish.full_name.as_str());
    passwords::refuse_common(&wish.password, "/password", &own.each_ref().map(String::as_str))?;
    let hash = passwords::hash(app, wish.password.expose()).await?;
    app.write(&[], correlation_id, async |tx| {
        if tenon_db::users::lock_admins(tx.conn()).await? > 0 {
            return Err(Error::conflict("already-claimed", TAKEN));
        }
        links::consume(tx, &link).await?;
        let now = tx.now();
        let draft = accounts::Draft {
            email: wish.email.clone(),
            username: wish.username.clone(),
            password_hash: Some(hash),
            accepted_at: Some(now),
            verified_at: Some(now),
            is_admin: true,
        };
        accounts::insert(tx, draft, &wish).await
    })
    .await
}
