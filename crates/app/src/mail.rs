//! Mails: what each says to whom, composed from templates that are part of the binary.
//!
//! A mail's link carries its token in the fragment, which browsers neither send to servers nor hand
//! on as referrer. The token is in no job and no table: it is derived again from the link's id, so
//! composing a mail twice gives the same mail.

mod templates;

use minijinja::context;
use serde::Serialize;
use tenon_core::{
    Error, Result,
    accounts::LinkPurpose,
    ids::{InvitationId, JobId},
    invitations::link_ttl,
    jobs::{MailKind, SendMail},
    ports::mail::Mail,
};
use uuid::Uuid;

use crate::{Keys, Settings, invitations, links};

/// The API calls that take the tokens of mailed links, named in the mails for people without the
/// user interface.
pub const TOKEN_CALLS: [&str; 4] = [VERIFY_EMAIL, RESET_PASSWORD, CHANGE_EMAIL, ACCEPT_INVITATION];

const VERIFY_EMAIL: &str = "POST /api/v1/auth/verify-email";
const RESET_PASSWORD: &str = "POST /api/v1/auth/reset-password";
const CHANGE_EMAIL: &str = "POST /api/v1/auth/change-email";
const ACCEPT_INVITATION: &str = "POST /api/v1/invitations/accept";

/// What a mail refers to; the mail is worth sending only while that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A mailed link.
    Link(Uuid),
    /// A sending of an invitation.
    Invitation(InvitationId, i32),
}

/// What `mail` refers to, if anything.
pub const fn subject(mail: &MailKind) -> Option<Subject> {
    match mail {
        MailKind::VerifyEmail { link }
        | MailKind::ResetPassword { link }
        | MailKind::ChangeEmailOld { link, .. }
        | MailKind::ChangeEmailNew { link } => Some(Subject::Link(*link)),
        MailKind::WorkspaceInvitation { invitation, send, .. }
        | MailKind::ProjectInvitation { invitation, send, .. } => {
            Some(Subject::Invitation(*invitation, *send))
        }
        MailKind::SignUpAttempted
        | MailKind::PasswordChanged { .. }
        | MailKind::EmailChanged { .. }
        | MailKind::NewLogin { .. } => None,
    }
}

/// Composes the mail that `job` sends.
pub fn compose(
    settings: &Settings,
    keys: &Keys,
    job: JobId,
    correlation_id: Option<&str>,
    send: &SendMail,
) -> Result<Mail> {
    let page = Page {
        instance: &settings.instance_name,
        public_url: &settings.public_url,
        lang: send.lang.code(),
        name: send.name.as_deref(),
        action: Action::of(settings, keys, &send.mail),
        mail: &send.mail,
    };
    let render = |part: &str, page: minijinja::Value| {
        templates::render(&format!("{}/{part}.j2", send.lang.code()), page).map_err(Error::internal)
    };
    let values = minijinja::Value::from_serialize(&page);
    let greeting = render("common/greeting", values.clone())?;
    let footer = render("common/footer", values.clone())?;
    let (copy, api) = if page.action.is_some() {
        (render("common/copy", values.clone())?, render("common/api", values.clone())?)
    } else {
        (String::new(), String::new())
    };
    let name = name(&send.mail);
    let subject = one_line(&render(&format!("{name}/subject"), values.clone())?);
    let values = context! { greeting, footer, copy, api, subject, ..values };
    let text = without_gaps(&render(&format!("{name}/text"), values.clone())?);
    let html = render(&format!("{name}/html"), values)?;

    let mut headers = vec![("Auto-Submitted".to_owned(), "auto-generated".to_owned())];
    if let Some(id) = correlation_id {
        headers.push(("X-Correlation-ID".to_owned(), id.to_owned()));
    }
    Ok(Mail {
        message_id: format!("{job}@{}", host(&settings.public_url)),
        to: send.to.clone(),
        to_name: send.name.clone(),
        subject,
        text,
        html,
        headers,
    })
}

/// What every template may use. A template that uses anything else fails.
#[derive(Serialize)]
struct Page<'a> {
    instance: &'a str,
    public_url: &'a str,
    lang: &'a str,
    name: Option<&'a str>,
    action: Option<Action>,
    #[serde(flatten)]
    mail: &'a MailKind,
}

/// What the receiver is asked to do.
#[derive(Serialize)]
struct Action {
    url: String,
    token: String,
    call: &'static str,
    hours: i64,
    days: i64,
}

impl Action {
    fn of(settings: &Settings, keys: &Keys, mail: &MailKind) -> Option<Self> {
        let (page, call, ttl) = match mail {
            MailKind::VerifyEmail { .. } => ("verify-email", VERIFY_EMAIL, LinkPurpose::VerifyEmail.ttl()),
            MailKind::ResetPassword { .. } => {
                ("reset-password", RESET_PASSWORD, LinkPurpose::ResetPassword.ttl())
            }
            MailKind::ChangeEmailOld { .. } => {
                ("change-email", CHANGE_EMAIL, LinkPurpose::ChangeEmailOld.ttl())
            }
            MailKind::ChangeEmailNew { .. } => {
                ("change-email", CHANGE_EMAIL, LinkPurpose::ChangeEmailNew.ttl())
            }
            MailKind::WorkspaceInvitation { .. } | MailKind::ProjectInvitation { .. } => {
                ("invitation", ACCEPT_INVITATION, link_ttl())
            }
            MailKind::SignUpAttempted
            | MailKind::PasswordChanged { .. }
            | MailKind::EmailChanged { .. }
            | MailKind::NewLogin { .. } => return None,
        };
        let token = match subject(mail)? {
            Subject::Link(link) => links::secret(keys, link),
            Subject::Invitation(invitation, send) => invitations::token(keys, invitation, send),
        };
        let url = format!("{}/#/{page}/{token}", settings.public_url);
        Some(Self { url, token, call, hours: ttl.num_hours(), days: ttl.num_days() })
    }
}

/// The directory of a mail's templates.
const fn name(mail: &MailKind) -> &'static str {
    match mail {
        MailKind::VerifyEmail { .. } => "verify_email",
        MailKind::SignUpAttempted => "sign_up_attempted",
        MailKind::ResetPassword { .. } => "reset_password",
        MailKind::PasswordChanged { .. } => "password_changed",
        MailKind::ChangeEmailOld { .. } => "change_email_old",
        MailKind::ChangeEmailNew { .. } => "change_email_new",
        MailKind::EmailChanged { .. } => "email_changed",
        MailKind::NewLogin { .. } => "new_login",
        MailKind::WorkspaceInvitation { .. } => "workspace_invitation",
        MailKind::ProjectInvitation { .. } => "project_invitation",
    }
}

/// A header has one line, whatever people call their workspaces.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Paragraphs are one empty line apart, whichever blocks a template left out.
fn without_gaps(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty_lines = 0;
    for line in text.trim().lines() {
        empty_lines = if line.trim().is_empty() { empty_lines + 1 } else { 0 };
        if empty_lines < 2 {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

fn host(public_url: &str) -> String {
    let url = url::Url::parse(public_url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| "localhost".to_owned())
}
