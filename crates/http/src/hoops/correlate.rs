//! The request's name: taken from the client where it gives a decent one, else made; echoed always.

use std::sync::Arc;

use salvo::{
    Depot, FlowCtrl, Handler, Request, Response,
    http::{HeaderName, HeaderValue},
};
use tenon_core::ports::randomness::Randomness;
use tracing::Instrument;

use super::{Route, Routes};
use crate::{endpoint::Correlation, frame::Frame};

/// The header of the request's name, in both directions.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

pub(super) struct Correlate {
    frame: Arc<Frame>,
    routes: Routes,
}

impl Correlate {
    pub(super) fn new(frame: Arc<Frame>, routes: Routes) -> Self {
        Self { frame, routes }
    }
}

#[salvo::async_trait]
impl Handler for Correlate {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
        let name = given(req).unwrap_or_else(|| made(&*self.frame.randomness));
        // Salvo sets the status before the hoops run when no route matches, and only then.
        let route = if res.status_code.is_some() {
            Route(Arc::from(Route::UNMATCHED))
        } else {
            Route(Arc::from(format!("/{}", req.matched_path().trim_matches('/'))))
        };
        if let Some(operation) = self.routes.find(req) {
            depot.insert_typed(Arc::clone(operation));
        }
        depot.insert_typed(route);
        depot.insert_typed(Correlation(Arc::from(name.as_str())));
        depot.insert_typed(Arc::clone(&self.frame));
        for provide in &self.frame.provide {
            provide(depot);
        }
        let span = tracing::info_span!("request", correlation_id = %name);
        ctrl.call_next(req, depot, res).instrument(span).await;
        if let Ok(value) = HeaderValue::from_str(&name) {
            res.headers_mut().insert(HEADER, value);
        }
    }
}

/// `X-Correlation-ID`, or the trace of `traceparent`.
fn given(req: &Request) -> Option<String> {
    let text = |name: &str| req.headers().get(name).and_then(|value| value.to_str().ok());
    let decent = |name: &&str| {
        (1..=128).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    if let Some(name) = text("x-correlation-id").filter(decent) {
        return Some(name.to_owned());
    }
    let trace = text("traceparent")?.split('-').nth(1)?;
    let real =
        trace.len() == 32 && trace.bytes().all(|b| b.is_ascii_hexdigit()) && trace.bytes().any(|b| b != b'0');
    real.then(|| trace.to_ascii_lowercase())
}

/// A name for a request that brought none.
pub(crate) fn made(randomness: &dyn Randomness) -> String {
    let mut bytes = [0; 16];
    randomness.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
