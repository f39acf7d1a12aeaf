//! Proof that a change by cookie comes from our own page.
//!
//! A page of another site can make a browser send the cookie, but cannot read this token. It is bound to
//! the session, so one stolen elsewhere is of no use, and nothing needs to be stored.

use salvo::{
    Request,
    http::{HeaderName, Method, StatusCode},
};
use tenon_core::callers::Credential;

use crate::{endpoint::header_text, frame::Verifier, problem::Problem};

/// The header that carries the token.
pub const HEADER: &str = "x-csrf-token";

/// Refuses a change whose token is not that of its session. Reading needs none.
pub(crate) fn check(verifier: &dyn Verifier, credential: &Credential, req: &Request) -> Result<(), Problem> {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(req.method()) {
        return Ok(());
    }
    let Credential::Session { session, .. } = credential else { return Ok(()) };
    let given = header_text(req, &HeaderName::from_static(HEADER)).unwrap_or_default();
    if verifier.csrf_matches(*session, given) {
        Ok(())
    } else {
        let detail = "Changes by cookie need the X-CSRF-Token of the session.";
        Err(Problem::new(StatusCode::FORBIDDEN, "csrf", detail))
    }
}
