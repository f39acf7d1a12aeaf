//! Text from outside on its way into storage: responses of mail servers and stores, errors of drivers, headers, messages of panics.
//!
//! Nobody checked it: it may hold what a database does not keep (a NUL), what turns a line around on a screen, or a
//! megabyte. It is cleaned here and nowhere else, so that keeping it never fails. What people type is checked and
//! refused instead, in [`crate::text`].

use std::{fmt, ops::Deref};

use serde::{Deserialize, Serialize};

/// The most characters that are kept of a text.
pub const MAX_CHARS: usize = 2000;

/// One line of text from outside, clean and at most [`MAX_CHARS`] long. Every text can be made one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct OutsideText(String);

impl OutsideText {
    /// Cleans `text`.
    pub fn new(text: &str) -> Self {
        Self(clean(text, MAX_CHARS))
    }

    /// Cleans bytes that are text, or should have been.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self::new(&String::from_utf8_lossy(bytes))
    }

    /// An error with its causes, each after the one before.
    pub fn of_error(error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |e| e.source());
        Self::new(&causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One line of at most `most` characters: control characters and white space become single spaces, characters that
/// turn or hide text are left out, and an ellipsis says that there was more.
pub fn clean(text: &str, most: usize) -> String {
    let mut kept = String::new();
    let mut length = 0;
    let mut is_spaced = false;
    for c in text.chars().filter(|c| !is_hidden(*c)) {
        if c.is_control() || c.is_whitespace() {
            is_spaced = length > 0;
            continue;
        }
        if length + usize::from(is_spaced) >= most {
            if length >= most {
                kept.pop();
            }
            kept.push('…');
            return kept;
        }
        if std::mem::take(&mut is_spaced) {
            kept.push(' ');
            length += 1;
        }
        kept.push(c);
        length += 1;
    }
    kept
}

/// Characters that nobody sees, and that change how others are shown.
const fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

impl From<&str> for OutsideText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for OutsideText {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<OutsideText> for String {
    fn from(text: OutsideText) -> Self {
        text.0
    }
}

impl Deref for OutsideText {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OutsideText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for OutsideText {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for OutsideText {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_database_refuses_or_a_screen_turns_around_is_left_out() {
        let answer = "550 5.1.1 no\0such\u{1b}[31m\r\n\u{202e}person\u{2066}\u{200b} ";
        assert_eq!(OutsideText::new(answer), "550 5.1.1 no such [31m person");
        assert_eq!(OutsideText::new("Straße 東京 👩\u{fe0f}"), "Straße 東京 👩\u{fe0f}");
        assert_eq!(OutsideText::from_bytes(b"caf\xe9\0"), "caf\u{fffd}");
        assert_eq!(OutsideText::new("\0\n"), "");
    }

    #[test]
    fn an_error_is_kept_with_its_causes() {
        let cause = std::io::Error::other("connection refused");
        let error = crate::Error::Unavailable { component: "database", source: Box::new(cause) };
        assert_eq!(OutsideText::of_error(&error), "database is not available: connection refused");
    }

    #[test]
    fn a_long_text_ends_with_an_ellipsis() {
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abcde…");
        assert_eq!(clean("ab cd ef", 6), "ab cd…");
        assert_eq!(OutsideText::new(&"x".repeat(1_000_000)).chars().count(), MAX_CHARS);
    }

    proptest! {
        #[test]
        fn every_text_becomes_a_short_line(text in any::<String>(), most in 1_usize..20) {
            let kept = clean(&text, most);
            prop_assert!(kept.chars().count() <= most);
            prop_assert!(!kept.chars().any(|c| c.is_control() || is_hidden(c)));
            prop_assert_eq!(clean(&kept, most), kept);
        }
    }
}
