//! Text that has been checked: trimmed, NFC, without what cannot be seen, within its length.
//!
//! Every text of one line — names, titles, file names, subjects — goes through [`line`], so that none looks like
//! nothing or like another. What an earlier release let in is shown through [`shown`].

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeEmoji, UnicodeGeneralCategory};

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

/// Normalises one line of text: NFC, surrounding white space gone; no control, format or other characters that
/// nobody sees, but for joiners between letters and in emoji; something to be seen; between `min` and `max`
/// characters long.
pub fn line(text: &str, min: usize, max: usize) -> Result<String, TextError> {
    let text: String = text.trim().nfc().collect();
    let mut before = None;
    for (at, c) in text.char_indices() {
        if c.is_control() {
            return Err(TextError::new("control-character", "must not contain control characters"));
        }
        if is_unseen(before, c, text[at + c.len_utf8()..].chars().next()) {
            let detail = format!("must not contain the invisible character U+{:04X}", u32::from(c));
            return Err(TextError::new("invisible-character", detail));
        }
        before = Some(c);
    }
    if !text.is_empty() && !text.chars().any(is_visible) {
        return Err(TextError::new("nothing-visible", "must contain something that can be seen"));
    }
    within(text, min, max)
}

/// A text of one line as it may be shown, whoever wrote it and whatever was allowed then: white space is a space,
/// what [`line`] refuses is left out, and where nothing is left there is a replacement character.
pub fn shown(text: &str) -> String {
    if text.bytes().all(|b| b.is_ascii_graphic()) && !text.is_empty() {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    let mut before = None;
    let mut chars = text.nfc().peekable();
    while let Some(c) = chars.next() {
        if c.is_whitespace() && c != ' ' {
            shown.push(' ');
        } else if !c.is_control() && !is_unseen(before, c, chars.peek().copied()) {
            shown.push(c);
        }
        before = Some(c);
    }
    if shown.chars().any(is_visible) { shown.trim().to_owned() } else { "\u{FFFD}".to_owned() }
}

const ZERO_WIDTH_NON_JOINER: char = '\u{200C}';
const ZERO_WIDTH_JOINER: char = '\u{200D}';

/// Whether `c` between its neighbours is nothing that people see, and no joiner in its place.
fn is_unseen(before: Option<char>, c: char, after: Option<char>) -> bool {
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphabetic() || is_combining_mark(c));
    let between_letters = is_letter(before) && is_letter(after);
    let emoji = |c: char| c.is_emoji_char() && !c.is_ascii();
    match c {
        ZERO_WIDTH_NON_JOINER => !between_letters,
        // Before it an emoji may wear a skin tone or a presentation.
        ZERO_WIDTH_JOINER => {
            let in_emoji = before.is_some_and(|c| emoji(c) || c == '\u{FE0F}') && after.is_some_and(emoji);
            !between_letters && !in_emoji
        }
        // The flags of England, Scotland and Wales are spelt with tags.
        '\u{E0020}'..='\u{E007F}' => {
            !before.is_some_and(|c| c == '\u{1F3F4}' || ('\u{E0020}'..='\u{E007E}').contains(&c))
        }
        // Choose how what is before them looks.
        '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}' => before.is_none_or(|c| !is_visible(c)),
        // Fillers of Hangul: letters by name, nothing by looks; the null note head; and what is ignored by whoever shows
        // it, whatever it may come to mean.
        '\u{115F}'
        | '\u{1160}'
        | '\u{3164}'
        | '\u{FFA0}'
        | '\u{1D159}'
        | '\u{34F}'
        | '\u{17B4}'
        | '\u{17B5}'
        | '\u{2065}'
        | '\u{FFF0}'..='\u{FFF8}'
        | '\u{E0000}'..='\u{E0FFF}' => true,
        _ => {
            matches!(
                c.general_category(),
                GeneralCategory::Format
                    | GeneralCategory::LineSeparator
                    | GeneralCategory::ParagraphSeparator
            ) && !is_format_of_a_script(c)
        }
    }
}

