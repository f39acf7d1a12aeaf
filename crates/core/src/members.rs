//! Members of workspaces and projects.

use serde::{Deserialize, Serialize};

use crate::{
    Time,
    ids::{ProjectId, RoleId, UserId, WorkspaceId},
    permissions::ProjectPermissions,
    roles::{ProjectRole, WorkspaceRole},
    users::PersonRef,
};

/// A person in a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceMember {
    /// Who.
    pub user: PersonRef,
    /// As what.
    pub role: WorkspaceRole,
    /// Since.
    pub created_at: Time,
    /// Increases with every change.
    pub version: i64,
}

/// A person in a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectMember {
    /// Who.
    pub user: PersonRef,
    /// As what.
    pub role_id: RoleId,
    /// The role's stable word.
    pub role: String,
    /// Since.
    pub created_at: Time,
    /// Increases with every change.
    pub version: i64,
}

/// What the log says of a person's new role in a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceRoleChanged {
    /// Who.
    pub user_id: UserId,
    /// As what from now on.
    pub role: WorkspaceRole,
}

/// What the log says of a person's new role in a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRoleChanged {
    /// Who.
    pub user_id: UserId,
    /// As what from now on.
    pub role_id: RoleId,
    /// The role's stable word.
    pub role: String,
    /// What they may do from now on.
    pub permissions: ProjectPermissions,
}

impl ProjectRoleChanged {
    /// A person's change to `role`.
    pub fn to(role: &ProjectRole, user_id: UserId) -> Self {
        Self { user_id, role_id: role.id, role: role.slug.clone(), permissions: role.permissions }
    }
}

/// What the log says of a person who is no longer in a workspace or project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRemoved {
    /// Who.
    pub user_id: UserId,
}

/// What a person's own log says when they are no longer somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The workspace, or that of the project.
    pub workspace_id: WorkspaceId,
    /// The project, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
}
