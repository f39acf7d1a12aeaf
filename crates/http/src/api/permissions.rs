//! Words of the permission vocabulary and of workspace roles, as the document names them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tenon_core::{
    permissions::{ProjectPermission, ProjectPermissions, WorkspacePermission, WorkspacePermissions},
    roles::WorkspaceRole,
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

macro_rules! word {
    ($(#[$doc:meta])* $view:ident($inner:ty) as $name:literal, $words:expr, $description:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub(crate) struct $view(pub(crate) $inner);

        impl PartialSchema for $view {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some($words))
                    .description(Some($description))
                    .build()
                    .into()
            }
        }
        impl ToSchema for $view {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    };
}

word! {
    /// A right inside a project.
    ProjectPermissionView(ProjectPermission) as "ProjectPermission",
    ProjectPermission::ALL.iter().map(|p| p.as_str()),
    "A right inside a project."
}
word! {
    /// A right inside a workspace.
    WorkspacePermissionView(WorkspacePermission) as "WorkspacePermission",
    WorkspacePermission::ALL.iter().map(|p| p.as_str()),
    "A right inside a workspace."
}
word! {
    /// A role in a workspace.
    WorkspaceRoleView(WorkspaceRole) as "WorkspaceRole",
    WorkspaceRole::ALL.iter().rev().map(|r| r.as_str()),
    "A role in a workspace."
}

/// The words of a set, in the vocabulary's order.
pub(crate) fn of_project(set: ProjectPermissions) -> Vec<ProjectPermissionView> {
    set.iter().map(ProjectPermissionView).collect()
}

/// The words of a set, in the vocabulary's order.
pub(crate) fn of_workspace(set: WorkspacePermissions) -> Vec<WorkspacePermissionView> {
    set.iter().map(WorkspacePermissionView).collect()
}

/// The set of words.
pub(crate) fn set(words: &[ProjectPermissionView]) -> ProjectPermissions {
    ProjectPermissions::of(words.iter().map(|w| w.0))
}
