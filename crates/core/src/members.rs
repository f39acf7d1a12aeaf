//! Members of workspaces and projects.

use serde::{Deserialize, Serialize};

use crate::{Time, ids::RoleId, roles::WorkspaceRole, users::PersonRef};

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
