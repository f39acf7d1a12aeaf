//! Security headers on every answer. What an endpoint or a page has set itself stays.

use salvo::{
    Depot, FlowCtrl, Handler, Request, Response,
    http::{HeaderName, HeaderValue, header},
};

pub(super) struct Shield {
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What every response has that an instance at `public_url` gives.
pub(crate) fn security_headers(public_url: &str) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = vec![
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        ),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
        (
            HeaderName::from_static("permissions-policy"),
            HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    if public_url.starts_with("https:") {
        let two_years = HeaderValue::from_static("max-age=63072000");
        headers.push((header::STRICT_TRANSPORT_SECURITY, two_years));
    }
    headers
}

impl Shield {
    pub(super) fn new(public_url: &str) -> Self {
        Self { headers: security_headers(public_url) }
    }
}

#[salvo::async_trait]
impl Handler for Shield {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
        ctrl.call_next(req, depot, res).await;
        for (name, value) in &self.headers {
            if !res.headers().contains_key(name) {
                res.headers_mut().insert(name.clone(), value.clone());
            }
        }
    }
}
