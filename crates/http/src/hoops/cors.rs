//! Pages of other sites may call only when their origin stands in the list, exactly.

use std::sync::Arc;

use salvo::{
    Depot, FlowCtrl, Handler, Request, Response,
    http::{HeaderValue, Method, StatusCode, header},
};

use crate::frame::Frame;

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const ASKED: &str = "authorization, content-type, content-disposition, if-match, if-none-match, range, \
                     idempotency-key, x-csrf-token, x-correlation-id, traceparent";
const EXPOSED: &str = "etag, location, retry-after, content-disposition, content-range, ratelimit, \
                       ratelimit-policy, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, \
                       x-correlation-id, idempotent-replayed";

pub(super) struct Cors {
    frame: Arc<Frame>,
}

impl Cors {
    pub(super) fn new(frame: Arc<Frame>) -> Self {
        Self { frame }
    }
}

#[salvo::async_trait]
impl Handler for Cors {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
        let origin = req.headers().get(header::ORIGIN).cloned();
        let known = origin.filter(|origin| origin.to_str().is_ok_and(|text| self.frame.knows_origin(text)));
        let is_preflight = *req.method() == Method::OPTIONS
            && req.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if known.is_some() && is_preflight {
            let headers = res.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ASKED));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
            res.status_code(StatusCode::NO_CONTENT);
            ctrl.skip_rest();
        } else {
            ctrl.call_next(req, depot, res).await;
        }
        if !self.frame.settings.cors_origins.is_empty() {
            res.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = known {
            let headers = res.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
            // The site may read what it was allowed to ask for.
            headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
        }
    }
}
