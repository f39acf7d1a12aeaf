//! Pages for people: the start page, which is also where mailed links lead, and the reference of the API.
//!
//! The reference is rendered in the browser from the document itself, by a script of ours: nothing comes
//! from another host, and the page works under a policy that allows nothing inline.

use bytes::Bytes;
use salvo::{
    Depot, FlowCtrl, Handler, Request, Response, Router,
    http::{HeaderValue, Method, StatusCode, header},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::frame::Instance;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The start page, the reference and what they are made of.
pub(crate) fn routes(instance: &Instance) -> Router {
    let name = escape(&instance.name);
    let start = include_str!("pages/start.html")
        .replace("{{name}}", &name)
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{url}}", &escape(&instance.public_url));
    let reference = include_str!("pages/reference.html").replace("{{name}}", &name);
    let asset = |text: &'static str, media_type| Asset::new(text.as_bytes(), media_type);
    Router::new()
        .push(fixed("", Asset::new(start.as_bytes(), "text/html; charset=utf-8")))
        .push(fixed("api/docs", Asset::new(reference.as_bytes(), "text/html; charset=utf-8")))
        .push(fixed(
            "api/docs/reference.js",
            asset(include_str!("pages/reference.js"), "text/javascript; charset=utf-8"),
        ))
        .push(fixed("api/docs/pages.css", asset(include_str!("pages/pages.css"), "text/css; charset=utf-8")))
        .push(fixed("links.js", asset(include_str!("pages/links.js"), "text/javascript; charset=utf-8")))
        // Browsers ask for this one unbidden.
        .push(fixed("favicon.ico", asset(include_str!("pages/favicon.svg"), "image/svg+xml")))
        .push(fixed("favicon.svg", asset(include_str!("pages/favicon.svg"), "image/svg+xml")))
}

/// The documents, below the prefix of the API.
pub(crate) fn documents(current: &Value, older: &Value) -> Router {
    let asset = |document: &Value| Asset::new(document.to_string().as_bytes(), "application/json");
    Router::new().push(fixed("openapi.json", asset(current))).push(fixed("openapi-3.0.json", asset(older)))
}

fn fixed(path: &str, asset: Asset) -> Router {
    let router = if path.is_empty() { Router::new() } else { Router::with_path(path) };
    router.get(asset.clone()).head(asset)
}

/// Bytes that change only with the program.
#[derive(Clone)]
struct Asset {
    bytes: Bytes,
    media_type: HeaderValue,
    tag: HeaderValue,
}

impl Asset {
    fn new(bytes: &[u8], media_type: &'static str) -> Self {
        let hash = Sha256::digest(bytes);
        let hash = u64::from_be_bytes(hash[..8].try_into().expect("eight bytes are eight bytes"));
        Self {
            bytes: Bytes::copy_from_slice(bytes),
            media_type: HeaderValue::from_static(media_type),
            tag: HeaderValue::from_str(&format!("\"{hash:016x}\"")).expect("hexadecimal digits in quotes"),
        }
    }
}

#[salvo::async_trait]
impl Handler for Asset {
    async fn handle(&self, req: &mut Request, _: &mut Depot, res: &mut Response, _: &mut FlowCtrl) {
        let headers = res.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::ETAG, self.tag.clone());
        let tag = self.tag.to_str().unwrap_or_default().trim_matches('"');
        let seen = req.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        if *req.method() == Method::GET && seen.is_some_and(|seen| seen.contains(tag)) {
            res.status_code(StatusCode::NOT_MODIFIED);
            return;
        }
        res.headers_mut().insert(header::CONTENT_TYPE, self.media_type.clone());
        res.status_code(StatusCode::OK);
        res.body(self.bytes.clone());
    }
}

/// Whether somebody looks at this with a browser, outside the API: they are told in a page what programs are told in JSON.
pub(crate) fn is_looked_at(req: &Request) -> bool {
    let accepts = req.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_html = accepts.split(',').any(|one| one.trim().split(';').next() == Some("text/html"));
    let path = req.uri().path();
    is_html && path != "/api" && (!path.starts_with("/api/") || path.starts_with("/api/docs"))
}

/// The page of an address at which there is nothing.
pub(crate) fn nothing_here(instance: &Instance, res: &mut Response) {
    let page = include_str!("pages/nothing.html").replace("{{name}}", &escape(&instance.name));
    let headers = res.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    res.status_code(StatusCode::NOT_FOUND);
    res.body(page);
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
