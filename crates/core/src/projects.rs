//! Projects.

use serde::{Deserialize, Serialize};

use crate::{
    Time,
    ids::{ProjectId, WorkspaceId},
    roles::ProjectRole,
    text::{Color, TextError, text_type},
};

text_type! {
    /// What a project is called, 1 to 80 characters.
    ProjectName: line(1, 80);
    /// What a project is about, at most 220 characters.
    ProjectDescription: block(0, 220);
}

/// What stands before a story's number: 2 to 6 capitals, unique in the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectKey(String);

impl ProjectKey {
    /// Checks and capitalises a key.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = text.trim().to_ascii_uppercase();
        if (2..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase()) {
            Ok(Self(text))
        } else {
            Err(TextError::new("invalid-key", "must be 2 to 6 letters from A to Z"))
        }
    }
    /// A key that a name suggests: initials of its words, or the beginning of its only word.
    pub fn suggested(name: &ProjectName) -> Self {
        let words: Vec<String> = name
            .as_str()
            .split(|c: char| !c.is_alphanumeric())
            .map(|w| w.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_uppercase())
            .filter(|w| !w.is_empty())
            .collect();
        let text: String = match words.as_slice() {
            [] => "PR".to_owned(),
            [only] => only.chars().take(4).collect(),
            many => many.iter().filter_map(|w| w.chars().next()).take(6).collect(),
        };
        Self(if text.len() < 2 { format!("{text}X") } else { text })
    }
    /// Another candidate when the key is taken: the `n`-th.
    pub fn variant(&self, n: usize) -> Self {
        let stem: String = self.0.chars().take(4).collect();
        let letter = |i: usize| char::from(b'A' + u8::try_from(i % 26).unwrap_or(0));
        Self(format!("{stem}{}{}", letter(n / 26), letter(n)))
    }
    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProjectKey {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<ProjectKey> for String {
    fn from(key: ProjectKey) -> Self {
        key.0
    }
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Id.
    pub id: ProjectId,
    /// Workspace it belongs to.
    pub workspace_id: WorkspaceId,
    /// Name.
    pub name: ProjectName,
    /// What it is about.
    pub description: ProjectDescription,
    /// Shade.
    pub color: Color,
    /// What stands before its stories' numbers.
    pub key: ProjectKey,
    /// Made at.
    pub created_at: Time,
    /// Put aside at.
    pub archived_at: Option<Time>,
    /// Moved to the trash at.
    pub deleted_at: Option<Time>,
    /// Increases with every change.
    pub version: i64,
}

/// A project and the caller's place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectWithRole {
    /// The project.
    pub project: Project,
    /// The caller's role.
    pub role: ProjectRole,
    /// People in it.
    pub members: i64,
}

/// Which of a person's projects to list.
#[derive(Debug, Clone, Default)]
pub struct ProjectFilter {
    /// Only those of this workspace.
    pub workspace: Option<WorkspaceId>,
    /// Only those put aside, or only those that are not.
    pub archived: Option<bool>,
    /// Those in the trash instead of those that are not.
    pub trashed: bool,
}

/// A wish for a project.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// Name.
    pub name: ProjectName,
    /// What it is about.
    pub description: ProjectDescription,
    /// Shade; chosen when absent.
    pub color: Option<Color>,
    /// Key; suggested by the name when absent.
    pub key: Option<ProjectKey>,
    /// Slug of the template.
    pub template: String,
}

/// A changed project; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct ProjectPatch {
    /// New name.
    pub name: Option<ProjectName>,
    /// New description.
    pub description: Option<ProjectDescription>,
    /// New shade.
    pub color: Option<Color>,
    /// New key; old addresses of stories with the old key end.
    pub key: Option<ProjectKey>,
    /// Put aside, or taken back.
    pub archived: Option<bool>,
}
