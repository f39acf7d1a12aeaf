//! One line in the log and three metrics for every request.
//!
//! Neither has the path or the query as they came: they may carry tokens and addresses of people, and a
//! thousand of them would be a thousand series.

use std::{sync::Arc, time::Duration};

use salvo::{Depot, FlowCtrl, Handler, Request, Response};
use tokio::time::Instant;

use super::Route;
use crate::{endpoint::Operation, frame};

pub(super) struct Observe;

/// Counts a request as long as it lives, also when its client goes away.
struct InProgress;

impl InProgress {
    fn begin() -> Self {
        metrics::gauge!("http_requests_in_progress").increment(1.0);
        Self
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        metrics::gauge!("http_requests_in_progress").decrement(1.0);
    }
}

#[salvo::async_trait]
impl Handler for Observe {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
        let in_progress = InProgress::begin();
        let start = Instant::now();
        ctrl.call_next(req, depot, res).await;
        drop(in_progress);
        let method = method(req);
        let route =
            depot.get_typed::<Route>().map_or_else(|_| Arc::from(Route::UNMATCHED), |r| Arc::clone(&r.0));
        let status = res.status_code.map_or(200, |status| status.as_u16());
        let took = start.elapsed();
        record(method, &route, status, took);
        let operation = depot.get_typed::<Arc<Operation>>().map_or("-", |operation| operation.id);
        tracing::info!(
            correlation_id = %frame::correlation(depot),
            http.method = method,
            http.route = %route,
            http.operation = operation,
            http.status = status,
            http.duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "answered a request"
        );
    }
}

fn record(method: &'static str, route: &Arc<str>, status: u16, took: Duration) {
    let labels = [("method", metrics::SharedString::const_str(method)), ("route", Arc::clone(route).into())];
    metrics::histogram!("http_request_duration_seconds", &labels).record(took.as_secs_f64());
    metrics::counter!("http_requests_total", "method" => method, "route" => Arc::clone(route), "status" => status.to_string())
        .increment(1);
}

/// Anybody can invent methods; those are one label.
fn method(req: &Request) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| *known == req.method().as_str())
        .unwrap_or("OTHER")
}
