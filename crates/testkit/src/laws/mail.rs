//! Laws of the mailer. They believe what arrived, not what the sender says.

use std::{any::Any, sync::Arc};

use futures_util::future::{BoxFuture, join_all};
use tenon_core::{
    emails::Email,
    ports::mail::{Mail, MailError, Mailer},
};

use super::{laws, soon, unique};
use crate::services::smtp::Received;

/// A mailer and a view of what it really sent.
pub struct Fixture {
    /// The mailer, from `Tenon <tenon@example.org>`.
    pub mailer: Arc<dyn Mailer>,
    /// What arrived.
    pub probe: Arc<dyn Probe>,
    /// What must live as long as the mailer.
    pub keep: Box<dyn Any + Send>,
}

/// The other end of a mailer.
pub trait Probe: Send + Sync {
    /// What arrived so far; `None` where nothing can be looked at.
    fn received(&self) -> Option<Vec<Received>>;
    /// Refuses mails, for now or for good, until told otherwise; `false` where it cannot.
    fn refuse(&self, refusal: Option<Refusal>) -> bool;
    /// Goes away for good; `false` where it cannot.
    fn go_away(&self) -> BoxFuture<'_, bool>;
}

/// How the other end refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Try again later.
    ForNow,
    /// Do not try again.
    ForGood,
}

laws!(
    mail_laws,
    mail,
    [
        a_mail_arrives_as_it_was_written,
        text_comes_before_html,
        the_message_id_is_kept,
        further_headers_arrive,
        long_lines_and_lone_dots_survive,
        a_line_break_in_a_header_is_refused,
        many_mails_at_once_all_arrive_once,
        a_refusal_for_now_is_transient,
        a_refusal_for_good_is_permanent,
        nobody_there_is_transient,
    ]
);

/// Envelope, names, subject and both bodies, in any script.
pub async fn a_mail_arrives_as_it_was_written(f: Fixture) {
    f.mailer.check().await.unwrap();
    let mail = Mail {
        to_name: Some("Ada Lövelace, \"Countess\"".to_owned()),
        subject: "Žluťoučký kůň 🐎 replied to a story whose title is so long that it must be folded"
            .to_owned(),
        text: "Grüße\n\nzweite Zeile: 日本語\n".to_owned(),
        html: "<p>Grüße <a href=\"https://x.example/?a=1&amp;b=2\">日本語</a></p>".to_owned(),
        ..mail()
    };
    soon(f.mailer.send(&mail)).await.unwrap();
    let Some(received) = one(&f) else { return };
    assert_eq!(received.subject(), mail.subject);
    assert_eq!(received.to_name(), mail.to_name);
    assert_eq!(received.text().trim_end(), mail.text.trim_end());
    assert_eq!(received.html().trim_end(), mail.html.trim_end());
    assert!(received.header("From").unwrap().contains("tenon@example.org"));
    assert!(received.header("To").unwrap().contains("ada@example.org"));
    assert!(received.header("Date").is_some());
    if !received.to.is_empty() {
        assert_eq!(
            (received.from.as_str(), received.to.as_slice()),
            ("tenon@example.org", &["ada@example.org".to_owned()][..])
        );
    }
}

/// Readers show the last alternative they can: that must be the HTML.
pub async fn text_comes_before_html(f: Fixture) {
    soon(f.mailer.send(&mail())).await.unwrap();
    let Some(received) = one(&f) else { return };
    assert_eq!(received.media_types(), ["multipart/alternative", "text/plain", "text/html"]);
}

/// A retried job sends the same mail, not a second one.
pub async fn the_message_id_is_kept(f: Fixture) {
    let mail = mail();
    soon(f.mailer.send(&mail)).await.unwrap();
    let Some(received) = one(&f) else { return };
    assert_eq!(received.message_id(), mail.message_id);
    soon(f.mailer.send(&mail)).await.unwrap();
    let all = f.probe.received().unwrap();
    assert!(all.iter().all(|received| received.message_id() == mail.message_id));
}

