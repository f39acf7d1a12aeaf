//! Who asks: the credential of a request, before and after it was looked up.

use crate::{
    ids::{SessionId, TokenId, UserId},
    secrets::TokenHash,
    tokens::Scope,
    users::Lang,
};

/// What a request presented. It is genuine (signature or shape), but not yet looked up: every
/// use-case does that in the statement that also loads permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A signed access token of a session.
    Session {
        /// Claim `sub`.
        user: UserId,
        /// Claim `sid`.
        session: SessionId,
    },
    /// A personal access token.
    Token(TokenHash),
}

/// A request's credential and what it is about to do.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What was presented.
    pub credential: Credential,
    /// The scope a token needs for this operation.
    pub needs: Scope,
    /// The request, in logs, jobs, mails and events.
    pub correlation_id: String,
}

/// A person whose credential was looked up and found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Id.
    pub id: UserId,
    /// Handle.
    pub username: String,
    /// Name.
    pub full_name: String,
    /// Shade.
    pub color: i16,
    /// Language.
    pub lang: Lang,
    /// May administer the instance.
    pub is_admin: bool,
    /// The session, when the credential is one.
    pub session: Option<SessionId>,
    /// The token, when the credential is one.
    pub token: Option<TokenId>,
}

impl Person {
    /// What others see.
    pub fn as_ref(&self) -> crate::users::PersonRef {
        crate::users::PersonRef {
            id: self.id,
            username: self.username.clone(),
            full_name: self.full_name.clone(),
            color: self.color,
        }
    }
}
