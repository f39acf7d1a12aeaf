//! Stories.

use serde::{Deserialize, Serialize};

use crate::{
    Time,
    ids::{ProjectId, StatusId, StoryId, WorkflowId},
    text::text_type,
    users::PersonRef,
};

text_type! {
    /// What a story is called, 1 to 500 characters.
    StoryTitle: line(1, 500);
    /// What a story says, Markdown of at most 200 000 characters.
    StoryDescription: block(0, 200_000);
}

/// A story, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// Id.
    pub id: StoryId,
    /// Project.
    pub project_id: ProjectId,
    /// The project's key.
    pub key: String,
    /// Number in the project, gapless in order of commit.
    #[serde(rename = "ref")]
    pub number: i64,
    /// Title.
    pub title: StoryTitle,
    /// Markdown.
    pub description: StoryDescription,
    /// Board.
    pub workflow_id: WorkflowId,
    /// Column.
    pub status_id: StatusId,
    /// Order in the column: compare as text, then by id.
    pub rank: String,
    /// Increases with every change, moves included.
    pub version: i64,
    /// Who wrote it; none once their account is gone.
    pub created_by: Option<PersonRef>,
    /// When.
    pub created_at: Time,
    /// Latest change of the title.
    pub title_updated: Option<Touch>,
    /// Latest change of the description.
    pub description_updated: Option<Touch>,
    /// Latest move.
    pub moved: Option<Touch>,
    /// Moved to the trash at.
    pub deleted_at: Option<Time>,
}

/// Who changed a group of fields, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    /// Who; none once their account is gone.
    pub by: Option<PersonRef>,
    /// When.
    pub at: Time,
}

/// A story on a board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorySummary {
    /// Id.
    pub id: StoryId,
    /// Number in the project.
    #[serde(rename = "ref")]
    pub number: i64,
    /// Title.
    pub title: String,
    /// Column.
    pub status_id: StatusId,
    /// Order in the column.
    pub rank: String,
    /// Increases with every change.
    pub version: i64,
}

/// A wish for a story; it comes last in its column.
#[derive(Debug, Clone)]
pub struct NewStory {
    /// Title.
    pub title: StoryTitle,
    /// Markdown.
    pub description: StoryDescription,
    /// Column.
    pub status_id: StatusId,
}

/// A changed story; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct StoryPatch {
    /// New title.
    pub title: Option<StoryTitle>,
    /// New description.
    pub description: Option<StoryDescription>,
    /// New column; the story comes last there.
    pub status_id: Option<StatusId>,
}

/// Where moved stories go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Right before the story with this number.
    Before(i64),
    /// Right after the story with this number.
    After(i64),
    /// Last in the column.
    Last,
}

/// How a path names a story: `42` or `KEY-42`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoryRef {
    /// The key, when given; it must be the project's.
    pub key: Option<String>,
    /// The number.
    pub number: i64,
}

impl std::str::FromStr for StoryRef {
    type Err = crate::text::TextError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || crate::text::TextError::new("invalid-ref", "must be a number or KEY-number");
        let (key, digits) = match text.rsplit_once('-') {
            Some((key, digits)) => {
                (Some(crate::projects::ProjectKey::parse(key).map_err(|_| bad())?), digits)
            }
            None => (None, text),
        };
        if digits.is_empty() || digits.len() > 18 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        Ok(Self { key: key.map(|k| k.as_str().to_owned()), number: digits.parse().map_err(|_| bad())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ref_is_a_number_with_or_without_the_key() {
        assert_eq!("42".parse::<StoryRef>().unwrap(), StoryRef { key: None, number: 42 });
        assert_eq!("ab-7".parse::<StoryRef>().unwrap(), StoryRef { key: Some("AB".into()), number: 7 });
        for bad in ["", "-1", "AB-", "1.5", "A-1", "99999999999999999999", "４２"] {
            assert!(bad.parse::<StoryRef>().is_err(), "{bad}");
        }
    }
}
