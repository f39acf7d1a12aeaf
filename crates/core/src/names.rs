//! Names of people in the log: it holds ids, and names are joined when it is read.
//!
//! So the log has nothing to forget when an account ends, and shows everybody under the name they have now.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{changes::Kind, users::PersonRef};

/// Stands for a [`PersonRef`]; the value is the id.
const PERSON: &str = "$person";
/// Stands for a username; the value is the person's id.
const USERNAME: &str = "$username";
/// Stands for the email address that an invitation goes to; the value is the invitation's id.
const INVITATION_EMAIL: &str = "$invitation_email";

/// What a change says, with ids in the place of names: what the log holds.
pub fn without(kind: Kind, mut value: Value) -> Value {
    let of_invitation = matches!(
        kind,
        Kind::InvitationCreated
            | Kind::InvitationUpdated
            | Kind::InvitationReceived
            | Kind::WorkspaceInvitationCreated
            | Kind::WorkspaceInvitationUpdated
    );
    if of_invitation && let Some(invitation) = value.as_object_mut() {
        for (field, by, mark) in [("email", "id", INVITATION_EMAIL), ("username", "user_id", USERNAME)] {
            if invitation.get(field).is_some_and(Value::is_string) {
                let id = invitation.get(by).cloned().unwrap_or_default();
                invitation.insert(field.to_owned(), json!({ mark: id }));
            }
        }
    }
    people_by_id(value)
}

fn people_by_id(value: Value) -> Value {
    match value {
        Value::Object(fields) if is_person(&fields) => json!({ PERSON: fields["id"] }),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, people_by_id(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(people_by_id).collect()),
        other => other,
    }
}

/// Whether an object is a [`PersonRef`]: it has those members and no others.
fn is_person(fields: &Map<String, Value>) -> bool {
    fields.len() == 4
        && ["id", "username", "full_name", "color"].iter().all(|name| fields.contains_key(*name))
}

/// Whose names are to be joined.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// People.
    pub people: BTreeSet<Uuid>,
    /// Invitations, for the addresses that they go to.
    pub invitations: BTreeSet<Uuid>,
}

impl Wanted {
    /// Adds what `value` refers to.
    pub fn by(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => match mark(fields) {
                Some((INVITATION_EMAIL, id)) => drop(self.invitations.insert(id)),
                Some((_, id)) => drop(self.people.insert(id)),
                None => fields.values().for_each(|value| self.by(value)),
            },
            Value::Array(items) => items.iter().for_each(|value| self.by(value)),
            _ => {}
        }
    }
}

/// The mark that an object is, if it is one, and the id that it names.
fn mark(fields: &Map<String, Value>) -> Option<(&'static str, Uuid)> {
    let (name, id) = fields.iter().next().filter(|_| fields.len() == 1)?;
    let mark = [PERSON, USERNAME, INVITATION_EMAIL].into_iter().find(|mark| mark == name)?;
    Some((mark, id.as_str()?.parse().ok()?))
}

/// Names as they are now; who is gone is missing.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// People by id.
    pub people: BTreeMap<Uuid, PersonRef>,
    /// Email addresses by the invitation that goes there.
    pub emails: BTreeMap<Uuid, String>,
}

impl Names {
    /// Puts names in the place of ids, and null for those who are gone.
    pub fn join(&self, value: Value) -> Value {
        match value {
            Value::Object(fields) => match mark(&fields) {
                Some((PERSON, id)) => json!(self.people.get(&id)),
                Some((USERNAME, id)) => json!(self.people.get(&id).map(|person| &person.username)),
                Some((_, id)) => json!(self.emails.get(&id)),
                None => {
                    Value::Object(fields.into_iter().map(|(name, value)| (name, self.join(value))).collect())
                }
            },
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.join(item)).collect()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0a01";

    #[test]
    fn a_name_goes_into_the_log_as_an_id_and_comes_back_as_it_is_by_then() {
        let person = |name: &str| json!({ "id": ID, "username": name, "full_name": name, "color": 3 });
        let said = json!({ "title": "t", "by": person("ada"), "list": [person("ada"), null, 1] });
        let held = without(Kind::StoryCreated, said.clone());
        assert!(!held.to_string().contains("ada"), "{held}");
        let mut wanted = Wanted::default();
        wanted.by(&held);
        let id: Uuid = ID.parse().unwrap();
        assert_eq!(wanted.people, BTreeSet::from([id]));
        let ada = PersonRef { id: id.into(), username: "king".into(), full_name: "king".into(), color: 3 };
        let names = Names { people: BTreeMap::from([(id, ada)]), ..Names::default() };
        assert_eq!(
            names.join(held.clone()),
            json!({ "title": "t", "by": person("king"), "list": [person("king"), null, 1] })
        );
        assert_eq!(Names::default().join(held), json!({ "title": "t", "by": null, "list": [null, null, 1] }));
    }

    #[test]
    fn an_invitation_goes_into_the_log_without_its_address() {
        let said = json!({ "id": ID, "email": "ada@example.org", "user_id": null, "username": null });
        let held = without(Kind::InvitationCreated, said.clone());
        assert!(!held.to_string().contains("ada"), "{held}");
        let names = Names {
            emails: BTreeMap::from([(ID.parse().unwrap(), "ada@example.org".into())]),
            ..Names::default()
        };
        assert_eq!(names.join(held), said);
        let said = json!({ "id": ID, "email": null, "user_id": ID, "username": "ada" });
        assert_eq!(without(Kind::InvitationReceived, said)["username"], json!({ "$username": ID }));
        // What somebody's own log says of the account stays whole; it goes with the account.
        let own = json!({ "id": ID, "username": "ada", "full_name": "Ada", "color": 3, "email": "ada@example.org" });
        assert_eq!(without(Kind::AccountUpdated, own.clone()), own);
    }
}
