//! Job handlers.

pub mod link_invitations;
