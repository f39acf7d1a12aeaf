//! Text that has been checked: trimmed, NFC, without control characters, within its length.

use unicode_normalization::UnicodeNormalization;

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct TextError {
    /// Stable kebab-case word.
    pub code: &'static str,
    /// A sentence, for people.
    pub detail: String,
}

impl TextError {
    /// A refusal with its word and its sentence.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// Normalises one line of text: NFC, surrounding white space gone, no control characters,
/// between `min` and `max` characters long.
pub fn line(text: &str, min: usize, max: usize) -> Result<String, TextError> {
    let text: String = text.trim().nfc().collect();
    if text.chars().any(char::is_control) {
        return Err(TextError::new("control-character", "must not contain control characters"));
    }
    within(text, min, max)
}

/// Normalises a block of Markdown: line ends become `\n`, NUL and other control characters but
/// tab and newline are refused; between `min` and `max` characters long.
pub fn block(text: &str, min: usize, max: usize) -> Result<String, TextError> {
    let text = text.replace("\r\n", "\n");
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(TextError::new("control-character", "must not contain control characters"));
    }
    if min > 0 && text.trim().is_empty() {
        return Err(TextError::new("too-short", "must not be empty"));
    }
    within(text, min, max)
}

fn within(text: String, min: usize, max: usize) -> Result<String, TextError> {
    let length = text.chars().count();
    if length < min {
        let detail = if min == 1 {
            "must not be empty".to_owned()
        } else {
            format!("must be at least {min} characters long")
        };
        Err(TextError::new("too-short", detail))
    } else if length > max {
        Err(TextError::new("too-long", format!("must be at most {max} characters long")))
    } else {
        Ok(text)
    }
}

/// Declares a checked text type: `text_type! { /// Doc. Name: line(1, 40); }`.
macro_rules! text_type {
    ($($(#[$doc:meta])* $name:ident: $rule:ident($min:expr, $max:expr);)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and normalises `text`.
            pub fn parse(text: &str) -> Result<Self, $crate::text::TextError> {
                $crate::text::$rule(text, $min, $max).map(Self)
            }
            /// The text.
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl TryFrom<String> for $name {
            type Error = $crate::text::TextError;
            fn try_from(text: String) -> Result<Self, Self::Error> { Self::parse(&text) }
        }
        impl From<$name> for String { fn from(text: $name) -> Self { text.0 } }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.0) }
        }
    )*};
}
pub(crate) use text_type;

/// An integer from 1 to 20 that a theme turns into a shade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "i16", into = "i16")]
pub struct Color(i16);

impl Color {
    /// Checks the range.
    pub fn parse(color: i16) -> Result<Self, TextError> {
        if (1..=20).contains(&color) {
            Ok(Self(color))
        } else {
            Err(TextError::new("out-of-range", "must be a number from 1 to 20"))
        }
    }
    /// The number.
    pub const fn get(self) -> i16 {
        self.0
    }
    /// A colour that follows from `seed`, so that new things differ without asking.
    pub fn of(seed: uuid::Uuid) -> Self {
        Self(i16::from(seed.as_bytes()[15] % 20) + 1)
    }
}

impl TryFrom<i16> for Color {
    type Error = TextError;
    fn try_from(color: i16) -> Result<Self, Self::Error> {
        Self::parse(color)
    }
}

impl From<Color> for i16 {
    fn from(color: Color) -> Self {
        color.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_trimmed_composed_and_free_of_control_characters() {
        assert_eq!(line("  e\u{301}a ", 1, 5).as_deref(), Ok("éa"));
        assert_eq!(line("a\u{0}b", 1, 5).unwrap_err().code, "control-character");
        assert_eq!(line("   ", 1, 5).unwrap_err().code, "too-short");
        assert_eq!(line("éééééé", 1, 5).unwrap_err().code, "too-long");
    }

    #[test]
    fn a_block_keeps_its_lines_but_no_nul() {
        assert_eq!(block("a\r\nb\tc", 1, 9).as_deref(), Ok("a\nb\tc"));
        assert!(block("a\u{0}", 1, 9).is_err());
        assert!(block(" \n ", 1, 9).is_err());
    }
}
