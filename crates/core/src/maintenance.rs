//! Maintenance: a time in which an administrator works on the installation and nobody else does.

use crate::{Time, text::text_type};

text_type! {
    /// What people are told during maintenance, on one line.
    Message: line(1, 500);
}

/// What is known of a maintenance that is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// When it began.
    pub since: Time,
    /// What people are told.
    pub message: Option<Message>,
    /// When it will probably be over. It ends when somebody ends it, not by this.
    pub until: Option<Time>,
}
