//! Signing up, and the links that prove an address.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    emails::Email,
    secrets::NewPassword,
    users::{FullName, Lang, Timezone, Username},
};

/// A wish to sign up.
#[derive(Debug, Clone)]
pub struct SignUp {
    /// Address; a verification mail goes there.
    pub email: Email,
    /// Handle; made from the address when absent.
    pub username: Option<Username>,
    /// Name.
    pub full_name: FullName,
    /// Password.
    pub password: NewPassword,
    /// Language of mails.
    pub lang: Lang,
    /// Time zone.
    pub timezone: Timezone,
    /// Terms of use accepted.
    pub accept_terms: bool,
    /// Privacy policy accepted.
    pub accept_privacy: bool,
}

/// What a mailed single-use link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkPurpose {
    /// Verifies the address given at sign-up.
    VerifyEmail,
    /// Sets a new password.
    ResetPassword,
    /// Consents, at the old address, to a change of address.
    ChangeEmailOld,
    /// Consents, at the new address, to a change of address.
    ChangeEmailNew,
    /// Makes the first administrator of the instance.
    ClaimInstance,
}

impl LinkPurpose {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
            Self::ChangeEmailOld => "change_email_old",
            Self::ChangeEmailNew => "change_email_new",
            Self::ClaimInstance => "claim_instance",
        }
    }
    /// How long the link opens something.
    pub const fn ttl(self) -> chrono::Duration {
        match self {
            Self::VerifyEmail | Self::ChangeEmailOld | Self::ChangeEmailNew => chrono::Duration::hours(48),
            Self::ResetPassword => chrono::Duration::hours(2),
            Self::ClaimInstance => chrono::Duration::days(30),
        }
    }
}

/// Who may sign up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Anybody.
    Open,
    /// Only addresses with a pending invitation.
    Invite,
    /// Nobody; administrators make accounts.
    Closed,
}

/// A wish to be the first administrator of an instance.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Address.
    pub email: Email,
    /// Handle; made from the address when absent.
    pub username: Option<Username>,
    /// Name.
    pub full_name: FullName,
    /// Password.
    pub password: NewPassword,
    /// Language.
    pub lang: Lang,
    /// Time zone.
    pub timezone: Timezone,
}

/// A workspace or project that the end of an account touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belonging {
    /// Id.
    pub id: uuid::Uuid,
    /// A project; a workspace otherwise.
    pub is_project: bool,
    /// Its name.
    pub name: String,
}

/// What deleting an account would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeleteInfo {
    /// Stand in the way: others use them, and nobody else owns them.
    pub blockers: Vec<Belonging>,
    /// Would go to the trash: nobody else is in them.
    pub destroyed: Vec<Belonging>,
    /// Would be left.
    pub left: Vec<Belonging>,
}
