//! Logins and their token pairs.

use serde::{Deserialize, Serialize};

use crate::{
    Time,
    ids::{SessionId, UserId},
    secrets::Secret,
};

/// One login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Id.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// Sign-in.
    pub created_at: Time,
    /// Latest refresh.
    pub last_seen_at: Time,
    /// When the refresh token ends.
    pub expires_at: Time,
    /// Client as it named itself, cut to 200 characters.
    pub user_agent: String,
    /// Client address at sign-in.
    pub address: String,
}

/// What a client gets at sign-in and at refresh.
#[derive(Debug, Clone)]
pub struct TokenPair {
    /// Whose session.
    pub user_id: UserId,
    /// Which session.
    pub session_id: SessionId,
    /// Signed JWT, short-lived.
    pub access_token: Secret,
    /// When it ends.
    pub access_expires_at: Time,
    /// Opaque, single-use.
    pub refresh_token: Secret,
    /// When it ends.
    pub refresh_expires_at: Time,
    /// Value of the CSRF header that goes with the session's cookies.
    pub csrf_token: Secret,
}

/// Where a request comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// Address, by trusted proxies only.
    pub address: String,
    /// `User-Agent`.
    pub user_agent: String,
}

impl ClientInfo {
    /// What makes two sign-ins come from the same device, as far as we can tell.
    pub fn device(&self) -> &str {
        &self.user_agent
    }
}
