//! Views that many answers hold.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenon_core::{stories::Touch, users::PersonRef};
use utoipa::ToSchema;
use uuid::Uuid;

/// A person, as everybody who shares a workspace sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Person)]
pub struct PersonView {
    /// Id.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0a01")]
    pub id: Uuid,
    /// Handle.
    #[schema(example = "ada")]
    pub username: String,
    /// Name.
    #[schema(example = "Ada Lovelace")]
    pub full_name: String,
    /// Shade, 1 to 20.
    #[schema(example = 7, minimum = 1, maximum = 20)]
    pub color: i16,
}

impl From<PersonRef> for PersonView {
    fn from(person: PersonRef) -> Self {
        Self {
            id: person.id.uuid(),
            username: person.username,
            full_name: person.full_name,
            color: person.color,
        }
    }
}

/// The author of something. The account may be gone; what it wrote outlives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Author)]
pub struct AuthorView {
    /// Id; null once the account is gone.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0a01")]
    pub id: Option<Uuid>,
    /// Handle; null once the account is gone.
    #[schema(example = "ada")]
    pub username: Option<String>,
    /// Name; empty once the account is gone.
    #[schema(example = "Ada Lovelace")]
    pub full_name: String,
    /// Shade, 1 to 20.
    #[schema(example = 7, minimum = 1, maximum = 20)]
    pub color: i16,
}

impl From<Option<PersonRef>> for AuthorView {
    fn from(person: Option<PersonRef>) -> Self {
        person.map_or_else(
            || Self { id: None, username: None, full_name: String::new(), color: 1 },
            |p| Self {
                id: Some(p.id.uuid()),
                username: Some(p.username),
                full_name: p.full_name,
                color: p.color,
            },
        )
    }
}

/// Who changed something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Touch)]
pub struct TouchView {
    /// Who.
    pub by: AuthorView,
    /// When.
    pub at: DateTime<Utc>,
}

impl TouchView {
    /// A change, or the creation when nothing changed since.
    pub fn or_creation(touch: Option<Touch>, by: &AuthorView, at: DateTime<Utc>) -> Self {
        touch.map_or_else(|| Self { by: by.clone(), at }, |touch| Self { by: touch.by.into(), at: touch.at })
    }
}
