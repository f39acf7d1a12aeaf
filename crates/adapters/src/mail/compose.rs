//! A mail as RFC 5322 wants it, the same for every way of sending.

use std::sync::Arc;

use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};
use tenon_core::ports::{
    clock::Clock,
    mail::{Mail, MailError},
};

use crate::ConnectError;

/// Turns a [`Mail`] into a message from the configured sender.
pub(super) struct Composer {
    from: Mailbox,
    clock: Arc<dyn Clock>,
}

impl Composer {
    pub(super) fn new(from: &str, clock: Arc<dyn Clock>) -> Result<Self, ConnectError> {
        Ok(Self { from: sender(from)?, clock })
    }

    /// The message, or [`MailError::Permanent`] for what no header can carry.
    pub(super) fn compose(&self, mail: &Mail) -> Result<Message, MailError> {
        refuse_line_breaks(mail)?;
        let to: Address = mail.to.as_str().parse().map_err(permanent)?;
        let mut message = Message::builder()
            .message_id(Some(format!("<{}>", mail.message_id)))
            .date(self.clock.now().into())
            .from(self.from.clone())
            .to(Mailbox::new(mail.to_name.clone(), to))
            .subject(&mail.subject)
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
            .map_err(permanent)?;
        for (name, value) in &mail.headers {
            let name = HeaderName::new_from_ascii(name.clone()).map_err(permanent)?;
            message.headers_mut().insert_raw(HeaderValue::new(name, value.clone()));
        }
        Ok(message)
    }
}

/// The sender of every mail.
pub(super) fn sender(from: &str) -> Result<Mailbox, ConnectError> {
    from.parse().map_err(|e| {
        ConnectError::caused(
            format!("The sender's address {from:?} of mail.from is not valid; write it as Tenon <tenon@example.org>."),
            e,
        )
    })
}

/// A line break would end the header and begin another of the author's choice.
fn refuse_line_breaks(mail: &Mail) -> Result<(), MailError> {
    let odd_id = |c: char| c.is_control() || c.is_whitespace() || c == '<' || c == '>';
    if mail.message_id.is_empty() || mail.message_id.chars().any(odd_id) {
        return Err(MailError::Permanent("the message id has a character that no message id has".into()));
    }
    let lines = [Some(&mail.subject), mail.to_name.as_ref()];
    let headers = mail.headers.iter().flat_map(|(name, value)| [name, value]);
    if lines
        .into_iter()
        .flatten()
        .chain(headers)
        .any(|text| text.chars().any(|c| c.is_control() && c != '\t'))
    {
        return Err(MailError::Permanent("a header has a line break or another control character".into()));
    }
    Ok(())
}

fn permanent(e: impl Into<tenon_core::BoxError>) -> MailError {
    MailError::Permanent(e.into())
}
