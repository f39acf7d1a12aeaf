//! Fractional indexes: text keys between any two of which there is always another.
//!
//! A key is a string of the digits `0-9A-Za-z` (in byte order, as Postgres' C collation compares), never ending in `0`.
//! Between two of them a key is a digit longer for about every six that were put at the same place. So a key has a
//! length that it never exceeds: where that would happen, a stretch of neighbours gets new, short keys in the same order.
//! Nothing else keeps it short, since whoever always puts the next item between the latest two halves the room each time.
//!
//! [`after`] grows the key only logarithmically: an integer part with its length in the first digit, as in
//! the public-domain description of fractional indexing by David Greenspan (Observable, 2020).

/// No key is made longer than that.
pub const LONGEST: usize = 32;
/// Keys of a stretch that got new ones are at most that long, which leaves room for about a hundred at any one place.
const ROOMY: usize = 16;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn value(digit: u8) -> usize {
    match digit {
        b'0'..=b'9' => usize::from(digit - b'0'),
        b'A'..=b'Z' => usize::from(digit - b'A') + 10,
        b'a'..=b'z' => usize::from(digit - b'a') + 36,
        _ => 0,
    }
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

/// `count` keys between `low` and `high`, in order and evenly apart. None when there is no place left for keys of at most
/// [`LONGEST`] digits: then a stretch of the list around it gets new keys, by [`respread`].
pub fn spread(low: Option<&str>, high: Option<&str>, count: usize) -> Option<Vec<String>> {
    spread_within(low, high, count, LONGEST)
}

/// New keys for `count` neighbours between `low` and `high`, with room for many more between them. None when the two are
/// so close that a longer stretch must be taken; never when there is neither.
pub fn respread(low: Option<&str>, high: Option<&str>, count: usize) -> Option<Vec<String>> {
    spread_within(low, high, count, ROOMY)
}

fn spread_within(low: Option<&str>, high: Option<&str>, count: usize, longest: usize) -> Option<Vec<String>> {
    // Two of the same key, or in the wrong order, leave nothing between them.
    if low.zip(high).is_some_and(|(low, high)| low >= high) {
        return None;
    }
    let mut keys = vec![String::new(); count];
    match (low, high) {
        (None, Some(_)) => {
            for at in (0..count).rev() {
                keys[at] = between(None, keys.get(at + 1).map(String::as_str).or(high));
            }
        }
        (_, None) => {
            for at in 0..count {
                let before = at.checked_sub(1).map(|at| keys[at].as_str()).or(low);
                keys[at] = between(before, None);
            }
        }
        (Some(low), Some(high)) => bisect(low, high, &mut keys),
    }
    keys.iter().all(|key| key.len() <= longest).then_some(keys)
}

/// A stretch of a list that is to get new keys, with the neighbours that keep theirs.
#[derive(Debug)]
pub struct Stretch<T> {
    /// The one before; none at the begin of the list.
    pub low: Option<T>,
    /// Those that get new keys.
    pub inner: Vec<T>,
    /// The one after; none at the end of the list.
    pub high: Option<T>,
}

impl<T> Stretch<T> {
    /// Of what is below a place and from there on, each in order and at most `reach + 1` of them: the one too many is the
    /// neighbour.
    pub fn new(mut below: Vec<T>, mut above: Vec<T>, reach: usize) -> Self {
        let low = (below.len() > reach).then(|| below.remove(0));
        let high = if above.len() > reach { above.pop() } else { None };
        below.append(&mut above);
        Self { low, inner: below, high }
    }

    /// New keys for [`Self::inner`], as by [`respread`].
    pub fn respread(&self, key: impl Fn(&T) -> &str) -> Option<Vec<String>> {
        respread(self.low.as_ref().map(&key), self.high.as_ref().map(&key), self.inner.len())
    }
}

fn bisect(low: &str, high: &str, keys: &mut [String]) {
    let (before, rest) = keys.split_at_mut(keys.len() / 2);
    let Some((middle, after)) = rest.split_first_mut() else { return };
    *middle = between(Some(low), Some(high));
    bisect(low, middle, before);
    bisect(middle, high, after);
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
    use std::collections::BTreeSet;

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
    fn spread_keeps_the_order_given_and_its_keys_short() {
        for (low, high) in [
            (None, None),
            (Some("a0"), Some("a1")),
            (Some("a0"), None),
            (None, Some("a0V")),
            (Some("Zz"), Some("b05")),
        ] {
            let keys = spread(low, high, 200).unwrap();
            assert_eq!(keys.len(), 200);
            let all: Vec<&str> = low.into_iter().chain(keys.iter().map(String::as_str)).chain(high).collect();
            assert!(all.windows(2).all(|w| w[0] < w[1]), "{low:?} {high:?}: {all:?}");
            assert!(keys.iter().all(|key| key.len() <= 6), "{low:?} {high:?}: {keys:?}");
        }
    }

    #[test]
    fn between_two_of_the_same_key_there_is_no_room() {
        assert_eq!(spread(Some("a0"), Some("a0"), 1), None);
        assert_eq!(spread(Some("a1"), Some("a0"), 1), None);
        assert_eq!(respread(None, None, 3).unwrap(), ["a0", "a1", "a2"]);
    }

    /// A list, kept as the application keeps a column.
    #[derive(Default)]
    struct Column {
        keys: BTreeSet<String>,
        rewritten: usize,
    }

    impl Column {
        fn below(&self, key: &str, most: usize) -> Vec<String> {
            let mut keys: Vec<_> = self.keys.range(..key.to_owned()).rev().take(most).cloned().collect();
            keys.reverse();
            keys
        }

        fn from(&self, key: &str, most: usize) -> Vec<String> {
            self.keys.range(key.to_owned()..).take(most).cloned().collect()
        }

        /// Puts one right before or after `anchor`; answers its key, and that of the anchor now.
        fn insert(&mut self, anchor: &str, before: bool) -> (String, String) {
            let mut anchor = anchor.to_owned();
            loop {
                let low = if before { self.below(&anchor, 1).pop() } else { Some(anchor.clone()) };
                let high = if before { Some(anchor.clone()) } else { self.from(&anchor, 2).get(1).cloned() };
                if let Some(keys) = spread(low.as_deref(), high.as_deref(), 1) {
                    self.keys.insert(keys[0].clone());
                    return (keys[0].clone(), anchor);
                }
                anchor = self.make_room(&anchor);
            }
        }

        fn make_room(&mut self, anchor: &str) -> String {
            let mut reach = 32;
            loop {
                let stretch =
                    Stretch::new(self.below(anchor, reach + 1), self.from(anchor, reach + 1), reach);
                if let Some(keys) = stretch.respread(String::as_str) {
                    let at = stretch.inner.iter().position(|key| key == anchor).unwrap();
                    self.rewritten += keys.len();
                    for key in &stretch.inner {
                        self.keys.remove(key);
                    }
                    self.keys.extend(keys.iter().cloned());
                    return keys[at].clone();
                }
                reach *= 4;
            }
        }
    }

    #[test]
    fn a_hundred_thousand_at_one_place_stay_short_and_in_order() {
        type Pattern = fn(usize) -> (bool, bool);
        let patterns: [(&str, Pattern); 5] = [
            // Whether the next anchor is the newest, and whether one goes before it.
            ("after one", |_| (false, false)),
            ("before one", |_| (false, true)),
            ("between the latest two", |i| (true, i % 2 == 0)),
            ("two after, one before", |i| (true, i % 3 == 0)),
            ("now here, now there", |i| (i / 7 % 2 == 0, i % 5 == 0)),
        ];
        for (name, pattern) in patterns {
            let mut column = Column::default();
            column.keys.extend(spread(None, None, 3).unwrap());
            let mut anchor = "a1".to_owned();
            for i in 0..100_000 {
                let (is_newest_next, before) = pattern(i);
                let (new, old) = column.insert(&anchor, before);
                assert!(new.len() <= LONGEST, "{name}: {new}");
                assert_eq!(before, new < old, "{name}: {new} {old}");
                anchor = if is_newest_next { new } else { old };
            }
            assert_eq!(column.keys.len(), 100_003, "{name}: each has a key of its own");
            assert!(column.keys.iter().all(|key| key.len() <= LONGEST), "{name}");
            let cost = column.rewritten / 100_000;
            assert!(cost < 20, "{name}: {cost} keys rewritten for each that was put there");
        }
    }
}
