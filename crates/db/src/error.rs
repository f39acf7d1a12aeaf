//! What the database can answer instead of rows.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// The result of a query function.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Postgres refused or is away.
    #[error("the database refused a statement")]
    Query(#[from] DieselError),
    /// No connection could be had in time.
    #[error("no database connection could be had")]
    Pool(#[source] tenon_core::BoxError),
    /// A stored value is none of ours.
    #[error("the database holds a value that is not valid: {0}")]
    Corrupt(#[from] tenon_core::text::TextError),
}

impl Error {
    /// The name of the unique constraint that was violated, if that is what happened.
    pub fn unique_violation(&self) -> Option<&str> {
        match self {
            Self::Query(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info)) => {
                Some(info.constraint_name().unwrap_or_default())
            }
            _ => None,
        }
    }

    /// Whether the statement was refused for a value in it, so that trying again will not help.
    pub fn is_about_values(&self) -> bool {
        use DatabaseErrorKind::{CheckViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation};
        match self {
            Self::Query(DieselError::SerializationError(_)) => true,
            Self::Query(DieselError::DatabaseError(kind, info)) => {
                // The driver keeps no SQLSTATE; these are the words of its class 22.
                let words = [
                    "invalid byte sequence",
                    "invalid input syntax",
                    "unsupported Unicode escape",
                    "out of range",
                    "value too long",
                ];
                matches!(kind, CheckViolation | ForeignKeyViolation | NotNullViolation | UniqueViolation)
                    || words.iter().any(|word| info.message().contains(word))
            }
            _ => false,
        }
    }

    /// Whether trying again on another connection may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Pool(_) | Self::Query(DieselError::BrokenTransactionManager) => true,
            Self::Query(DieselError::DatabaseError(kind, info)) => {
                let message = info.message();
                matches!(kind, DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::SerializationFailure)
                    || message.contains("connection closed")
                    || message.contains("the database system is")
                    || message.contains("terminating connection")
                    || message.contains("statement timeout")
                    || message.contains("lock timeout")
            }
            _ => false,
        }
    }
}

impl From<Error> for tenon_core::Error {
    fn from(error: Error) -> Self {
        if error.is_transient() {
            Self::Unavailable { component: "database", source: Box::new(error) }
        } else {
            Self::internal(error)
        }
    }
}
