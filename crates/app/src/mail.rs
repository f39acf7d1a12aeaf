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
    jobs::{Letter, MailKind},
    ports::mail::Mail,
    text::shown,
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
    send: &Letter,
) -> Result<Mail> {
    let page = Page {
        instance: &settings.instance_name,
        public_url: &settings.public_url,
        lang: send.lang.code(),
        name: send.name.as_deref(),
        action: Action::of(settings, keys, &send.mail),
        mail: &without_links(&send.mail),
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

/// The same mail, in which names that people chose lead nowhere: programs that show mail make links of what looks like one.
fn without_links(mail: &MailKind) -> MailKind {
    let mut mail = mail.clone();
    match &mut mail {
        MailKind::WorkspaceInvitation { workspace, inviter, .. } => {
            for name in [workspace, inviter] {
                *name = unlinked(name);
            }
        }
        MailKind::ProjectInvitation { project, workspace, inviter, .. } => {
            for name in [project, workspace, inviter] {
                *name = unlinked(name);
            }
        }
        _ => {}
    }
    mail
}

/// The words of a name; those that look like an address of the web or of mail come apart.
fn unlinked(name: &str) -> String {
    let words = name.split_whitespace().map(|word| {
        if looks_like_link(word) {
            let parts = word.split(['.', '/', ':', '@', '?', '#', '\u{3002}', '\u{ff0e}', '\u{ff61}']);
            parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// `https://…`, `www.…`, `mailto:…`, `name.tld`, `a@b`: generous, since what comes apart in vain stays readable.
fn looks_like_link(word: &str) -> bool {
    let word = word.to_lowercase();
    let is_dot = |c: char| matches!(c, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}');
    let is_host = |part: &str| {
        let mut labels = part.split(is_dot).collect::<Vec<_>>();
        // A full stop behind a name is none of a host.
        if labels.last().is_some_and(|label| label.is_empty()) {
            labels.pop();
        }
        labels.len() > 1
            && labels.iter().all(|label| !label.is_empty())
            && labels
                .last()
                .is_some_and(|tld| tld.chars().count() > 1 && tld.chars().all(char::is_alphabetic))
    };
    let is_bare_address = |part: &str| part.parse::<std::net::IpAddr>().is_ok();
    word.contains("://")
        || word.starts_with("www.")
        || ["mailto:", "tel:", "http:", "https:"].iter().any(|scheme| word.starts_with(scheme))
        || word.contains('@')
        || word
            .split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_' || is_dot(c)))
            .any(|part| is_host(part) || is_bare_address(part))
}

/// A header has one line and nothing that nobody sees, whatever people call their workspaces.
fn one_line(text: &str) -> String {
    shown(text).split_whitespace().collect::<Vec<_>>().join(" ")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_like_links_come_apart() {
        for (name, shown) in [
            ("Win at https://evil.example/pay?x=1 now", "Win at https evil example pay x=1 now"),
            ("evil.example", "evil example"),
            ("(www.evil.example)", "(www evil example)"),
            ("EVIL.EXAMPLE/pay", "EVIL EXAMPLE pay"),
            ("call 192.0.2.1", "call 192 0 2 1"),
            ("ada@evil.example", "ada evil example"),
            ("evil\u{3002}example", "evil example"),
        ] {
            assert_eq!(unlinked(name), shown, "{name}");
        }
        for name in [
            "Engine",
            "Ada M. Lovelace Jr.",
            "Release 1.2",
            "Q3/Q4: plans",
            "C#",
            "e.g. this",
            "Research & Co.",
        ] {
            assert_eq!(unlinked(name), name);
        }
    }
}
