//! Personal access tokens and their scopes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    Time,
    ids::{TokenId, UserId},
    permissions::{Grantable, Rights},
    text::text_type,
};

/// What every personal access token begins with, so that scanners recognise a leaked one.
pub const TOKEN_PREFIX: &str = "tenon_pat_";

text_type! {
    /// What a person calls a token, 1 to 80 characters.
    TokenName: line(1, 80);
}

/// What a token may be used for. A session may do everything its person may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Read one's own profile, sessions and tokens.
    ReadAccount,
    /// Change them.
    WriteAccount,
    /// Read workspaces and their members.
    ReadWorkspaces,
    /// Change them.
    WriteWorkspaces,
    /// Read projects and everything in them.
    ReadProjects,
    /// Change them.
    WriteProjects,
    /// Administer the instance, if the person may.
    Admin,
}

impl Scope {
    /// The vocabulary.
    pub const ALL: [Self; 7] = [
        Self::ReadAccount,
        Self::WriteAccount,
        Self::ReadWorkspaces,
        Self::WriteWorkspaces,
        Self::ReadProjects,
        Self::WriteProjects,
        Self::Admin,
    ];

    /// As written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadAccount => "read-account",
            Self::WriteAccount => "write-account",
            Self::ReadWorkspaces => "read-workspaces",
            Self::WriteWorkspaces => "write-workspaces",
            Self::ReadProjects => "read-projects",
            Self::WriteProjects => "write-projects",
            Self::Admin => "admin",
        }
    }
    /// The scope of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }
    /// Whether a token with `self` may do what needs `needed`: writing includes reading.
    pub fn covers(self, needed: Self) -> bool {
        self == needed
            || matches!(
                (self, needed),
                (Self::WriteAccount, Self::ReadAccount)
                    | (Self::WriteWorkspaces, Self::ReadWorkspaces)
                    | (Self::WriteProjects, Self::ReadProjects)
            )
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// These scopes.
    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | 1 << scope as u8))
    }
    /// The scopes that a person may give to a token of theirs.
    pub fn held(is_admin: bool) -> Rights<Self> {
        let held = Scope::ALL.into_iter().filter(|scope| *scope != Scope::Admin || is_admin);
        Rights { is_owner: false, permissions: Self::of(held) }
    }
}

impl Grantable for Scopes {
    const NONE: Self = Self(0);
    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    fn first_missing(self, wanted: Self) -> Option<&'static str> {
        (wanted.without(self) != Self::NONE)
            .then_some("give a token the scope admin, as you do not administer the instance")
    }
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Id.
    pub id: TokenId,
    /// Whose.
    pub user_id: UserId,
    /// What its person calls it.
    pub name: TokenName,
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    pub created_at: Time,
    /// When it ends, if ever.
    pub expires_at: Option<Time>,
    /// Latest use, to the minute.
    pub last_used_at: Option<Time>,
}

/// A wish for a token.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What its person calls it.
    pub name: TokenName,
    /// What it may be used for; at least one.
    pub scopes: BTreeSet<Scope>,
    /// When it ends, if ever.
    pub expires_at: Option<Time>,
}
