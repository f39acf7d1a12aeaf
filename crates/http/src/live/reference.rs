//! Long texts by reference: a change goes to everybody who watches, the text behind it only to who asks for it.

use std::io;

use serde::Serialize;
use serde_json::{Map, Value};
use tenon_core::changes::Stream;
use uuid::Uuid;

use crate::endpoint::PREFIX;

/// A change of at most so many bytes is sent whole: any comment is.
const WHOLE: usize = 128 << 10;
/// Of a longer one, members of more bytes are left out.
const LONG: usize = 4 << 10;
/// Of one that is still too long, ids and the like are left.
const SHORT: usize = 64;

/// Leaves out the long members of a change that is too long as a whole: of what was before, and if that is not enough of
/// what it is since. Answers pointers to them; none when the change is whole.
pub(super) fn shorten(data: &mut Value, mut before: Option<&mut Value>) -> Option<Vec<String>> {
    let mut omitted = vec![];
    for (long, part) in [(LONG, "before"), (LONG, "data"), (SHORT, "before"), (SHORT, "data")] {
        if length(data) + before.as_deref().map_or(0, length) <= WHOLE {
            break;
        }
        let value = if part == "data" { Some(&mut *data) } else { before.as_deref_mut() };
        if let Some(Value::Object(members)) = value {
            omitted.extend(without_long(members, long).into_iter().map(|key| format!("/{part}/{key}")));
        }
    }
    (!omitted.is_empty()).then_some(omitted)
}

fn without_long(members: &mut Map<String, Value>, long: usize) -> Vec<String> {
    let keys: Vec<String> =
        members.iter().filter(|(_, value)| length(value) > long).map(|(key, _)| key.clone()).collect();
    for key in &keys {
        members.remove(key);
    }
    keys
}

/// Where the thing that changed is found; for a comment or a file, its story.
pub(super) fn href(stream: Stream, kind: &str, subject: Uuid) -> String {
    let of_story = ["story.", "comment.", "attachment."].iter().any(|noun| kind.starts_with(noun));
    match stream {
        Stream::Project(_) if of_story => format!("{PREFIX}/stories/{subject}"),
        Stream::Project(id) => format!("{PREFIX}/projects/{id}"),
        Stream::Workspace(id) => format!("{PREFIX}/workspaces/{id}"),
        Stream::Person(_) => format!("{PREFIX}/me"),
    }
}

/// The bytes of a value as JSON.
fn length(value: &Value) -> usize {
    let mut counter = Counter(0);
    // Counting cannot fail.
    value.serialize(&mut serde_json::Serializer::new(&mut counter)).ok();
    counter.0
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_of_usual_length_is_whole() {
        let (mut data, mut before) = (json!({ "id": 1, "body": "x".repeat(60_000) }), json!({ "body": "y" }));
        let whole = data.clone();
        assert_eq!(shorten(&mut data, Some(&mut before)), None);
        assert_eq!(data, whole);
    }

    #[test]
    fn the_longest_comment_comes_whole_but_for_what_it_said_before() {
        let long = "\u{1F600}".repeat(20_000);
        let (mut data, mut before) = (json!({ "id": 1, "body": long }), json!({ "body": long }));
        assert_eq!(shorten(&mut data, Some(&mut before)).unwrap(), ["/before/body"]);
        assert_eq!((&data["body"], &before), (&json!(long), &json!({})));
    }

    #[test]
    fn of_a_long_change_the_long_members_are_left_out_and_named() {
        let mut data = json!({ "id": 1, "title": "t".repeat(500), "description": "x".repeat(200_000) });
        let mut before = json!({ "title": "s", "description": "y".repeat(200_000) });
        let omitted = shorten(&mut data, Some(&mut before)).unwrap();
        assert_eq!(omitted, ["/before/description", "/data/description"]);
        assert_eq!(data, json!({ "id": 1, "title": "t".repeat(500) }));
        assert_eq!(before, json!({ "title": "s" }));
    }

    #[test]
    fn many_members_that_are_each_not_long_are_left_out_too() {
        let members: Map<String, Value> =
            (0..500).map(|i| (format!("m{i}"), json!("x".repeat(1000)))).collect();
        let mut data = Value::Object(members);
        data["id"] = json!("7");
        assert_eq!(shorten(&mut data, None).unwrap().len(), 500);
        assert_eq!(data, json!({ "id": "7" }));
    }
}
