//! History: who did what, read from the log.

use serde::{Deserialize, Serialize};

use crate::{Time, users::PersonRef};

/// One line of a thing's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Position in the stream.
    pub seq: i64,
    /// `story.created`, `comment.deleted`, …
    pub kind: String,
    /// When.
    pub at: Time,
    /// Who; none for the system and for people who are gone.
    pub actor: Option<PersonRef>,
    /// What it is since.
    pub data: serde_json::Value,
    /// What it was before, for what changed.
    pub before: Option<serde_json::Value>,
}
