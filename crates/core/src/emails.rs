//! E-mail addresses, compared and stored lower-cased.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::text::TextError;

/// A plausible e-mail address, NFC and lower-cased. Only a mail that arrives proves it real.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

impl Email {
    /// Checks the shape: one `@`, something before it, a dotted or single-label host after it, at
    /// most 254 characters (RFC 5321 §4.5.3.1), no spaces, controls or angle brackets.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text: String = text.trim().nfc().collect::<String>().to_lowercase();
        let bad = |detail: &str| Err(TextError::new("invalid-email", detail));
        let Some((local, host)) = text.split_once('@') else {
            return bad("must contain an @");
        };
        let odd = |c: char| c.is_control() || c.is_whitespace() || "<>()[],;:\\\"@".contains(c);
        if local.is_empty() || local.len() > 64 || local.chars().any(odd) {
            return bad("has something before the @ that no mail server accepts");
        }
        let label = |l: &str| {
            !l.is_empty()
                && l.len() <= 63
                && !l.starts_with('-')
                && !l.ends_with('-')
                && l.chars().all(|c| c.is_alphanumeric() || c == '-')
        };
        if text.len() > 254 || !host.split('.').all(label) {
            return bad("has no valid host after the @");
        }
        Ok(Self(text))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Email {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

impl std::fmt::Display for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Addresses of people stay out of logs.
impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Email(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_make_another_address() {
        assert_eq!(Email::parse(" Ada@Example.ORG ").unwrap(), Email::parse("ada@example.org").unwrap());
    }

    #[test]
    fn what_no_mail_server_accepts_is_refused() {
        for bad in [
            "",
            "ada",
            "@x.org",
            "a b@x.org",
            "a@",
            "a@x..org",
            "a@-x.org",
            "a\r\nb@x.org",
            "a@x.org\0",
            "<a@x.org>",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }
}
