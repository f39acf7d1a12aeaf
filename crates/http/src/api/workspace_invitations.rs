//! Invitations into workspaces.

use serde::Deserialize;
use tenon_core::{
    Result,
    emails::Email,
    ids::InvitationId,
    invitations::{GivenRole, NewInvitation, Place},
    tokens::Scope,
    users::Username,
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    invitations::{self, InvitationPath, InvitationsBody, PlacePath, RoleBody, invitation},
    permissions::WorkspaceRoleView,
    workspaces::WorkspacePath,
};
use crate::endpoint::{
    Api, Given,
    methods::{Delete, Get, Patch, Post},
};

pub(super) fn mount(api: &mut Api) {
    let mut group = api
        .group("workspace invitations", "Invitations into a workspace.")
        .scopes(Scope::ReadWorkspaces, Scope::WriteWorkspaces);
    group
        .op(
            "list_workspace_invitations",
            Get,
            "/workspaces/{workspace_id}/invitations",
            "Invitations into a workspace",
            invitations::list::<WorkspacePath>,
        )
        .describe("Oldest first.")
        .permission("create_modify_member");
    group
        .op(
            "create_workspace_invitations",
            Post,
            "/workspaces/{workspace_id}/invitations",
            "Invite people into a workspace",
            invitations::create::<WorkspacePath, NewWorkspaceInvitations>,
        )
        .describe(
            "Up to 50 at once, each by address or by handle. Who is in already is counted and skipped; an invitation that is there already is opened \
             again with the new role. Each gets a mail with a link that works once and for four days, but at most one mail in ten minutes and ten in all. \
             Who may not be mailed for now, by the limits of mails to people who are not members, is not invited and named under `refused`; \
             when that is everybody, it is 429. You can give only permissions that you hold yourself, and only owners invite owners. An invitation ends with your right to send it.",
        )
        .permission("create_modify_member");
    group
        .op(
            "get_workspace_invitation",
            Get,
            "/workspaces/{workspace_id}/invitations/{invitation_id}",
            "An invitation into a workspace",
            invitations::get::<WorkspaceInvitationPath>,
        )
        .permission("create_modify_member");
    group
        .op(
            "update_workspace_invitation",
            Patch,
            "/workspaces/{workspace_id}/invitations/{invitation_id}",
            "Change the role an invitation gives",
            invitations::update::<WorkspaceInvitationPath, WorkspaceInvitationPatch>,
        )
        .describe("Only while it is pending. You can give only permissions that you hold yourself, and only owners invite owners. From then on the invitation is yours, as if you had sent it.")
        .conflicts(&["invitation-not-pending"])
        .permission("create_modify_member");
    group
        .op(
            "resend_workspace_invitation",
            Post,
            "/workspaces/{workspace_id}/invitations/{invitation_id}/resend",
            "Mail an invitation again",
            invitations::resend::<WorkspaceInvitationPath>,
        )
        .describe("The new mail has a new link; the old one opens nothing any more. At most one mail in ten minutes and ten in all.")
        .conflicts(&["invitation-not-pending", "mailed-recently", "too-many-mails"])
        .permission("create_modify_member");
    group
        .op(
            "revoke_workspace_invitation",
            Delete,
            "/workspaces/{workspace_id}/invitations/{invitation_id}",
            "Take an invitation back",
            invitations::revoke::<WorkspaceInvitationPath>,
        )
        .conflicts(&["invitation-not-pending"])
        .permission("create_modify_member");
}

#[derive(Debug, Deserialize, IntoParams)]
struct WorkspaceInvitationPath {
    /// The workspace.
    workspace_id: Uuid,
    /// The invitation.
    invitation_id: Uuid,
}

/// People to invite into a workspace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWorkspaceInvitations)]
struct NewWorkspaceInvitations {
    /// Who, 1 to 50.
    #[schema(min_items = 1, max_items = 50)]
    invitations: Vec<NewWorkspaceInvitation>,
}

/// Somebody to invite into a workspace, by `email` or by `username`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWorkspaceInvitation)]
struct NewWorkspaceInvitation {
    /// Address.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 254, example = "charles@example.org")]
    email: Option<Email>,
    /// Handle.
    #[serde(default, deserialize_with = "Username::deserialize_sought")]
    #[schema(value_type = Option<String>, max_length = 50)]
    username: Option<Username>,
    /// As what.
    role: WorkspaceRoleView,
}

/// Another role for an invitation into a workspace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkspaceInvitationPatch)]
struct WorkspaceInvitationPatch {
    /// As what.
    role: WorkspaceRoleView,
    /// The version you have seen, when there is no `If-Match`.
    #[serde(default)]
    #[schema(value_type = i64)]
    version: Given<i64>,
}

impl PlacePath for WorkspacePath {
    fn place(&self) -> Place {
        Place::Workspace(self.workspace_id.into())
    }
}

impl InvitationPath for WorkspaceInvitationPath {
    fn invitation(&self) -> (Place, InvitationId) {
        (Place::Workspace(self.workspace_id.into()), self.invitation_id.into())
    }
}

impl InvitationsBody for NewWorkspaceInvitations {
    fn wishes(self) -> Result<Vec<NewInvitation>> {
        let wishes = self.invitations.into_iter().enumerate();
        wishes.map(|(n, i)| invitation(n, i.email, i.username, GivenRole::Workspace(i.role.0))).collect()
    }
}

impl RoleBody for WorkspaceInvitationPatch {
    fn version(&self) -> Option<i64> {
        self.version.into_option()
    }
    fn role(&self) -> GivenRole {
        GivenRole::Workspace(self.role.0)
    }
}
