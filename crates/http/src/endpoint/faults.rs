//! What serde says of a request, in words for programs and for people.
//!
//! Types of `core` refuse with `code: detail`; serde's own messages get codes of ours. No message repeats
//! what was sent: it may have been a password in the wrong place.

use serde_json::error::Category;
use tenon_core::FieldError;

use crate::problem::Problem;

/// A problem of one field.
pub(crate) fn one(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Problem {
    Problem::invalid(vec![FieldError {
        pointer: pointer.into(),
        code: code.to_owned(),
        detail: detail.into(),
    }])
}

/// The problem of a JSON body.
pub(crate) fn of_json(error: &serde_path_to_error::Error<serde_json::Error>, body: &[u8]) -> Problem {
    let inner = error.inner();
    // Where an enumeration is due, serde_json takes `null` or a number for a mistake in the syntax.
    let is_word_missing = inner.classify() == Category::Syntax
        && inner.to_string().starts_with("expected value")
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
    if is_word_missing {
        return one(pointer(error.path()), "wrong-type", "must be one of the words that the document lists");
    }
    match inner.classify() {
        Category::Data => {
            let message = inner.to_string();
            let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(said, _)| said);
            Problem::invalid(vec![of_message(&pointer(error.path()), true, message)])
        }
        Category::Eof => Problem::malformed("The body ends before the JSON value does."),
        Category::Syntax | Category::Io => Problem::malformed(format!(
            "The body is not JSON that can be read; look at line {}, column {}.",
            inner.line(),
            inner.column()
        )),
    }
}

/// RFC 6901.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
            }
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            // The variant of a tagged union is not a member of the JSON value.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// One field's fault, from the message of serde or of a type of ours.
pub(crate) fn of_message(place: &str, is_pointer: bool, message: &str) -> FieldError {
    let member = |name: &str| {
        let name = if is_pointer {
            format!("/{}", name.replace('~', "~0").replace('/', "~1"))
        } else {
            name.to_owned()
        };
        if place.ends_with(&name) { place.to_owned() } else { format!("{place}{name}") }
    };
    let fault =
        |pointer: String, code: &str, detail: String| FieldError { pointer, code: code.to_owned(), detail };
    let here = place.to_owned();
    if let Some(name) = quoted_after(message, "missing field ") {
        return fault(member(name), "missing", "is required".to_owned());
    }
    if let Some(name) = quoted_after(message, "unknown field ") {
        return fault(member(name), "unknown-field", "is not known here".to_owned());
    }
    if let Some(name) = quoted_after(message, "duplicate field ") {
        return fault(member(name), "duplicate-field", "is given more than once".to_owned());
    }
    if message.starts_with("unknown variant ") {
        let known = message.split_once("expected ").map_or("", |(_, known)| known).replace('`', "");
        return fault(here, "unknown-value", format!("must be {known}"));
    }
    for (beginning, code) in [
        ("invalid type: ", "wrong-type"),
        ("invalid value: ", "invalid-value"),
        ("invalid length ", "invalid-length"),
    ] {
        if message.starts_with(beginning) {
            let expected = message.rsplit_once("expected ").map_or("something else", |(_, said)| said);
            return fault(here, code, format!("must be {}", in_words(expected)));
        }
    }
    match message.split_once(": ") {
        Some((code, detail)) if is_code(code) => fault(here, code, detail.to_owned()),
        _ if message.starts_with("UUID parsing failed") => {
            fault(here, "invalid-uuid", "must be a UUID".to_owned())
        }
        _ if message.contains("invalid digit") || message.contains("cannot parse integer") => {
            fault(here, "wrong-type", "must be a whole number".to_owned())
        }
        _ if message.contains("too large to fit") || message.contains("too small to fit") => {
            fault(here, "out-of-range", "is out of range".to_owned())
        }
        _ if message.starts_with("provided string was not `true`") => {
            fault(here, "wrong-type", "must be true or false".to_owned())
        }
        _ => fault(here, "invalid", "is not valid".to_owned()),
    }
}

fn quoted_after<'a>(message: &'a str, beginning: &str) -> Option<&'a str> {
    message.strip_prefix(beginning)?.strip_prefix('`')?.split('`').next()
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// What serde expected, without the names of our types.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        _ if expected.starts_with("struct ") || expected.contains(" enum ") => "an object",
        _ if expected.starts_with("a ") || expected.starts_with("an ") => expected,
        _ => "something else",
    }
}

/// The first string with a NUL in it.
pub(crate) fn nul(body: &[u8]) -> Option<FieldError> {
    if !body.windows(6).any(|part| part == b"\\u0000") {
        return None;
    }
    let pointer = find_nul(&serde_json::from_slice(body).ok()?)?;
    Some(FieldError {
        pointer,
        code: "control-character".to_owned(),
        detail: "must not contain control characters".to_owned(),
    })
}

fn find_nul(value: &serde_json::Value) -> Option<String> {
    use serde_json::Value;
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| find_nul(item).map(|rest| format!("/{index}{rest}"))),
        Value::Object(members) => members.iter().find_map(|(name, item)| {
            if name.contains('\0') {
                Some(String::new())
            } else {
                find_nul(item).map(|rest| format!("/{name}{rest}"))
            }
        }),
        _ => None,
    }
}
