//! Proof that a change by cookie comes from our own page.
//!
//! A page of another site can make a browser send the cookie, but cannot read this token. It is bound to
//! the session, so one stolen elsewhere is of no use, and nothing needs to be stored.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use salvo::{
    Request,
    http::{HeaderName, Method, StatusCode},
};
use sha2::Sha256;
use tenon_core::{callers::Credential, ids::SessionId, secrets::Secret};

use crate::{endpoint::header_text, problem::Problem};

/// The header that carries the token.
pub const HEADER: &str = "x-csrf-token";

/// The token of a session: handed out at sign-in, sent back with every change.
pub fn token(key: &Secret<Vec<u8>>, session: SessionId) -> String {
    URL_SAFE_NO_PAD.encode(mac(key, session).finalize().into_bytes())
}

/// Refuses a change whose token is not that of its session. Reading needs none.
pub(crate) fn check(key: &Secret<Vec<u8>>, credential: &Credential, req: &Request) -> Result<(), Problem> {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(req.method()) {
        return Ok(());
    }
    let Credential::Session { session, .. } = credential else { return Ok(()) };
    let given = header_text(req, &HeaderName::from_static(HEADER)).unwrap_or_default();
    let given = URL_SAFE_NO_PAD.decode(given).unwrap_or_default();
    mac(key, *session).verify_slice(&given).map_err(|_| {
        let detail = "Changes by cookie need the X-CSRF-Token of the session.";
        Problem::new(StatusCode::FORBIDDEN, "csrf", detail)
    })
}

fn mac(key: &Secret<Vec<u8>>, session: SessionId) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("HMAC takes keys of any length");
    mac.update(b"csrf:");
    mac.update(session.uuid().as_bytes());
    mac
}
