//! Changes: what the one log holds, and who may read each kind.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Time,
    ids::{ProjectId, UserId, WorkspaceId},
    permissions::{ProjectPermission, WorkspacePermission},
    users::PersonRef,
};

/// An ordered log: that of a workspace, a project or a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// What happens to a workspace and its members.
    Workspace(WorkspaceId),
    /// What happens in a project.
    Project(ProjectId),
    /// What concerns one person only.
    Person(UserId),
}

impl Stream {
    /// The id of the thing whose log it is; unique over all kinds.
    pub const fn uuid(self) -> Uuid {
        match self {
            Self::Workspace(id) => id.uuid(),
            Self::Project(id) => id.uuid(),
            Self::Person(id) => id.uuid(),
        }
    }
    /// `workspace`, `project` or `person`.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Workspace(_) => "workspace",
            Self::Project(_) => "project",
            Self::Person(_) => "person",
        }
    }
    /// The topic of its bell on the bus.
    pub fn topic(self) -> String {
        format!("stream:{self}")
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.uuid())
    }
}

/// `project:<uuid>` and the like.
impl FromStr for Stream {
    type Err = crate::text::TextError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || {
            crate::text::TextError::new(
                "invalid-stream",
                "must be workspace:<id>, project:<id> or person:<id>",
            )
        };
        let (kind, id) = text.split_once(':').ok_or_else(bad)?;
        let id: Uuid = id.parse().map_err(|_| bad())?;
        match kind {
            "workspace" => Ok(Self::Workspace(id.into())),
            "project" => Ok(Self::Project(id.into())),
            "person" => Ok(Self::Person(id.into())),
            _ => Err(bad()),
        }
    }
}

/// What a reader of a stream must hold to be shown a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Being in.
    Members,
    /// A right in the workspace.
    Workspace(WorkspacePermission),
    /// A right in the project.
    Project(ProjectPermission),
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $visibility:expr;)*) => {
        /// A kind of change: `noun.verb` in the past tense.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $variant,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// As stored and as on the wire.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $word),* } }
            /// What it takes to be shown it, in the stream it is recorded in.
            pub fn visibility(self) -> Visibility {
                use Visibility::Members;
                match self { $(Self::$variant => $visibility),* }
            }
            /// The kind of a word.
            pub fn of(word: &str) -> Option<Self> { Self::ALL.iter().copied().find(|k| k.as_str() == word) }
        }
    };
}

const STORY: Visibility = Visibility::Project(ProjectPermission::ViewStory);
const COMMENT: Visibility = Visibility::Project(ProjectPermission::ViewComment);
const BOARD: Visibility = Visibility::Project(ProjectPermission::ViewWorkflow);
const INVITE_W: Visibility = Visibility::Workspace(WorkspacePermission::CreateModifyMember);
const INVITE_P: Visibility = Visibility::Project(ProjectPermission::CreateModifyMember);

