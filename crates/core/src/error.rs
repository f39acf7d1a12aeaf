//! What can go wrong in a use-case, in words a caller can act on.

use std::time::Duration;

use serde::Serialize;

/// A cause that nobody above matches on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The result of every use-case and query.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One thing wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON pointer into the body (`/title`), or the name of a parameter.
    pub pointer: String,
    /// Stable kebab-case word, for programs.
    pub code: String,
    /// A sentence, for people.
    pub detail: String,
}

/// Everything a use-case can answer instead of a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Absent, or not the caller's to see: the two are never told apart.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// There is nothing of that name, and the sentence names what there is: only for those who may know.
    #[error("{0}")]
    UnknownName(String),
    /// No credential, or one that is expired, revoked or unknown.
    #[error("not authenticated")]
    Unauthenticated,
    /// The credential is good, but its account is not active; told to its holder only.
    #[error("{detail}")]
    Inactive {
        /// Stable kebab-case word.
        code: &'static str,
        /// A sentence, for people.
        detail: &'static str,
    },
    /// The caller sees the thing but lacks the named permission or scope.
    #[error("not allowed to {0}")]
    Forbidden(&'static str),
    /// A rule of the domain refuses.
    #[error("{detail}")]
    Conflict {
        /// Stable kebab-case word.
        code: &'static str,
        /// A sentence, for people.
        detail: String,
    },
    /// The request is well-formed but says something impossible.
    #[error("the request is not valid")]
    Invalid(Vec<FieldError>),
    /// The caller's version is older than what its change touches.
    #[error("the {what} has changed since version {expected}; it is at version {current}")]
    Stale {
        /// The kind of thing.
        what: &'static str,
        /// The version the caller had.
        expected: i64,
        /// The version there is.
        current: i64,
        /// The thing as it is now, in the shape of the change log.
        representation: Option<serde_json::Value>,
    },
    /// Over the budget; nothing was done.
    #[error("too many requests")]
    RateLimited {
        /// When to come back.
        retry_after: Duration,
    },
    /// Over a limit that can be named; nothing was done.
    #[error("{detail}")]
    LimitReached {
        /// Stable kebab-case word.
        code: &'static str,
        /// A sentence that says which limit, for people.
        detail: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// More bytes than allowed.
    #[error("larger than the {limit} bytes allowed")]
    TooLarge {
        /// The most that is accepted, in bytes.
        limit: u64,
    },
    /// A component the use-case needs is away for now.
    #[error("{component} is not available")]
    Unavailable {
        /// `database`, `storage`, `bus`, …
        component: &'static str,
        /// The cause, for the log only.
        #[source]
        source: BoxError,
    },
    /// A defect or an unexpected failure; its cause goes to the log and to nobody else.
    #[error("internal error")]
    Internal(#[source] BoxError),
}

impl Error {
    /// A refusal by a rule of the domain.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into() }
    }

    /// One invalid field.
    pub fn invalid(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError {
            pointer: pointer.into(),
            code: code.to_owned(),
            detail: detail.into(),
        }])
    }

    /// An unexpected failure.
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::Internal(source.into())
    }
}
