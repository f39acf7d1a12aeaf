//! People.

use serde::{Deserialize, Serialize};

use crate::{
    Time,
    emails::Email,
    ids::UserId,
    text::{Color, TextError, text_type},
};

text_type! {
    /// A person's name as they write it, 1 to 50 characters.
    FullName: line(1, 50);
}

/// A username: 1 to 50 of `a-z 0-9 _ . -`, lower-cased, that begins and ends with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Username(String);

/// Words that people would take for us, or programs for something else.
const RESERVED: &[&str] = &[
    "admin",
    "administrator",
    "all",
    "anonymous",
    "api",
    "bot",
    "channel",
    "everyone",
    "here",
    "help",
    "hostmaster",
    "info",
    "mailer-daemon",
    "me",
    "no-reply",
    "nobody",
    "noreply",
    "null",
    "postmaster",
    "self",
    "security",
    "support",
    "system",
    "tenon",
    "undefined",
    "webmaster",
];

impl Username {
    /// Checks and lower-cases a username.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = crate::text::line(text, 1, 50)?.to_lowercase();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if !text.chars().all(|c| plain(c) || "_.-".contains(c)) {
            Err(TextError::new("invalid-username", "may contain only a-z, 0-9, `_`, `.` and `-`"))
        } else if !(text.starts_with(plain) && text.ends_with(plain)) {
            Err(TextError::new("invalid-username", "must begin and end with a letter or a digit"))
        } else if RESERVED.contains(&text.as_str()) {
            Err(TextError::new("reserved-username", "is reserved; choose another one"))
        } else {
            Ok(Self(text))
        }
    }
    /// The username that somebody may have, by the rules of any release; for looking it up.
    pub fn sought(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
        (!text.is_empty() && text.len() <= 50 && text.chars().all(fits)).then_some(Self(text))
    }
    /// Reads a username that is looked up, for `#[serde(default, deserialize_with = "…")]`.
    pub fn deserialize_sought<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        Self::sought(&text).map(Some).ok_or_else(|| {
            let detail = "may contain only a-z, 0-9, `_`, `.` and `-`";
            serde::de::Error::custom(TextError::new("invalid-username", detail))
        })
    }
    /// What the database holds: it was checked by the rules of its time.
    pub fn stored(text: String) -> Self {
        Self(text)
    }
    /// The username.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Username {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Username> for String {
    fn from(name: Username) -> Self {
        name.0
    }
}

impl std::fmt::Display for Username {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A language Tenon speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Spanish.
    Es,
    /// French.
    Fr,
}

impl Lang {
    /// Every language, in the order they are offered.
    pub const ALL: [Self; 3] = [Self::En, Self::Es, Self::Fr];

    /// ISO 639-1 code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Es => "es",
            Self::Fr => "fr",
        }
    }
    /// The language's own name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Es => "Español",
            Self::Fr => "Français",
        }
    }
    /// The language of a code.
    pub fn of(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.code() == code)
    }
}

/// An IANA time zone name by shape, such as `Europe/Madrid`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timezone(String);

impl Timezone {
    /// Checks that `text` names a zone of the IANA database.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        text.parse::<chrono_tz::Tz>().map(|tz| Self(tz.name().to_owned())).map_err(|_| {
            TextError::new("unknown-timezone", "must be an IANA time zone such as Europe/Madrid")
        })
    }
    /// The zone's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// An instant as a clock in the zone shows it, such as `2026-01-02 04:04 CET`.
    pub fn show(&self, at: Time) -> String {
        self.local(at).format("%Y-%m-%d %H:%M %Z").to_string()
    }
    /// An instant in the zone.
    pub fn local(&self, at: Time) -> chrono::DateTime<chrono_tz::Tz> {
        at.with_timezone(&self.0.parse().unwrap_or(chrono_tz::UTC))
    }
}

impl Default for Timezone {
    fn default() -> Self {
        Self("UTC".to_owned())
    }
}

impl TryFrom<String> for Timezone {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Timezone> for String {
    fn from(tz: Timezone) -> Self {
        tz.0
    }
}

/// A person, whole; only for the person and for administrators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Id.
    pub id: UserId,
    /// Unique handle.
    pub username: Username,
    /// Unique address.
    pub email: Email,
    /// Name.
    pub full_name: FullName,
    /// Shade of their avatar.
    pub color: Color,
    /// Language of mails and of the interface.
    pub lang: Lang,
    /// For digests and times in mails.
    pub timezone: Timezone,
    /// False until the address is verified, or once deactivated.
    pub is_active: bool,
    /// May administer the instance; no bypass inside projects.
    pub is_admin: bool,
    /// When the address was verified.
    pub verified_at: Option<Time>,
    /// Latest sign-in.
    pub last_login_at: Option<Time>,
    /// Sign-up.
    pub created_at: Time,
    /// Increases with every change.
    pub version: i64,
}

impl User {
    /// What others see.
    pub fn as_ref(&self) -> PersonRef {
        PersonRef {
            id: self.id,
            username: self.username.as_str().to_owned(),
            full_name: self.full_name.as_str().to_owned(),
            color: self.color.get(),
        }
    }
}

/// What everybody who shares a workspace sees of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonRef {
    /// Id.
    pub id: UserId,
    /// Handle.
    pub username: String,
    /// Name.
    pub full_name: String,
    /// Shade.
    pub color: i16,
}

/// An administrator's wish for an account.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Address.
    pub email: Email,
    /// Handle; made from the address when absent.
    pub username: Option<Username>,
    /// Name.
    pub full_name: FullName,
    /// Password; when absent, a mailed link lets the person choose one.
    pub password: Option<crate::secrets::NewPassword>,
    /// Language.
    pub lang: Lang,
    /// Time zone.
    pub timezone: Timezone,
    /// May administer the instance.
    pub is_admin: bool,
}

/// A changed profile; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct ProfilePatch {
    /// New handle.
    pub username: Option<Username>,
    /// New name.
    pub full_name: Option<FullName>,
    /// New shade.
    pub color: Option<Color>,
    /// New language.
    pub lang: Option<Lang>,
    /// New zone.
    pub timezone: Option<Timezone>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_is_none_that_reads_like_something_else() {
        for good in ["ada", "A.Lovelace-2", "7", "a_b", "root1"] {
            assert!(Username::parse(good).is_ok(), "{good}");
        }
        for bad in [".", "..", "-a", "a.", "_a_", "ada ", "аda", "a/b", ""] {
            let trimmed = bad.trim();
            assert_eq!(Username::parse(bad).is_ok(), trimmed == "ada", "{bad:?}");
        }
        for reserved in ["me", "Me", "admin", "ADMIN", "system"] {
            assert_eq!(Username::parse(reserved).unwrap_err().code, "reserved-username", "{reserved}");
        }
        assert!(RESERVED.iter().all(|word| Username::sought(word).is_some()));
    }
}
