//! Every mail in every language.

use tenon_app::{Keys, Settings, crypto::SigningKey, invitations, links, mail};
use tenon_core::{
    emails::Email,
    jobs::{Letter, MailKind},
    ports::mail::Mail,
    secrets::Secret,
    users::Lang,
};
use uuid::Uuid;

fn keys() -> Keys {
    Keys::new(vec![SigningKey { kid: "test".to_owned(), secret: Secret::new(vec![7; 32]) }]).unwrap()
}

fn settings() -> Settings {
    Settings { public_url: "https://tenon.example.org".to_owned(), ..Settings::default() }
}

fn address(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn compose(lang: Lang, name: Option<&str>, mail: MailKind) -> Mail {
    let send = Letter { to: address("ada@example.org"), name: name.map(str::to_owned), lang, mail };
    mail::compose(&settings(), &keys(), Uuid::from_u128(9).into(), Some("request-1"), &send).unwrap()
}

/// One of each kind; text that a mischievous person may have chosen is marked with `odd`.
fn every_mail(odd: &str) -> Vec<MailKind> {
    let link = Uuid::from_u128(1);
    let text = |text: &str| format!("{text}{odd}");
    let new_email = address("ada.lovelace@example.org");
    vec![
        MailKind::VerifyEmail { link },
        MailKind::SignUpAttempted,
        MailKind::ResetPassword { link },
        MailKind::PasswordChanged {
            when: "2 January 2026, 04:04 (Europe/Madrid)".to_owned(),
            reset: false,
            tokens: vec![text("Nightly export")],
        },
        MailKind::ChangeEmailOld { link, new_email: new_email.clone() },
        MailKind::ChangeEmailNew { link },
        MailKind::EmailChanged { new_email },
        MailKind::NewLogin {
            when: "2 January 2026, 04:04 (Europe/Madrid)".to_owned(),
            device: text("Firefox on Linux"),
            address: "192.0.2.7".to_owned(),
        },
        MailKind::WorkspaceInvitation {
            invitation: Uuid::from_u128(2).into(),
            send: 1,
            workspace: text("Engine room"),
            inviter: text("Charles Babbage"),
        },
        MailKind::ProjectInvitation {
            invitation: Uuid::from_u128(2).into(),
            send: 2,
            project: text("Difference engine"),
            workspace: text("Engine room"),
            inviter: text("Charles Babbage"),
        },
    ]
}

#[test]
fn every_mail_is_there_in_every_language() {
    let mut subjects = std::collections::BTreeSet::new();
    for lang in Lang::ALL {
        for kind in every_mail("") {
            for name in [None, Some("Ada")] {
                let mail = compose(lang, name, kind.clone());
                for part in [&mail.subject, &mail.text, &mail.html] {
                    assert!(!part.trim().is_empty(), "{lang:?} {kind:?}");
                    assert!(!part.contains("{{") && !part.contains("{%"), "{lang:?} {kind:?}: {part}");
                }
                assert!(
                    !mail.text.contains("none"),
                    "{lang:?} {kind:?} prints what is absent: {}",
                    mail.text
                );
                assert_eq!(mail.text.contains("Ada"), name.is_some(), "{lang:?} {kind:?}");
                assert!(mail.html.contains(&format!("<html lang=\"{}\">", lang.code())));
                subjects.insert(mail.subject);
            }
        }
    }
    assert_eq!(subjects.len(), Lang::ALL.len() * every_mail("").len(), "no two mails have one subject");
}

#[test]
fn both_bodies_carry_the_link_with_its_token_in_the_fragment() {
    for kind in every_mail("") {
        let mail = compose(Lang::En, None, kind.clone());
        let token = match mail::subject(&kind) {
            Some(mail::Subject::Link(link)) => links::secret(&keys(), link),
            Some(mail::Subject::Invitation(id, send)) => invitations::token(&keys(), id, send),
            None => {
                assert!(!mail.text.contains("/#/"), "{kind:?}");
                continue;
            }
        };
        assert!(mail.text.contains("https://tenon.example.org/#/"), "{kind:?}");
        assert!(mail.text.contains(&format!("/{token}\n")), "{kind:?}");
        assert!(mail.html.contains(&format!("{token}\"")), "{kind:?}");
        assert!(mail::TOKEN_CALLS.iter().any(|call| mail.text.contains(call)), "{kind:?}");
    }
}

#[test]
fn what_people_write_is_text_in_html_and_one_line_in_the_subject() {
    for kind in every_mail("<script>&\r\nBcc: eve@example.org") {
        let mail = compose(Lang::Fr, Some("<b>Ada</b>"), kind.clone());
        assert!(!mail.html.contains("<script>") && !mail.html.contains("<b>"), "{kind:?}");
        assert!(!mail.subject.contains(['\r', '\n']), "{kind:?}");
    }
}

#[test]
fn a_mail_loads_nothing_from_anywhere() {
    for kind in every_mail("") {
        let html = compose(Lang::Es, None, kind).html;
        for remote in ["<img", "<link", "<script", "src=", "url(", "@import"] {
            assert!(!html.contains(remote), "{remote}");
        }
    }
}

#[test]
fn a_mail_composed_again_is_the_same_mail() {
    for kind in every_mail("") {
        assert_eq!(compose(Lang::En, None, kind.clone()), compose(Lang::En, None, kind));
    }
    let mail = compose(Lang::En, None, MailKind::SignUpAttempted);
    assert_eq!(mail.message_id, "00000000-0000-0000-0000-000000000009@tenon.example.org");
    let header = |name: &str| mail.headers.iter().find(|h| h.0 == name).map(|h| h.1.as_str());
    assert_eq!(header("Auto-Submitted"), Some("auto-generated"));
    assert_eq!(header("X-Correlation-ID"), Some("request-1"));
}

#[test]
fn each_sending_of_an_invitation_has_a_token_of_its_own() {
    let token = |send| invitations::token(&keys(), Uuid::from_u128(2).into(), send);
    assert_ne!(token(1), token(2));
}

#[test]
fn the_verification_mail_reads_well() {
    let mail = compose(Lang::En, Some("Ada Lovelace"), MailKind::VerifyEmail { link: Uuid::from_u128(1) });
    insta::assert_snapshot!("verify_email_subject", mail.subject);
    insta::assert_snapshot!("verify_email_text", mail.text);
    insta::assert_snapshot!("verify_email_html", mail.html);
}
