//! Roles: the fixed four of a workspace, and those of a project.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ProjectId, RoleId},
    permissions::{ProjectPermission, ProjectPermissions, Rights, WorkspacePermission, WorkspacePermissions},
    text::text_type,
};

text_type! {
    /// What a project calls a role, 1 to 80 characters.
    RoleName: line(1, 80);
}

/// A role in a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkspaceRole {
    /// Nothing but being there.
    ReadonlyMember,
    /// May start projects.
    Member,
    /// May do all but delete the workspace and touch owners.
    Admin,
    /// May do all.
    Owner,
}

impl WorkspaceRole {
    /// Every role, weakest first.
    pub const ALL: [Self; 4] = [Self::ReadonlyMember, Self::Member, Self::Admin, Self::Owner];

    /// As stored and as on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadonlyMember => "readonly-member",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
    /// The role of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == word)
    }
    /// What it may do.
    pub fn permissions(self) -> WorkspacePermissions {
        use WorkspacePermission as P;
        match self {
            Self::ReadonlyMember => WorkspacePermissions::NONE,
            Self::Member => WorkspacePermissions::of([P::CreateProject]),
            Self::Admin => WorkspacePermissions::of([
                P::CreateModifyMember,
                P::DeleteMember,
                P::ModifyWorkspace,
                P::CreateProject,
            ]),
            Self::Owner => WorkspacePermissions::ALL,
        }
    }
}

impl WorkspaceRole {
    /// What its holders may do, and whether they own the workspace.
    pub fn rights(self) -> Rights<WorkspacePermissions> {
        Rights { is_owner: self == Self::Owner, permissions: self.permissions() }
    }
}

/// A role in a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRole {
    /// Id.
    pub id: RoleId,
    /// Project.
    pub project_id: ProjectId,
    /// What the project calls it.
    pub name: RoleName,
    /// Stable word, unique in the project.
    pub slug: String,
    /// Holders may do all, and only they touch other owners.
    pub is_owner: bool,
    /// Whether its permissions may be changed.
    pub editable: bool,
    /// Place in lists.
    pub position: i32,
    /// What it may do.
    pub permissions: ProjectPermissions,
    /// Increases with every change.
    pub version: i64,
}

impl ProjectRole {
    /// What its holders may do, and whether they own the project.
    pub const fn rights(&self) -> Rights<ProjectPermissions> {
        Rights { is_owner: self.is_owner, permissions: self.permissions }
    }
}

/// A wish for a role.
#[derive(Debug, Clone)]
pub struct NewRole {
    /// What to call it.
    pub name: RoleName,
    /// What it may do.
    pub permissions: ProjectPermissions,
}

/// A changed role; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct RolePatch {
    /// New name.
    pub name: Option<RoleName>,
    /// What it may do from now on.
    pub permissions: Option<ProjectPermissions>,
}

impl RoleName {
    /// A stable word for a new role of this name; the `n`-th candidate, from 0, when others are taken.
    pub fn slug(&self, n: usize) -> String {
        let named = self.as_str().chars().any(char::is_alphanumeric);
        let stem = if named { crate::workflows::slug_of(self.as_str()) } else { "role".to_owned() };
        if n == 0 { stem } else { format!("{stem}-{}", n + 1) }
    }
}

/// A role that every new project gets.
#[derive(Debug, Clone, Copy)]
pub struct BuiltinRole {
    /// Stable word.
    pub slug: &'static str,
    /// English name.
    pub name: &'static str,
    /// Holders may do all.
    pub is_owner: bool,
    /// Whether its permissions may be changed.
    pub editable: bool,
}

/// The roles every new project gets, in order.
pub const BUILTIN: [BuiltinRole; 4] = [
    BuiltinRole { slug: "owner", name: "Owner", is_owner: true, editable: false },
    BuiltinRole { slug: "admin", name: "Admin", is_owner: false, editable: false },
    BuiltinRole { slug: "member", name: "Member", is_owner: false, editable: true },
    BuiltinRole { slug: "readonly-member", name: "Read-only member", is_owner: false, editable: false },
];

impl BuiltinRole {
    /// What it may do in a new project.
    pub fn permissions(&self) -> ProjectPermissions {
        use ProjectPermission as P;
        match self.slug {
            "owner" => ProjectPermissions::ALL,
            "admin" => ProjectPermissions::of(
                ProjectPermission::ALL.iter().copied().filter(|p| *p != P::DeleteProject),
            ),
            "member" => ProjectPermissions::of([
                P::ViewStory,
                P::ModifyStory,
                P::CreateStory,
                P::DeleteStory,
                P::ViewComment,
                P::CreateModifyDeleteComment,
                P::ViewWorkflow,
                P::ModifyWorkflow,
                P::CreateWorkflow,
            ]),
            _ => ProjectPermissions::of([P::ViewStory, P::ViewComment, P::ViewWorkflow]),
        }
    }
}
