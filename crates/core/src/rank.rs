//! Fractional indexes: text keys between any two of which there is always another.
//!
//! A key is a string of the digits `0-9A-Za-z` (in byte order, as Postgres' C collation compares), never ending in `0`.
//! [`after`] grows the key only logarithmically: an integer part with its length in the first digit, as in
//! the public-domain description of fractional indexing by David Greenspan (Observable, 2020).

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn value(digit: u8) -> usize {
    DIGITS.iter().position(|d| *d == digit).unwrap_or(0)
}

/// The key of the only item of a list.
pub fn first() -> String {
    "a0".to_owned()
}

/// A key after `last`.
pub fn after(last: Option<&str>) -> String {
    last.map_or_else(first, |last| between(Some(last), None))
}

/// A key between `low` and `high`; `None` is the end of the list. `low` must be less than `high`.
pub fn between(low: Option<&str>, high: Option<&str>) -> String {
    match (low, high) {
        (None, None) => first(),
        (None, Some(high)) => {
            let int = integer_part(high);
            let fraction = &high[int.len()..];
            if int == smallest_integer() {
                return format!("{int}{}", midpoint("", Some(fraction)));
            }
            if fraction.is_empty() {
                step(int, false).unwrap_or_else(|| format!("{int}{}", midpoint("", None)))
            } else {
                int.to_owned()
            }
        }
        (Some(low), None) => {
            let int = integer_part(low);
            step(int, true).unwrap_or_else(|| format!("{int}{}", midpoint(&low[int.len()..], None)))
        }
        (Some(low), Some(high)) => {
            let (int_low, int_high) = (integer_part(low), integer_part(high));
            if int_low == int_high {
                return format!(
                    "{int_low}{}",
                    midpoint(&low[int_low.len()..], Some(&high[int_high.len()..]))
                );
            }
            match step(int_low, true) {
                Some(next) if next.as_str() < high => next,
                _ => format!("{int_low}{}", midpoint(&low[int_low.len()..], None)),
            }
        }
    }
}

/// `count` keys between `low` and `high`, in order.
pub fn spread(low: Option<&str>, high: Option<&str>, count: usize) -> Vec<String> {
    let mut keys: Vec<String> = Vec::with_capacity(count);
    for _ in 0..count {
        let from = keys.last().map(String::as_str).or(low);
        let key = between(from, high);
        keys.push(key);
    }
    keys
}

/// Digits of the integer part, its head included: `a` one digit, `b` two, …; `Z` one digit below zero, `Y` two, ….
fn integer_length(head: u8) -> usize {
    match head {
        b'a'..=b'z' => usize::from(head - b'a') + 2,
        b'A'..=b'Z' => usize::from(b'Z' - head) + 2,
        _ => 1,
    }
}

fn integer_part(key: &str) -> &str {
    let length = key.bytes().next().map_or(0, integer_length).min(key.len());
    &key[..length]
}

fn smallest_integer() -> String {
    format!("A{}", "0".repeat(26))
}

/// The next integer up or down; `None` at the end of the range.
fn step(int: &str, up: bool) -> Option<String> {
    let mut digits = int.as_bytes().to_vec();
    for at in (1..digits.len()).rev() {
        let v = value(digits[at]);
        if up && v < 61 {
            digits[at] = DIGITS[v + 1];
            return String::from_utf8(digits).ok();
        }
        if !up && v > 0 {
            digits[at] = DIGITS[v - 1];
            return String::from_utf8(digits).ok();
        }
        digits[at] = if up { b'0' } else { b'z' };
    }
    let head = match (digits[0], up) {
        (b'Z', true) => b'a',
        (b'a', false) => b'Z',
        (b'z', true) | (b'A', false) => return None,
        (head, true) => head + 1,
        (head, false) => head - 1,
    };
    let fill = if up { '0' } else { 'z' };
    Some(format!("{}{}", char::from(head), fill.to_string().repeat(integer_length(head) - 1)))
}

/// A fraction between `low` and `high` (`None` is one), neither ending in `0`.
fn midpoint(low: &str, high: Option<&str>) -> String {
    let (l, h) = (low.as_bytes(), high.map(str::as_bytes));
    if let Some(h) = h {
        let same =
            h.iter().enumerate().take_while(|(i, d)| l.get(*i).copied().unwrap_or(b'0') == **d).count();
        if same > 0 {
            let rest = low.get(same..).unwrap_or("");
            return format!(
                "{}{}",
                &high.unwrap_or_default()[..same],
                midpoint(rest, Some(&high.unwrap_or_default()[same..]))
            );
        }
    }
    let from = l.first().map_or(0, |d| value(*d));
    let to = h.and_then(|h| h.first()).map_or(62, |d| value(*d));
    if to - from > 1 {
        return char::from(DIGITS[usize::midpoint(from, to)]).to_string();
    }
    match h {
        Some(h) if h.len() > 1 => char::from(h[0]).to_string(),
        _ => format!("{}{}", char::from(DIGITS[from]), midpoint(low.get(1..).unwrap_or(""), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn between_any_two_neighbours_there_is_another(places in prop::collection::vec(any::<prop::sample::Index>(), 1..300)) {
            let mut keys: Vec<String> = vec![];
            for place in places {
                let at = place.index(keys.len() + 1);
                let low = at.checked_sub(1).map(|i| keys[i].clone());
                let high = keys.get(at).cloned();
                let key = between(low.as_deref(), high.as_deref());
                prop_assert!(low.is_none_or(|low| low < key), "{key}");
                prop_assert!(high.is_none_or(|high| key < high), "{key}");
                prop_assert!(key.bytes().all(|b| b.is_ascii_alphanumeric()));
                keys.insert(at, key);
            }
        }
    }

    #[test]
    fn keys_stay_short_at_both_ends() {
        let (mut last, mut head) = (first(), first());
        for _ in 0..100_000 {
            last = after(Some(&last));
            head = between(None, Some(&head));
        }
        assert!(last.len() <= 5 && head.len() <= 5, "{last} {head}");
    }

    #[test]
    fn spread_keeps_the_order_given() {
        let keys = spread(Some("a0"), Some("a1"), 50);
        assert!(keys.windows(2).all(|w| w[0] < w[1]));
        assert!(keys[0].as_str() > "a0" && keys[49].as_str() < "a1");
    }
}
