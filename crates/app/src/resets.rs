//! Forgotten passwords.

use tenon_core::{
    Error, Result,
    accounts::LinkPurpose,
    changes::{Change, Kind, Stream},
    emails::Email,
    ids::UserId,
    jobs::{MailAbout, SendMail},
    secrets::NewPassword,
    sessions::ClientInfo,
    users::User,
};

use crate::{App, Tx, accounts, links, passwords, sessions, throttle, tokens};

/// Mails a link that sets a new password. Answers the same, after the same work, for an address nobody has.
pub async fn request(app: &App, email: &Email, client: &ClientInfo, correlation_id: &str) -> Result<()> {
    throttle::attempt(app, "password-reset", email.as_str(), client).await?;
    app.write(&[], correlation_id, async |tx| {
        let known = tenon_db::users::by_email(tx.conn(), email).await?;
        match known.map(|account| account.user).filter(may_reset) {
            Some(user) if throttle::may_mail(tx.app(), "password-reset", email).await? => {
                send(tx, &user).await
            }
            _ => {
                // A link that opens nothing costs what a real one does.
                links::make(tx, LinkPurpose::ResetPassword, None).await?;
                Ok(())
            }
        }
    })
    .await
}

/// A deactivated account stays shut; one that waits for its address to be verified is verified by the reset.
fn may_reset(user: &User) -> bool {
    user.is_active || user.verified_at.is_none()
}

/// Mails a link that sets a new password; earlier ones end.
pub(crate) async fn send(tx: &mut Tx<'_>, user: &User) -> Result<()> {
    tenon_db::links::delete_of_user(tx.conn(), user.id, &[LinkPurpose::ResetPassword]).await?;
    let link = links::make(tx, LinkPurpose::ResetPassword, Some(user.id)).await?;
    tx.enqueue(&SendMail::About(MailAbout::ResetPassword { user: user.id, link }))
}

/// Sets a new password by a mailed link, and ends every session and every personal access token: whoever forgot a
/// password may have lost more than that.
pub async fn perform(app: &App, secret: &str, new: NewPassword, correlation_id: &str) -> Result<()> {
    let mut conn = app.read().await?;
    let link = links::find(app, &mut conn, &[LinkPurpose::ResetPassword], secret).await?;
    let owner = links::owner(&link)?;
    let user = tenon_db::users::find(&mut conn, owner).await?.ok_or(Error::NotFound("user"))?;
    drop(conn);
    let own = accounts::own_words(&user.email, Some(&user.username), user.full_name.as_str());
    passwords::refuse_common(&new, "/password", &own.each_ref().map(String::as_str))?;
    let hash = passwords::hash(app, new.expose()).await?;
    app.write(&[Stream::Person(owner)], correlation_id, async |tx| {
        links::consume(tx, &link).await?;
        tx.act_as(user.as_ref());
        set(tx, &user, &hash).await?;
        accounts::mark_verified(tx, owner).await
    })
    .await
}

/// Puts a new password in force: every session, personal access token and open link of the account ends, and its owner
/// is told.
pub(crate) async fn set(tx: &mut Tx<'_>, user: &User, hash: &str) -> Result<()> {
    tenon_db::users::set_password(tx.conn(), user.id, hash).await?;
    end_links(tx, user.id).await?;
    sessions::end_all(tx, user.id, None).await?;
    tokens::end_all(tx, user.id).await?;
    tx.record(Stream::Person(user.id), changed(user.id))?;
    let about = MailAbout::PasswordChanged { user: user.id, at: tx.now(), reset: true };
    tx.enqueue(&SendMail::About(about))
}

/// Links that change who can sign in do not outlive a password.
pub(crate) async fn end_links(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    let purposes = [LinkPurpose::ResetPassword, LinkPurpose::ChangeEmailOld, LinkPurpose::ChangeEmailNew];
    tenon_db::links::delete_of_user(tx.conn(), user, &purposes).await?;
    Ok(())
}

pub(crate) fn changed(user: UserId) -> Change {
    Change::new(Kind::PasswordChanged, user, serde_json::json!({ "user_id": user }))
}
