//! Identifiers: UUID v7 made by the application, plain hyphenated text on the wire.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ports::{clock::Clock, randomness::Randomness};

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new, time-ordered id.
            pub fn new(clock: &dyn Clock, randomness: &dyn Randomness) -> Self {
                Self(v7(clock, randomness))
            }
            /// The bare UUID.
            pub const fn uuid(self) -> Uuid { self.0 }
            /// The same id in the short textual form used in blob keys: 32 hexadecimal digits.
            pub fn simple(self) -> String { self.0.simple().to_string() }
        }
        impl From<Uuid> for $name { fn from(id: Uuid) -> Self { Self(id) } }
        impl From<$name> for Uuid { fn from(id: $name) -> Self { id.0 } }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> { s.parse().map(Self) }
        }
    )*};
}

id! {
    /// A person.
    UserId;
    /// One login of a person.
    SessionId;
    /// A personal access token (its row, not its secret).
    TokenId;
    /// A workspace.
    WorkspaceId;
    /// A project.
    ProjectId;
    /// A role of a project.
    RoleId;
    /// An invitation into a workspace or a project.
    InvitationId;
    /// A board.
    WorkflowId;
    /// A column of a board.
    StatusId;
    /// A story.
    StoryId;
    /// A comment.
    CommentId;
    /// A file attached to a story.
    AttachmentId;
    /// A change in the log.
    ChangeId;
    /// A job.
    JobId;
}

/// A new UUID v7 from the given clock and randomness (RFC 9562 §5.7).
pub fn v7(clock: &dyn Clock, randomness: &dyn Randomness) -> Uuid {
    let millis = u64::try_from(clock.now().timestamp_millis()).unwrap_or(0);
    let mut random = [0_u8; 10];
    randomness.fill(&mut random);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}
