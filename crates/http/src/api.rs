//! The table of operations, group by group.

mod attachments;
mod auth;
mod changes;
mod comments;
mod cookies;
mod events;
mod me;
mod sessions;
mod statuses;
mod stories;
pub mod system;
mod tokens;
mod users;
mod workflows;

pub(crate) use self::{attachments::AttachmentView, comments::CommentView, stories::StoryView};
use crate::endpoint::Api;

/// Every operation of the API.
pub fn table() -> Api {
    let mut api = Api::new();
    auth::mount(&mut api);
    me::mount(&mut api);
    sessions::mount(&mut api);
    tokens::mount(&mut api);
    users::mount(&mut api);
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