/// Characters that are of the category “format” and yet written: signs over numbers and the like.
fn is_format_of_a_script(c: char) -> bool {
    matches!(
        c,
        '\u{600}'
            ..='\u{605}'
                | '\u{6DD}'
                | '\u{70F}'
                | '\u{890}'
                | '\u{891}'
                | '\u{8E2}'
                | '\u{110BD}'
                | '\u{110CD}'
    )
}

/// Whether a character leaves ink: not white space, not a blank of Braille, no mark without a letter.
fn is_visible(c: char) -> bool {
    use GeneralCategoryGroup::{Mark, Other, Separator};
    // What is not assigned yet may be an emoji of next year.
    let unknown = matches!(c.general_category(), GeneralCategory::PrivateUse | GeneralCategory::Unassigned);
    let is_blank = matches!(c, '\u{2800}' | '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' | '\u{1D159}');
    !is_blank && (unknown || !matches!(c.general_category_group(), Other | Separator | Mark))
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

/// What becomes of a text that comes from the database, by the rule it was checked with.
pub(crate) mod stored {
    pub(crate) fn line(text: &str) -> String {
        super::shown(text)
    }
    pub(crate) fn block(text: &str) -> String {
        text.to_owned()
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
            /// What the database holds: it was checked by the rules of its time.
            pub fn stored(text: &str) -> Self {
                Self($crate::text::stored::$rule(text))
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
    fn a_line_holds_nothing_that_nobody_sees() {
        for (text, code) in [
            ("\u{3164}", "invisible-character"),
            ("\u{2800}\u{2800}", "nothing-visible"),
            ("\u{301}", "nothing-visible"),
            ("\u{200B}", "invisible-character"),
            ("\u{200D}", "invisible-character"),
            ("a\u{200B}b", "invisible-character"),
            ("rtl\u{202E}gnp.exe", "invisible-character"),
            ("\u{2066}a\u{2069}", "invisible-character"),
            ("a\u{200F}", "invisible-character"),
            ("a\u{FEFF}", "invisible-character"),
            ("a\u{AD}b", "invisible-character"),
            ("a\u{2060}b", "invisible-character"),
            ("a\u{E0041}b", "invisible-character"),
            ("a\u{2028}b", "invisible-character"),
            ("Ada\u{3164}", "invisible-character"),
            ("a \u{200D}b", "invisible-character"),
        ] {
            assert_eq!(line(text, 1, 50).unwrap_err().code, code, "{text:?}");
        }
    }

    #[test]
    fn joiners_stay_where_they_mean_something() {
        for text in [
            "می\u{200C}خواهم",
            "क्\u{200D}ष",
            "👨\u{200D}👩\u{200D}👧 family",
            "🏳\u{FE0F}\u{200D}🌈",
            "👩🏽\u{200D}💻",
            "❤\u{FE0F}",
            "葛\u{E0100}城",
            "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}",
            "日本 太郎",
            "Ann \"Q\" O'Neil",
            "№ 5",
            "⠁⠙⠁\u{2800}⠇",
        ] {
            assert_eq!(line(text, 1, 50).as_deref(), Ok(text));
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn what_was_let_in_once_is_shown_without_what_nobody_sees() {
        assert_eq!(shown("rtl\u{202E}gnp.exe"), "rtlgnp.exe");
        assert_eq!(shown("a\r\nBcc: b"), "a  Bcc: b");
        assert_eq!(shown("\u{200B}\u{3164}"), "\u{FFFD}");
        assert_eq!(shown("Ada Lovelace"), "Ada Lovelace");
    }

    proptest::proptest! {
        #[test]
        fn what_a_line_lets_in_stays_as_it_is(text in ".{0,40}") {
            if let Ok(once) = line(&text, 0, 400) {
                proptest::prop_assert_eq!(line(&once, 0, 400), Ok(once.clone()));
                if !once.is_empty() {
                    proptest::prop_assert_eq!(shown(&once), once);
                }
            }
        }
    }

    #[test]
    fn a_block_keeps_its_lines_but_no_nul() {
        assert_eq!(block("a\r\nb\tc", 1, 9).as_deref(), Ok("a\nb\tc"));
        assert!(block("a\u{0}", 1, 9).is_err());
        assert!(block(" \n ", 1, 9).is_err());
    }
}
