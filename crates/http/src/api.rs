//! The table of operations, group by group.

mod attachments;
mod auth;
mod changes;
mod comments;
mod cookies;
mod events;
mod invitations;
mod jobs;
mod me;
mod my_invitations;
mod ownership;
mod permissions;
mod project_invitations;
mod project_members;
mod project_roles;
mod projects;
mod sessions;
mod statuses;
mod stories;
pub mod system;
mod tokens;
mod users;
mod workflows;
mod workspace_invitations;
mod workspace_members;
mod workspaces;

pub(crate) use self::{
    attachments::AttachmentView, comments::CommentView, jobs::QueueView, stories::StoryView,
};
use crate::endpoint::Api;

/// Every operation of the API.
pub fn table() -> Api {
    let mut api = Api::new();
    auth::mount(&mut api);
    me::mount(&mut api);
    sessions::mount(&mut api);
    tokens::mount(&mut api);
    users::mount(&mut api);
    ownership::mount(&mut api);
    jobs::mount(&mut api);
    workspaces::mount(&mut api);
    workspace_members::mount(&mut api);
    workspace_invitations::mount(&mut api);
    projects::mount(&mut api);
    project_roles::mount(&mut api);
    project_members::mount(&mut api);
    project_invitations::mount(&mut api);
    my_invitations::mount(&mut api);
    workflows::mount(&mut api);
    statuses::mount(&mut api);
    stories::mount(&mut api);
    comments::mount(&mut api);
    attachments::mount(&mut api);
    changes::mount(&mut api);
    events::mount(&mut api);
    system::mount(&mut api);
    system::mount_config(&mut api);
    api
}
