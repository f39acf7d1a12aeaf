//! Whether a value is within the least and the most that its key allows.

use serde_json::Value as Json;

use super::{
    keys::{Key, Kind},
    reference::plain,
    units::{Rate, Size, Span},
};

/// The value, or in words what the key wants.
pub(super) fn within(key: &Key, value: Json) -> Result<Json, String> {
    let Some((least, most)) = &key.bounds else { return Ok(value) };
    if key.kind == Kind::Number && value.as_i64().is_none() {
        return Err("a number without a fraction".to_owned());
    }
    // What cannot be read at all is refused in better words where it is read.
    match (measures(key, &value), measures(key, least), measures(key, most)) {
        (Some(value), Some(least), Some(most))
            if value.iter().zip(&least).any(|(value, least)| value < least)
                || value.iter().zip(&most).any(|(value, most)| value > most) => {}
        _ => return Ok(value),
    }
    Err(format!("{} to {}", plain(least), plain(most)))
}

/// What is compared: one number, or two of a rate.
fn measures(key: &Key, value: &Json) -> Option<Vec<i128>> {
    let Kind::Text(format) = &key.kind else { return Some(vec![value.as_i64()?.into()]) };
    let text = value.as_str()?;
    let milliseconds = |span: Span| i128::try_from(span.duration().as_millis()).ok();
    match format.as_str() {
        "duration" => Some(vec![milliseconds(text.parse().ok()?)?]),
        "size" => Some(vec![text.parse::<Size>().ok()?.bytes().into()]),
        "rate" => {
            let rate: Rate = text.parse().ok()?;
            Some(vec![rate.calls.into(), milliseconds(rate.window)?])
        }
        _ => None,
    }
}
