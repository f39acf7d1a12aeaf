//! Invitations into projects.

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
    workflows::ProjectPath,
};
use crate::endpoint::{
    Api, Given,
    methods::{Delete, Get, Patch, Post},
};

pub(super) fn mount(api: &mut Api) {
    let mut group = api
        .group("project invitations", "Invitations into a project.")
        .scopes(Scope::ReadProjects, Scope::WriteProjects);
    group
        .op(
            "list_project_invitations",
            Get,
            "/projects/{project_id}/invitations",
            "Invitations into a project",
            invitations::list::<ProjectPath>,
        )
        .describe("Oldest first.")
        .permission("create_modify_member");
    group
        .op(
            "create_project_invitations",
            Post,
            "/projects/{project_id}/invitations",
            "Invite people into a project",
            invitations::create::<ProjectPath, NewProjectInvitations>,
        )
        .describe(
            "Up to 50 at once, each by address or by handle. Who is in already is counted and skipped; an invitation that is there already is opened \
             again with the new role. Each gets a mail with a link that works once and for four days, but at most one mail in ten minutes and ten in all. \
             Who may not be mailed for now, by the limits of mails to people who are not members, is not invited and named under `refused`; \
             when that is everybody, it is 429. You can give only permissions that you hold yourself, and only owners invite owners. An invitation ends with your right to send it. Who accepts becomes a member of the workspace, too.",
        )
        .permission("create_modify_member");
    group
        .op(
            "get_project_invitation",
            Get,
            "/projects/{project_id}/invitations/{invitation_id}",
            "An invitation into a project",
            invitations::get::<ProjectInvitationPath>,
        )
        .permission("create_modify_member");
    group
        .op(
            "update_project_invitation",
            Patch,
            "/projects/{project_id}/invitations/{invitation_id}",
            "Change the role an invitation gives",
            invitations::update::<ProjectInvitationPath, ProjectInvitationPatch>,
        )
        .describe("Only while it is pending. You can give only permissions that you hold yourself, and only owners invite owners. From then on the invitation is yours, as if you had sent it.")
        .conflicts(&["invitation-not-pending"])
        .permission("create_modify_member");
    group
        .op(
            "resend_project_invitation",
            Post,
            "/projects/{project_id}/invitations/{invitation_id}/resend",
            "Mail an invitation again",
            invitations::resend::<ProjectInvitationPath>,
        )
        .describe("The new mail has a new link; the old one opens nothing any more. At most one mail in ten minutes and ten in all.")
        .conflicts(&["invitation-not-pending", "mailed-recently", "too-many-mails"])
        .permission("create_modify_member");
    group
        .op(
            "revoke_project_invitation",
            Delete,
            "/projects/{project_id}/invitations/{invitation_id}",
            "Take an invitation back",
            invitations::revoke::<ProjectInvitationPath>,
        )
        .conflicts(&["invitation-not-pending"])
        .permission("create_modify_member");
}

#[derive(Debug, Deserialize, IntoParams)]
struct ProjectInvitationPath {
    /// The project.
    project_id: Uuid,
    /// The invitation.
    invitation_id: Uuid,
}

/// People to invite into a project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProjectInvitations)]
struct NewProjectInvitations {
    /// Who, 1 to 50.
    #[schema(min_items = 1, max_items = 50)]
    invitations: Vec<NewProjectInvitation>,
}

/// Somebody to invite into a project, by `email` or by `username`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProjectInvitation)]
struct NewProjectInvitation {
    /// Address.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 254, example = "charles@example.org")]
    email: Option<Email>,
    /// Handle.
    #[serde(default, deserialize_with = "Username::deserialize_sought")]
    #[schema(value_type = Option<String>, max_length = 50)]
    username: Option<Username>,
    /// As what.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0d01")]
    role_id: Uuid,
}

/// Another role for an invitation into a project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProjectInvitationPatch)]
struct ProjectInvitationPatch {
    /// As what.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0d01")]
    role_id: Uuid,
    /// The version you have seen, when there is no `If-Match`.
    #[serde(default)]
    #[schema(value_type = i64)]
    version: Given<i64>,
}

impl PlacePath for ProjectPath {
    fn place(&self) -> Place {
        Place::Project(self.project_id.into())
    }
}

impl InvitationPath for ProjectInvitationPath {
    fn invitation(&self) -> (Place, InvitationId) {
        (Place::Project(self.project_id.into()), self.invitation_id.into())
    }
}

impl InvitationsBody for NewProjectInvitations {
    fn wishes(self) -> Result<Vec<NewInvitation>> {
        let wishes = self.invitations.into_iter().enumerate();
        wishes
            .map(|(n, i)| invitation(n, i.email, i.username, GivenRole::Project(i.role_id.into())))
            .collect()
    }
}

impl RoleBody for ProjectInvitationPatch {
    fn version(&self) -> Option<i64> {
        self.version.into_option()
    }
    fn role(&self) -> GivenRole {
        GivenRole::Project(self.role_id.into())
    }
}
