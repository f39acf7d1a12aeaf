//! A request has only so long; then its caller hears that rather than nothing.

use std::{sync::Arc, time::Duration};

use salvo::{Depot, FlowCtrl, Handler, Request, Response, http::StatusCode};

use crate::{endpoint::Operation, frame, problem::Problem};

pub(super) struct Deadline {
    time: Duration,
}

impl Deadline {
    pub(super) fn new(time: Duration) -> Self {
        Self { time }
    }
}

#[salvo::async_trait]
impl Handler for Deadline {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
        if depot.get_typed::<Arc<Operation>>().is_ok_and(|operation| operation.streaming) {
            ctrl.call_next(req, depot, res).await;
            return;
        }
        let in_time = tokio::time::timeout(self.time, ctrl.call_next(req, depot, res)).await;
        if in_time.is_err() {
            ctrl.skip_rest();
            let detail = "The request took too long and was given up; nothing half-done was kept.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail)
                .with_retry_after(Duration::from_secs(5))
                .write(&frame::correlation(depot), res);
        }
    }
}