kinds! {
    /// A workspace was made.
    WorkspaceCreated = "workspace.created", Members;
    /// Its name or colour changed.
    WorkspaceUpdated = "workspace.updated", Members;
    /// It went to the trash.
    WorkspaceDeleted = "workspace.deleted", Members;
    /// A project was made in it.
    WorkspaceProjectCreated = "workspace.project_created", Members;
    /// A person came in.
    MemberAdded = "member.added", Members;
    /// A person's role changed.
    MemberRoleChanged = "member.role_changed", Members;
    /// A person left or was removed.
    MemberRemoved = "member.removed", Members;
    /// Somebody was invited into the workspace.
    WorkspaceInvitationCreated = "workspace_invitation.created", INVITE_W;
    /// Such an invitation was answered, taken back or sent again.
    WorkspaceInvitationUpdated = "workspace_invitation.updated", INVITE_W;
    /// Somebody was invited into the project.
    InvitationCreated = "invitation.created", INVITE_P;
    /// Such an invitation was answered, taken back or sent again.
    InvitationUpdated = "invitation.updated", INVITE_P;
    /// A project was made.
    ProjectCreated = "project.created", Members;
    /// Its fields changed.
    ProjectUpdated = "project.updated", Members;
    /// It went to the trash.
    ProjectDeleted = "project.deleted", Members;
    /// It came back from the trash.
    ProjectRestored = "project.restored", Members;
    /// A role was made.
    RoleCreated = "role.created", Members;
    /// A role's name or permissions changed.
    RoleUpdated = "role.updated", Members;
    /// A role went; its holders moved to another.
    RoleDeleted = "role.deleted", Members;
    /// A board was made.
    WorkflowCreated = "workflow.created", BOARD;
    /// A board's name or place changed.
    WorkflowUpdated = "workflow.updated", BOARD;
    /// A board went.
    WorkflowDeleted = "workflow.deleted", BOARD;
    /// A column was made.
    StatusCreated = "status.created", BOARD;
    /// A column's fields changed.
    StatusUpdated = "status.updated", BOARD;
    /// A board's columns were put in another order.
    StatusReordered = "status.reordered", BOARD;
    /// Stories of a column got other ranks, in the same order; their versions stay.
    StatusReranked = "status.reranked", STORY;
    /// A column went.
    StatusDeleted = "status.deleted", BOARD;
    /// A story was written.
    StoryCreated = "story.created", STORY;
    /// Its title or description changed.
    StoryUpdated = "story.updated", STORY;
    /// It moved on its board or to another.
    StoryMoved = "story.moved", STORY;
    /// It went to the trash.
    StoryDeleted = "story.deleted", STORY;
    /// It came back from the trash.
    StoryRestored = "story.restored", STORY;
    /// A comment was written.
    CommentCreated = "comment.created", COMMENT;
    /// A comment was edited.
    CommentUpdated = "comment.updated", COMMENT;
    /// A comment was deleted.
    CommentDeleted = "comment.deleted", COMMENT;
    /// A file was attached.
    AttachmentCreated = "attachment.created", STORY;
    /// A file was removed.
    AttachmentDeleted = "attachment.deleted", STORY;
    /// The person's account began.
    AccountCreated = "account.created", Members;
    /// The person's address was verified.
    AccountVerified = "account.verified", Members;
    /// The person's profile changed.
    AccountUpdated = "account.updated", Members;
    /// The person's address changed.
    EmailChanged = "account.email_changed", Members;
    /// The person's password changed.
    PasswordChanged = "account.password_changed", Members;
    /// The person's account was switched off or on.
    AccountActivityChanged = "account.activity_changed", Members;
    /// The person's account was deleted.
    AccountDeleted = "account.deleted", Members;
    /// The person signed in.
    SessionCreated = "session.created", Members;
    /// A session ended.
    SessionRevoked = "session.revoked", Members;
    /// A personal access token was made.
    TokenCreated = "token.created", Members;
    /// A personal access token ended.
    TokenRevoked = "token.revoked", Members;
    /// The person came into a workspace.
    WorkspaceJoined = "workspace.joined", Members;
    /// The person is no longer in a workspace.
    WorkspaceLeft = "workspace.left", Members;
    /// The person came into a project.
    ProjectJoined = "project.joined", Members;
    /// The person is no longer in a project.
    ProjectLeft = "project.left", Members;
    /// The person was invited somewhere.
    InvitationReceived = "invitation.received", Members;
}

/// A change about to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What happened.
    pub kind: Kind,
    /// The thing whose history it belongs to: a story for its comments and files, a board for its columns.
    pub subject: Uuid,
    /// What it is since.
    pub data: serde_json::Value,
    /// What it was before, for what changed.
    pub before: Option<serde_json::Value>,
}

impl Change {
    /// A change whose data is `data` as JSON.
    pub fn new(kind: Kind, subject: impl Into<Uuid>, data: impl Serialize) -> Self {
        Self { kind, subject: subject.into(), data: json(&data), before: None }
    }
    /// Adds what it was before.
    #[must_use]
    pub fn with_before(mut self, before: impl Serialize) -> Self {
        self.before = Some(json(&before));
        self
    }
}

fn json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("domain types have string keys, so they are JSON")
}

/// A change as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Position in its stream, from 1, without gaps.
    pub seq: i64,
    /// `noun.verb`.
    pub kind: String,
    /// When.
    pub at: Time,
    /// Who; none for the system and for people who are gone.
    pub actor: Option<PersonRef>,
    /// The request that caused it.
    pub correlation_id: String,
    /// The thing whose history it belongs to.
    pub subject: Uuid,
    /// What it is since.
    pub data: serde_json::Value,
    /// What it was before, for what changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<serde_json::Value>,
}

impl Recorded {
    /// What it takes to be shown it; a kind of a newer release is shown to nobody.
    pub fn visibility(&self) -> Option<Visibility> {
        Kind::of(&self.kind).map(Kind::visibility)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_reads_back_what_it_writes() {
        let stream = Stream::Project(Uuid::from_u128(7).into());
        assert_eq!(stream.to_string().parse::<Stream>().unwrap(), stream);
        for bad in ["", "project", "project:", "board:00000000-0000-0000-0000-000000000007", "project:x"] {
            assert!(bad.parse::<Stream>().is_err(), "{bad}");
        }
    }

    #[test]
    fn kinds_are_noun_dot_verb_and_differ() {
        let words: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|k| k.as_str()).collect();
        assert_eq!(words.len(), Kind::ALL.len());
        assert!(words.iter().all(|w| w.split('.').count() == 2));
    }
}