/// Headers beyond the usual are passed on.
pub async fn further_headers_arrive(f: Fixture) {
    let headers = [
        ("Auto-Submitted", "auto-generated"),
        ("List-Unsubscribe", "<https://tenon.example/unsubscribe/abcdefghijklmnopqrstuvwxyz0123456789>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mail = Mail { headers, ..mail() };
    soon(f.mailer.send(&mail)).await.unwrap();
    let Some(received) = one(&f) else { return };
    for (name, value) in &mail.headers {
        assert_eq!(received.header(name).as_ref(), Some(value), "{name}");
    }
}

/// No line is too long, and none ends the mail too soon.
pub async fn long_lines_and_lone_dots_survive(f: Fixture) {
    let text = format!("before\n.\n..\n.dot\n{}\nFrom here on\nafter", "word ".repeat(500).trim_end());
    let mail = Mail { text, ..mail() };
    soon(f.mailer.send(&mail)).await.unwrap();
    let Some(received) = one(&f) else { return };
    assert_eq!(received.text().trim_end(), mail.text);
    let longest = received.raw.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
    assert!(longest < Some(999), "RFC 5322 §2.1.1: {longest:?}");
}

/// Nobody smuggles a header in.
pub async fn a_line_break_in_a_header_is_refused(f: Fixture) {
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let evil = "x\r\nBcc: eve@example.org";
    let mails = [
        Mail { subject: evil.to_owned(), ..mail() },
        Mail { subject: "x\nBcc: eve@example.org".to_owned(), ..mail() },
        Mail { to_name: Some(evil.to_owned()), ..mail() },
        Mail { message_id: format!("{evil}@x"), ..mail() },
        Mail { headers: header("X-Tenon", evil), ..mail() },
        Mail { headers: header("X-Tenon\r\nBcc", "eve@example.org"), ..mail() },
    ];
    for mail in mails {
        let refused = soon(f.mailer.send(&mail)).await;
        assert!(matches!(refused, Err(MailError::Permanent(_))), "{mail:?}: {refused:?}");
    }
    assert_eq!(f.probe.received().unwrap_or_default().len(), 0);
}

/// Sending at once neither loses nor doubles.
pub async fn many_mails_at_once_all_arrive_once(f: Fixture) {
    let mails: Vec<Mail> = (0..20).map(|_| mail()).collect();
    for sent in soon(join_all(mails.iter().map(|mail| f.mailer.send(mail)))).await {
        sent.unwrap();
    }
    let Some(received) = f.probe.received() else { return };
    let mut received: Vec<String> = received.iter().map(Received::message_id).collect();
    let mut sent: Vec<String> = mails.into_iter().map(|mail| mail.message_id).collect();
    received.sort();
    sent.sort();
    assert_eq!(received, sent);
}

/// 4xx and the like are worth another try, and the other try arrives once.
pub async fn a_refusal_for_now_is_transient(f: Fixture) {
    if !f.probe.refuse(Some(Refusal::ForNow)) {
        return;
    }
    let refused = soon(f.mailer.send(&mail())).await;
    assert!(matches!(refused, Err(MailError::Transient(_))), "{refused:?}");
    assert_eq!(f.probe.received().unwrap_or_default().len(), 0);
    f.probe.refuse(None);
    soon(f.mailer.send(&mail())).await.unwrap();
    assert!(one(&f).is_some());
}

/// 5xx and the like are not.
pub async fn a_refusal_for_good_is_permanent(f: Fixture) {
    if !f.probe.refuse(Some(Refusal::ForGood)) {
        return;
    }
    let refused = soon(f.mailer.send(&mail())).await;
    assert!(matches!(refused, Err(MailError::Permanent(_))), "{refused:?}");
    f.probe.refuse(None);
    assert_eq!(f.probe.received().unwrap_or_default().len(), 0);
    soon(f.mailer.send(&mail())).await.unwrap();
    assert!(one(&f).is_some(), "one refused receiver does not spoil the connection");
}

/// With nobody there a mail is for later, and `check` says so.
pub async fn nobody_there_is_transient(f: Fixture) {
    if !f.probe.go_away().await {
        return;
    }
    let refused = soon(f.mailer.send(&mail())).await;
    assert!(matches!(refused, Err(MailError::Transient(_))), "{refused:?}");
    assert!(soon(f.mailer.check()).await.is_err());
}

/// A plain mail with a `Message-ID` of its own.
fn mail() -> Mail {
    Mail {
        message_id: format!("{}@tenon.example", unique("mail")),
        to: Email::parse("ada@example.org").unwrap(),
        to_name: None,
        subject: "Hello".to_owned(),
        text: "Hello in text".to_owned(),
        html: "<p>Hello in HTML</p>".to_owned(),
        headers: vec![],
    }
}

/// The only mail that arrived; `None` where nothing can be looked at.
fn one(f: &Fixture) -> Option<Received> {
    let mut received = f.probe.received()?;
    assert_eq!(received.len(), 1, "mails that arrived");
    received.pop()
}
