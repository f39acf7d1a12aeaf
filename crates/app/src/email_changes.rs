//! A change of address, confirmed at both addresses: at the old one, so that a stolen session cannot take an account
//! away; at the new one, so that it is real and the person's own.

use tenon_core::{
    Result,
    accounts::LinkPurpose,
    callers::Caller,
    changes::{Change, Kind, Stream},
    emails::Email,
    jobs::{LinkInvitations, MailAbout, SendMail},
    secrets::Secret,
    sessions::ClientInfo,
};

use crate::{App, Tx, accounts, links, me, throttle};

const PURPOSES: [LinkPurpose; 2] = [LinkPurpose::ChangeEmailOld, LinkPurpose::ChangeEmailNew];

/// Mails a link to both addresses. Answers the same for an address that another account has; its owner is told.
pub async fn request(
    app: &App,
    caller: &Caller,
    new: &Email,
    password: &Secret,
    client: &ClientInfo,
) -> Result<()> {
    let user = me::prove(app, caller, password, "/password", client).await?.user;
    if *new == user.email {
        return Ok(());
    }
    throttle::attempt(app, "email-change", new.as_str(), client).await?;
    app.write(&[Stream::Person(user.id)], &caller.correlation_id, async |tx| {
        tx.person(caller).await?;
        // Whoever has the address: what is left of the limit does not tell.
        throttle::may_mail_stranger(tx, user.id, new).await??;
        tenon_db::links::delete_of_user(tx.conn(), user.id, &PURPOSES).await?;
        let (old_link, new_link) = links::make_pair(tx, user.id, new).await?;
        tx.enqueue(&SendMail::About(MailAbout::ChangeEmailOld { user: user.id, link: old_link }))?;
        match tenon_db::users::by_email(tx.conn(), new).await? {
            Some(owner) => {
                if throttle::may_mail(app, "sign-up-attempted", new).await? {
                    tx.enqueue(&SendMail::About(MailAbout::SignUpAttempted { user: owner.user.id }))?;
                }
                Ok(())
            }
            None => tx.enqueue(&SendMail::About(MailAbout::ChangeEmailNew { user: user.id, link: new_link })),
        }
    })
    .await
}

/// Consents at one of the two addresses; says whether that was the second one and the address has changed.
pub async fn confirm(app: &App, secret: &str, correlation_id: &str) -> Result<bool> {
    let link = links::find(app, &mut *app.read().await?, &PURPOSES, secret).await?;
    let owner = links::owner(&link)?;
    app.write(&[Stream::Person(owner)], correlation_id, async |tx| {
        links::consume(tx, &link).await?;
        let (Some(new), Some(partner)) = (&link.new_email, link.partner) else { return Ok(false) };
        if !tenon_db::links::is_used(tx.conn(), partner).await? {
            return Ok(false);
        }
        change(tx, owner, new).await?;
        Ok(true)
    })
    .await
}

async fn change(tx: &mut Tx<'_>, owner: tenon_core::ids::UserId, new: &Email) -> Result<()> {
    let now = tx.now();
    let gone = || tenon_core::Error::NotFound("account");
    let before = tenon_db::users::find(tx.conn(), owner).await?.ok_or_else(gone)?;
    tx.act_as(before.as_ref());
    // Asked first: a violated constraint would end the transaction's use.
    if let Some(holder) = tenon_db::users::by_email(tx.conn(), new).await? {
        let replaced = holder.user.verified_at.is_none()
            && tenon_db::users::delete_unverified(tx.conn(), holder.user.id).await?;
        if !replaced {
            return Err(accounts::email_taken());
        }
    }
    tenon_db::users::set_email(tx.conn(), owner, new, now).await.map_err(me::taken)?;
    tenon_db::links::delete_of_user(tx.conn(), owner, &[LinkPurpose::ResetPassword]).await?;
    let after = tenon_db::users::find(tx.conn(), owner).await?.ok_or_else(gone)?;
    let change = Change::new(Kind::EmailChanged, owner, &after).with_before(&before);
    tx.record(Stream::Person(owner), change)?;
    let seq = tx.head(Stream::Person(owner))?;
    tx.enqueue(&SendMail::About(MailAbout::EmailChanged { user: owner, seq }))?;
    tx.enqueue(&LinkInvitations { user_id: owner })
}
