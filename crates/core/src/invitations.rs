//! Invitations into workspaces and projects.

use serde::{Deserialize, Serialize};

use crate::{
    Time,
    emails::Email,
    ids::{InvitationId, ProjectId, RoleId, UserId, WorkspaceId},
    roles::WorkspaceRole,
    users::{PersonRef, Username},
};

/// At most this many in one call.
pub const MAX_PER_CALL: usize = 50;
/// At most this many mails for one invitation.
pub const MAX_SENDS: i32 = 10;

/// The least time between two mails to one address about one invitation.
pub const fn resend_pause() -> chrono::Duration {
    chrono::Duration::minutes(10)
}
/// How long a mailed link opens the door.
pub const fn link_ttl() -> chrono::Duration {
    chrono::Duration::days(4)
}

/// Where an invitation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InvitationStatus {
    /// Waiting for an answer.
    Pending,
    /// Answered with yes.
    Accepted,
    /// Taken back.
    Revoked,
    /// Answered with no.
    Denied,
}

impl InvitationStatus {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Revoked => "revoked",
            Self::Denied => "denied",
        }
    }
    /// The status of a word.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Pending, Self::Accepted, Self::Revoked, Self::Denied].into_iter().find(|s| s.as_str() == word)
    }
}

/// What an invitation opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum InvitedTo {
    /// A workspace, in a role.
    Workspace {
        /// Which.
        workspace_id: WorkspaceId,
        /// As what.
        role: WorkspaceRole,
    },
    /// A project, in a role.
    Project {
        /// Its workspace.
        workspace_id: WorkspaceId,
        /// Which.
        project_id: ProjectId,
        /// As what.
        role_id: RoleId,
    },
}

/// Who is invited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invitee {
    /// By address.
    Email(Email),
    /// By handle.
    Username(Username),
}

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Id.
    pub id: InvitationId,
    /// What it opens.
    pub to: InvitedTo,
    /// Name of the workspace or project.
    pub place_name: String,
    /// Slug of the role.
    pub role_slug: String,
    /// Address it goes to.
    pub email: Email,
    /// The account behind the address, once it is verified.
    pub user_id: Option<UserId>,
    /// Where it stands.
    pub status: InvitationStatus,
    /// Who invited; none once their account is gone.
    pub invited_by: Option<PersonRef>,
    /// Mails sent.
    pub sent_count: i32,
    /// Latest mail.
    pub last_sent_at: Option<Time>,
    /// Made at.
    pub created_at: Time,
    /// Increases with every change.
    pub version: i64,
}

/// The result of inviting many at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// New and re-opened invitations.
    pub invitations: Vec<Invitation>,
    /// People who are in already.
    pub already_members: usize,
    /// Handles that nobody has.
    pub unknown: Vec<String>,
}
