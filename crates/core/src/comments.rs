//! Comments on stories.
//!
//! Comments are soft-deleted: a deleted comment keeps its place in the thread, its body goes.

use serde::{Deserialize, Serialize};

use crate::{
    Time,
    ids::{CommentId, StoryId},
    text::text_type,
    users::PersonRef,
};

text_type! {
    /// What a comment says, Markdown of 1 to 20 000 characters.
    CommentBody: block(1, 20_000);
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Id.
    pub id: CommentId,
    /// Story.
    pub story_id: StoryId,
    /// Markdown; empty once deleted.
    pub body: String,
    /// Who wrote it; none once their account is gone.
    pub created_by: Option<PersonRef>,
    /// When.
    pub created_at: Time,
    /// Latest edit.
    pub edited_at: Option<Time>,
    /// Deleted at.
    pub deleted_at: Option<Time>,
    /// Increases with every change.
    pub version: i64,
}
