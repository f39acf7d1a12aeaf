//! What a mail says, looked up when it is composed: jobs hold ids only, so nothing of a person stays in them.

use tenon_core::{
    Result,
    changes::Stream,
    emails::Email,
    ids::UserId,
    invitations::InvitedTo,
    jobs::{Letter, MailAbout, MailKind, SendMail},
    users::User,
};
use tenon_db::{Connection, links, log, sessions, tokens};

use crate::App;

/// The mail of a job; none when its receiver, or what it is about, is gone.
pub(crate) async fn letter(app: &App, conn: &mut Connection, send: &SendMail) -> Result<Option<Letter>> {
    match send {
        SendMail::Whole(letter) => Ok(Some(letter.clone())),
        SendMail::About(about) => write(app, conn, about).await,
    }
}

async fn write(app: &App, conn: &mut Connection, about: &MailAbout) -> Result<Option<Letter>> {
    let Some(user) = receiver(about) else { return invitation(conn, about).await };
    let Some(user) = tenon_db::users::find(conn, user).await? else { return Ok(None) };
    let mail = match *about {
        MailAbout::VerifyEmail { link, .. } => MailKind::VerifyEmail { link },
        MailAbout::SignUpAttempted { .. } => MailKind::SignUpAttempted,
        MailAbout::ResetPassword { link, .. } => MailKind::ResetPassword { link },
        MailAbout::PasswordChanged { at, reset, .. } => MailKind::PasswordChanged {
            when: user.timezone.show(at),
            reset,
            tokens: if reset { vec![] } else { tokens::names(conn, user.id, app.now()).await? },
        },
        MailAbout::ChangeEmailOld { link, .. } => {
            let Some(new_email) = links::new_email(conn, link).await? else { return Ok(None) };
            MailKind::ChangeEmailOld { link, new_email }
        }
        MailAbout::ChangeEmailNew { link, .. } => {
            let Some(to) = links::new_email(conn, link).await? else { return Ok(None) };
            return Ok(Some(Letter { to, ..to_user(&user, MailKind::ChangeEmailNew { link }) }));
        }
        MailAbout::EmailChanged { seq, .. } => return email_changed(conn, &user, seq).await,
        MailAbout::NewLogin { session, .. } => {
            let Some(session) = sessions::find(conn, session).await? else { return Ok(None) };
            let when = user.timezone.show(session.created_at);
            MailKind::NewLogin { when, device: session.user_agent, address: session.address }
        }
        MailAbout::Invitation { .. } => return Ok(None),
    };
    Ok(Some(to_user(&user, mail)))
}

const fn receiver(about: &MailAbout) -> Option<UserId> {
    match about {
        MailAbout::VerifyEmail { user, .. }
        | MailAbout::SignUpAttempted { user }
        | MailAbout::ResetPassword { user, .. }
        | MailAbout::PasswordChanged { user, .. }
        | MailAbout::ChangeEmailOld { user, .. }
        | MailAbout::ChangeEmailNew { user, .. }
        | MailAbout::EmailChanged { user, .. }
        | MailAbout::NewLogin { user, .. } => Some(*user),
        MailAbout::Invitation { .. } => None,
    }
}

fn to_user(user: &User, mail: MailKind) -> Letter {
    let name = Some(user.full_name.as_str().to_owned());
    Letter { to: user.email.clone(), name, lang: user.lang, mail }
}

/// To the address of before, which only the person's own log still knows.
async fn email_changed(conn: &mut Connection, user: &User, seq: i64) -> Result<Option<Letter>> {
    let tail = log::tail(conn, Stream::Person(user.id), seq - 1, 1, 1).await?;
    let change = tail.and_then(|tail| tail.changes.into_iter().find(|change| change.seq == seq));
    let Some(change) = change else { return Ok(None) };
    let email = |user: &serde_json::Value| user["email"].as_str().map(Email::stored);
    let before = change.before.as_ref().and_then(email);
    let Some((to, new_email)) = before.zip(email(&change.data)) else { return Ok(None) };
    Ok(Some(Letter { to, ..to_user(user, MailKind::EmailChanged { new_email }) }))
}

async fn invitation(conn: &mut Connection, about: &MailAbout) -> Result<Option<Letter>> {
    let MailAbout::Invitation { invitation, send, lang } = *about else { return Ok(None) };
    let Some(stored) = tenon_db::invitations::find(conn, invitation).await? else { return Ok(None) };
    // Whoever invited may be gone by now; what they asked for goes with them.
    let Some(inviter) = stored.invitation.invited_by.map(|person| person.full_name) else { return Ok(None) };
    let workspace = stored.workspace_name;
    let mail = match stored.invitation.to {
        InvitedTo::Workspace { .. } => MailKind::WorkspaceInvitation { invitation, send, workspace, inviter },
        InvitedTo::Project { .. } => {
            let project = stored.invitation.place_name;
            MailKind::ProjectInvitation { invitation, send, project, workspace, inviter }
        }
    };
    let (name, lang) = stored.receiver.map_or((None, lang), |(name, lang)| (Some(name), lang));
    Ok(Some(Letter { to: stored.email, name, lang, mail }))
}
