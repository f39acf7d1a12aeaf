//! What a request presents, made into a [`Caller`].

use tenon_core::{
    Error, Result,
    callers::{Caller, Credential},
    ids::SessionId,
    tokens::{Scope, TOKEN_PREFIX},
};

use crate::{App, crypto};

/// Checks the signature of an access token, or the shape of a personal access token. Whether it still
/// opens anything is looked up by the use-case.
pub fn verify(app: &App, bearer: &str, needs: Scope, correlation_id: &str) -> Result<Caller> {
    let credential = if bearer.starts_with(TOKEN_PREFIX) {
        Credential::Token(crypto::hash_token(bearer))
    } else {
        app.keys.verify_access(bearer, app.now()).ok_or(Error::Unauthenticated)?
    };
    Ok(Caller { credential, needs, correlation_id: correlation_id.to_owned() })
}

/// The value of the CSRF header that goes with a session's cookies.
pub fn csrf_token(app: &App, session: SessionId) -> String {
    app.keys.derive("csrf", &[session.uuid().as_bytes()])
}

/// Whether `value` is the CSRF header of a session.
pub fn csrf_matches(app: &App, session: SessionId, value: &str) -> bool {
    app.keys.derived("csrf", &[session.uuid().as_bytes()], value)
}
