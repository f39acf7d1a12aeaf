//! Files attached to stories.

use serde::{Deserialize, Serialize};

use crate::{
    Time,
    ids::{AttachmentId, StoryId},
    text::TextError,
    users::PersonRef,
};

/// The name of a file: one segment of a path, 1 to 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileName(String);

impl FileName {
    /// Checks a name; a path is cut to its last segment, as browsers may send one.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
        let name = crate::text::line(last, 1, 255)?;
        if name == "." || name == ".." {
            return Err(TextError::new("invalid-name", "must be the name of a file"));
        }
        if name.len() > 255 {
            return Err(TextError::new("too-long", "must be at most 255 bytes long"));
        }
        Ok(Self(name))
    }
    /// What the database holds, without what earlier releases let in.
    pub fn stored(text: &str) -> Self {
        Self(crate::text::shown(text))
    }
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FileName {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<FileName> for String {
    fn from(name: FileName) -> Self {
        name.0
    }
}

/// A file attached to a story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Id.
    pub id: AttachmentId,
    /// Story.
    pub story_id: StoryId,
    /// Name.
    pub name: FileName,
    /// Media type, sniffed from the content.
    pub media_type: String,
    /// Length in bytes.
    pub size: i64,
    /// SHA-256 of the content, hexadecimal.
    pub sha256: String,
    /// Who attached it; none once their account is gone.
    pub created_by: Option<PersonRef>,
    /// When.
    pub created_at: Time,
    /// Where the content is; never shown.
    #[serde(skip)]
    pub blob_key: String,
}

/// Whether a browser may show this media type in place: no scripts inside, or only in a sandbox.
pub fn may_show_inline(media_type: &str) -> bool {
    matches!(
        media_type,
        "image/png"
            | "image/jpeg"
            | "image/gif"
            | "image/webp"
            | "image/avif"
            | "application/pdf"
            | "audio/mpeg"
            | "audio/ogg"
            | "audio/x-wav"
            | "audio/x-flac"
            | "video/mp4"
            | "video/webm"
    )
}
