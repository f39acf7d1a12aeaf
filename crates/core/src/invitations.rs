//! Invitations into workspaces and projects.

use serde::{Deserialize, Serialize};

use crate::{
    Time,
    changes::Stream,
    emails::Email,
    ids::{InvitationId, ProjectId, RoleId, UserId, WorkspaceId},
    permissions::{ProjectPermissions, Rights},
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl InvitedTo {
    /// The workspace, or that of the project.
    pub const fn workspace_id(&self) -> WorkspaceId {
        match self {
            Self::Workspace { workspace_id, .. } | Self::Project { workspace_id, .. } => *workspace_id,
        }
    }
    /// The project, when it is one.
    pub const fn project_id(&self) -> Option<ProjectId> {
        match self {
            Self::Workspace { .. } => None,
            Self::Project { project_id, .. } => Some(*project_id),
        }
    }
    /// The role, when it is one of a project.
    pub const fn role_id(&self) -> Option<RoleId> {
        match self {
            Self::Workspace { .. } => None,
            Self::Project { role_id, .. } => Some(*role_id),
        }
    }
    /// `workspace` or `project`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Workspace { .. } => "workspace",
            Self::Project { .. } => "project",
        }
    }
    /// Where it leads, whatever the role.
    pub const fn place(&self) -> Place {
        match self {
            Self::Workspace { workspace_id, .. } => Place::Workspace(*workspace_id),
            Self::Project { project_id, .. } => Place::Project(*project_id),
        }
    }
}

/// A workspace or a project that people are invited into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A workspace.
    Workspace(WorkspaceId),
    /// A project.
    Project(ProjectId),
}

impl Place {
    /// The log of the place.
    pub const fn stream(self) -> Stream {
        match self {
            Self::Workspace(id) => Stream::Workspace(id),
            Self::Project(id) => Stream::Project(id),
        }
    }
}

/// What somebody may do in a workspace or project, or what an invitation would let them do there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceRights {
    /// In a workspace.
    Workspace(WorkspaceRole),
    /// In a project.
    Project(Rights<ProjectPermissions>),
}

/// A pending invitation as a delegation: what its sender may do in the place, and what it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delegation {
    /// The invitation.
    pub id: InvitationId,
    /// What the sender may do in the place at this moment; none once they are gone or not active.
    pub sender: Option<PlaceRights>,
    /// What it gives.
    pub gives: PlaceRights,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "Flat")]
pub struct Invitation {
    /// Id.
    pub id: InvitationId,
    /// What it opens.
    pub to: InvitedTo,
    /// Name of the workspace or project.
    pub place_name: String,
    /// Slug of the role.
    pub role_slug: String,
    /// Address it goes to; none for a person invited by handle, whose address is not the inviter's to know.
    pub email: Option<Email>,
    /// Who was invited by handle; none for an address: whether it has an account is not the inviter's to know.
    pub user: Option<PersonRef>,
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

/// The shape of an invitation in the log.
#[derive(Serialize)]
struct Flat {
    id: InvitationId,
    kind: &'static str,
    workspace_id: WorkspaceId,
    project_id: Option<ProjectId>,
    place_name: String,
    role: String,
    role_id: Option<RoleId>,
    email: Option<Email>,
    user_id: Option<UserId>,
    username: Option<String>,
    status: InvitationStatus,
    invited_by: Option<PersonRef>,
    sent_count: i32,
    last_sent_at: Option<Time>,
    created_at: Time,
    version: i64,
}

impl From<Invitation> for Flat {
    fn from(i: Invitation) -> Self {
        Self {
            id: i.id,
            kind: i.to.kind(),
            workspace_id: i.to.workspace_id(),
            project_id: i.to.project_id(),
            place_name: i.place_name,
            role: i.role_slug,
            role_id: i.to.role_id(),
            email: i.email,
            user_id: i.user.as_ref().map(|u| u.id),
            username: i.user.map(|u| u.username),
            status: i.status,
            invited_by: i.invited_by,
            sent_count: i.sent_count,
            last_sent_at: i.last_sent_at,
            created_at: i.created_at,
            version: i.version,
        }
    }
}

/// What the holder of a mailed link sees before answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Whether it opens a project; a workspace otherwise.
    pub is_project: bool,
    /// Name of the workspace or project.
    pub place_name: String,
    /// Name of who invites; none once their account is gone.
    pub inviter: Option<String>,
}

/// The role that an invitation gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenRole {
    /// In a workspace.
    Workspace(WorkspaceRole),
    /// In a project.
    Project(RoleId),
}

/// A wish to invite.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// Who.
    pub invitee: Invitee,
    /// As what.
    pub role: GivenRole,
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
    /// People who were not invited, as their mail may not go out now.
    pub refused: Vec<RefusedInvitation>,
}

/// Somebody who was not invited, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedInvitation {
    /// Address or handle, as it was given.
    pub invitee: String,
    /// Stable kebab-case word.
    pub code: &'static str,
    /// A sentence that says why, and when to try again.
    pub detail: String,
}
