//! What connecting adapters share: the error, and settings that arrive as text.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, de::Error as _};
use tenon_core::BoxError;

/// A configured component cannot be used; the message is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    message: String,
    #[source]
    source: Option<BoxError>,
}

impl ConnectError {
    /// A refusal of the configuration itself.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }
    /// A refusal with the cause behind it.
    pub(crate) fn caused(message: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self { message: message.into(), source: Some(source.into()) }
    }
}

/// Refuses a path of no characters, which would be the directory that the process happens to be in.
pub(crate) fn refuse_empty(key: &str, path: &std::path::Path) -> Result<(), ConnectError> {
    if path.as_os_str().is_empty() {
        return Err(ConnectError::new(format!("{key} must not be empty.")));
    }
    Ok(())
}

/// Installs the process's TLS provider, once; clients built without one of their own look it up.
pub(crate) fn install_tls_provider() {
    // An error only says that somebody was here before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Deserialises a value that may arrive as text: environment variables always do, and a tagged
/// enumeration does not convert them on demand.
pub(crate) fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + FromStr<Err: std::fmt::Display>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        Typed(T),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Typed(value) => Ok(value),
        Either::Text(text) => text.trim().parse().map_err(D::Error::custom),
    }
}
