//! Workspaces.

use serde::{Deserialize, Serialize};

use crate::{
    Time,
    ids::WorkspaceId,
    roles::WorkspaceRole,
    text::{Color, text_type},
};

text_type! {
    /// What a workspace is called, 1 to 40 characters.
    WorkspaceName: line(1, 40);
}

/// A workspace, as one of its members sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Id.
    pub id: WorkspaceId,
    /// Name.
    pub name: WorkspaceName,
    /// Shade.
    pub color: Color,
    /// Made at.
    pub created_at: Time,
    /// Moved to the trash at.
    pub deleted_at: Option<Time>,
    /// Increases with every change.
    pub version: i64,
}

/// A workspace and the caller's place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceWithRole {
    /// The workspace.
    pub workspace: Workspace,
    /// The caller's role.
    pub role: WorkspaceRole,
    /// People in it.
    pub members: i64,
    /// Projects in it that are not in the trash and that the caller is in.
    pub projects: i64,
}

/// A wish for a workspace.
#[derive(Debug, Clone)]
pub struct NewWorkspace {
    /// Name.
    pub name: WorkspaceName,
    /// Shade; chosen when absent.
    pub color: Option<Color>,
}

/// A changed workspace; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct WorkspacePatch {
    /// New name.
    pub name: Option<WorkspaceName>,
    /// New shade.
    pub color: Option<Color>,
}
