//! Statuses: the columns of a board.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{StatusId, WorkflowId},
    text::{Color, text_type},
};

text_type! {
    /// What a column is called, 1 to 30 characters.
    StatusName: line(1, 30);
}

/// What being in a column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Not begun.
    Todo,
    /// Begun.
    Doing,
    /// Finished.
    Done,
}

impl Category {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Todo => "todo",
            Self::Doing => "doing",
            Self::Done => "done",
        }
    }
    /// The category of a word.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Todo, Self::Doing, Self::Done].into_iter().find(|c| c.as_str() == word)
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Id.
    pub id: StatusId,
    /// Board.
    pub workflow_id: WorkflowId,
    /// Name.
    pub name: StatusName,
    /// Shade.
    pub color: Color,
    /// Place on the board, from 0.
    pub position: i32,
    /// What being in it means.
    pub category: Category,
    /// More stories than this are flagged, never refused.
    pub wip_limit: Option<i32>,
    /// Increases with every change.
    pub version: i64,
}

/// A wish for a column.
#[derive(Debug, Clone)]
pub struct NewStatus {
    /// Name.
    pub name: StatusName,
    /// Shade.
    pub color: Option<Color>,
    /// What being in it means.
    pub category: Category,
    /// More stories than this are flagged.
    pub wip_limit: Option<i32>,
}

/// A changed column; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct StatusPatch {
    /// New name.
    pub name: Option<StatusName>,
    /// New shade.
    pub color: Option<Color>,
    /// New meaning.
    pub category: Option<Category>,
    /// New limit; `Some(None)` removes it.
    pub wip_limit: Option<Option<i32>>,
}

/// What happens to the stories of a deleted column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoriesOfDeleted {
    /// They move, last, to this column of the same board.
    MoveTo(StatusId),
    /// They move to the trash.
    Delete,
    /// Nothing was said: refused unless there are none.
    Unsaid,
}
