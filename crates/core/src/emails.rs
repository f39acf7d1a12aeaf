//! Email addresses, compared and stored lower-cased and in ASCII.
//!
//! Every address that comes in — by the API, in invitations, by a change of address, on the command line — is an
//! [`Email`], so what is accepted here is what a mail server can be given.

use serde::{Deserialize, Serialize};

use crate::text::TextError;

/// A plausible email address, lower-cased, its domain in the ASCII form of IDNA. Only a mail that arrives proves it
/// real.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

impl Email {
    /// Checks the shape: one `@`; before it a name that every mail server takes; after it a host name, dotted or of a
    /// single label; at most 254 characters (RFC 5321 §4.5.3.1).
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        let bad = |detail: &str| Err(TextError::new("invalid-email", detail));
        let Some((local, host)) = text.rsplit_once('@') else {
            return bad("must contain an @");
        };
        let local = local.to_lowercase();
        if !local.is_ascii() && !local.chars().any(char::is_control) {
            let detail = "has letters outside ASCII before the @, which not every mail server takes";
            return Err(TextError::new("non-ascii-email", detail));
        }
        // A dot-string of RFC 5321: what is between the dots is not empty.
        let in_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        let atom = |atom: &str| !atom.is_empty() && atom.chars().all(in_atom);
        if local.len() > 64 || !local.split('.').all(atom) {
            return bad("has something before the @ that no mail server accepts");
        }
        match ascii_host(host) {
            Some(host) if local.len() + host.len() < 254 => Ok(Self(format!("{local}@{host}"))),
            _ => bad("has no valid host after the @"),
        }
    }

    /// What the database holds. An earlier release kept domains as they were written: such an address reads in ASCII.
    pub fn stored(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|_| Self(text.to_owned()))
    }

    /// The address that somebody may have, by the rules of any release; for looking it up.
    pub fn sought(text: &str) -> Option<Self> {
        let text = text.trim();
        let plausible = text.contains('@') && text.len() <= 254 && !text.chars().any(char::is_control);
        plausible.then(|| Self::stored(&text.to_lowercase()))
    }

    /// How the address may be stored: as it is, and as an earlier release kept it, with its domain in letters.
    pub fn spellings(&self) -> Vec<String> {
        let mut spellings = vec![self.0.clone()];
        if let Some((local, host)) = self.0.rsplit_once('@') {
            let (letters, valid) = idna::domain_to_unicode(host);
            if valid.is_ok() && letters != host {
                spellings.push(format!("{local}@{letters}"));
            }
        }
        spellings
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A host name in ASCII, lower-cased: labels of letters, digits and inner hyphens, those of other scripts encoded.
fn ascii_host(host: &str) -> Option<String> {
    let host = idna::domain_to_ascii_strict(host).ok()?;
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    host.split('.').all(label).then_some(host)
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
    fn a_domain_has_one_spelling() {
        let ascii = Email::parse("jo@xn--bcher-kva.example").unwrap();
        for same in
            ["jo@bücher.example", "Jo@BÜCHER.example", "jo@bu\u{308}cher.example", "jo@XN--BCHER-KVA.EXAMPLE"]
        {
            assert_eq!(Email::parse(same).unwrap(), ascii, "{same}");
            assert_eq!(Email::stored(same), ascii, "{same}");
        }
        assert_eq!(ascii.as_str(), "jo@xn--bcher-kva.example");
        assert_eq!(ascii.spellings(), ["jo@xn--bcher-kva.example", "jo@bücher.example"]);
        assert_eq!(Email::parse("jo@example.org").unwrap().spellings(), ["jo@example.org"]);
    }

    #[test]
    fn what_cannot_be_mailed_is_refused() {
        assert_eq!(Email::parse("jö@example.org").unwrap_err().code, "non-ascii-email");
        for bad in [
            "a..b@x.org",
            ".a@x.org",
            "a.@x.org",
            "a@b@x.org",
            "a@x\u{202E}.org",
            "a@\u{200B}.org",
            "a@x_y.org",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Email::parse("first.last+tag@sub.example.org").is_ok());
        assert!(Email::parse("root@localhost").is_ok());
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
