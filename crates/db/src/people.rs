//! People as others see them, joined into rows of other things.

use diesel::{Queryable, QueryableByName, Selectable, sql_types as st};
use tenon_core::{text::shown, users::PersonRef};
use uuid::Uuid;

use crate::schema::users;

/// The columns of a person that others see.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = users)]
pub struct PersonRow {
    id: Uuid,
    username: String,
    full_name: String,
    color: i16,
}

impl From<PersonRow> for PersonRef {
    fn from(row: PersonRow) -> Self {
        Self { id: row.id.into(), username: row.username, full_name: shown(&row.full_name), color: row.color }
    }
}

/// A person who may be absent, in a hand-written statement; name the columns `actor_*`.
#[derive(Debug, Clone, QueryableByName)]
#[expect(clippy::struct_field_names, reason = "the names are those of the columns")]
pub struct ActorRow {
    #[diesel(sql_type = st::Nullable<st::Uuid>)]
    actor_id: Option<Uuid>,
    #[diesel(sql_type = st::Nullable<st::Text>)]
    actor_username: Option<String>,
    #[diesel(sql_type = st::Nullable<st::Text>)]
    actor_full_name: Option<String>,
    #[diesel(sql_type = st::Nullable<st::SmallInt>)]
    actor_color: Option<i16>,
}

impl ActorRow {
    /// The person, if there is one.
    pub fn person(self) -> Option<PersonRef> {
        Some(PersonRef {
            id: self.actor_id?.into(),
            username: self.actor_username?,
            full_name: shown(&self.actor_full_name?),
            color: self.actor_color?,
        })
    }
}
