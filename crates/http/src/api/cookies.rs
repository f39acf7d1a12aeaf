//! The cookies of a browser's session.
//!
//! The refresh token's goes only to the operations that exchange it. The one for `X-CSRF-Token` can be read by our own
//! pages, which is its purpose; the others cannot be read by any script.

use salvo::{
    Depot, Request, Response,
    http::{
        HeaderValue, StatusCode,
        cookie::{Cookie, SameSite, time::Duration},
        header,
    },
};
use tenon_app::App;
use tenon_core::{secrets::Secret, sessions::TokenPair};

use super::auth::{Delivery, TokensView};
use crate::{
    endpoint::{Input, OpDoc, Output, PREFIX, Plain},
    frame::{ACCESS_COOKIE, Frame, cookie_name, is_plain},
    problem::Problem,
};

/// The cookie that carries a browser's refresh token.
const REFRESH_COOKIE: &str = "__Secure-tenon_refresh";
/// The cookie from which our pages take the value of `X-CSRF-Token`.
const CSRF_COOKIE: &str = "__Host-tenon_csrf";

/// The refresh token in the browser's cookie.
pub(super) struct RefreshCookie(pub(super) Option<Secret>);

impl Input for RefreshCookie {
    async fn extract(req: &mut Request, depot: &mut Depot) -> Result<Self, Problem> {
        let name = cookie_name(REFRESH_COOKIE, &Frame::of(depot)?.instance.public_url);
        let cookie = req.cookie(name).map(|cookie| cookie.value().to_owned());
        Ok(Self(cookie.filter(|value| !value.is_empty()).map(Secret::new)))
    }
    fn describe(_: &mut OpDoc) {}
}

/// 200 with a session and its tokens, in the body or as cookies.
pub(super) struct SignedIn {
    view: TokensView,
    cookies: Vec<Cookie<'static>>,
}

impl SignedIn {
    pub(super) fn new(app: &App, pair: &TokenPair, delivery: Delivery) -> Self {
        let view = TokensView::of(pair, delivery);
        let cookies = if delivery == Delivery::Body {
            vec![]
        } else {
            let now = app.now();
            let until = |at: tenon_core::Time| Duration::seconds((at - now).num_seconds());
            let access = cookie(app, Which::Access, pair.access_token.expose().clone());
            let refresh = cookie(app, Which::Refresh, pair.refresh_token.expose().clone());
            let csrf = cookie(app, Which::Csrf, pair.csrf_token.expose().clone());
            [
                (access, pair.access_expires_at),
                (refresh, pair.refresh_expires_at),
                (csrf, pair.refresh_expires_at),
            ]
            .into_iter()
            .map(|(mut cookie, at)| {
                cookie.set_max_age(until(at));
                cookie
            })
            .collect()
        };
        Self { view, cookies }
    }
}

impl Output for SignedIn {
    fn describe(doc: &mut OpDoc) {
        // `Set-Cookie` comes with one delivery and not with the other, so no header is promised.
        doc.success::<TokensView>(StatusCode::OK, "Signed in.", &[]);
    }
    async fn write(self, req: &mut Request, res: &mut Response) -> Result<(), Problem> {
        Plain(self.view).write(req, res).await?;
        append(res, &self.cookies)
    }
}

/// 204, and the browser forgets its session.
pub(super) struct SignedOut(Vec<Cookie<'static>>);

impl SignedOut {
    pub(super) fn new(app: &App) -> Self {
        let gone = |which| {
            let mut cookie = cookie(app, which, String::new());
            cookie.set_max_age(Duration::ZERO);
            cookie
        };
        Self([Which::Access, Which::Refresh, Which::Csrf].map(gone).into())
    }
}

impl Output for SignedOut {
    fn describe(doc: &mut OpDoc) {
        doc.empty(StatusCode::NO_CONTENT, "Done.", &[("Set-Cookie", "Clears the session's cookies.")]);
    }
    async fn write(self, _: &mut Request, res: &mut Response) -> Result<(), Problem> {
        res.status_code(StatusCode::NO_CONTENT);
        append(res, &self.0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Access,
    Refresh,
    Csrf,
}

/// `Secure` unless people reach the instance without TLS, as on one's own machine.
fn cookie(app: &App, which: Which, value: String) -> Cookie<'static> {
    let (name, path) = match which {
        Which::Access => (ACCESS_COOKIE, "/".to_owned()),
        Which::Refresh => (REFRESH_COOKIE, format!("{PREFIX}/auth")),
        Which::Csrf => (CSRF_COOKIE, "/".to_owned()),
    };
    let public_url = &app.settings.public_url;
    Cookie::build((cookie_name(name, public_url), value))
        .path(path)
        .http_only(which != Which::Csrf)
        .secure(!is_plain(public_url))
        .same_site(SameSite::Lax)
        .build()
}

fn append(res: &mut Response, cookies: &[Cookie<'static>]) -> Result<(), Problem> {
    for cookie in cookies {
        let value = HeaderValue::from_str(&cookie.to_string()).map_err(Problem::internal)?;
        res.headers_mut().append(header::SET_COOKIE, value);
    }
    Ok(())
}
