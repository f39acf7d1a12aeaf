//! Whatever broke becomes a problem: panics, unknown routes, wrong methods, empty errors.

use std::{any::Any, panic::AssertUnwindSafe};

use futures_util::FutureExt;
use salvo::{Depot, FlowCtrl, Handler, Request, Response, http::StatusCode};
use tenon_core::BoxError;

use crate::{
    frame::{self, Frame},
    pages,
    problem::Problem,
};

pub(super) struct Finish;

#[salvo::async_trait]
impl Handler for Finish {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
        // Safe to go on with: the request is answered from scratch, and dropped.
        let outcome = AssertUnwindSafe(ctrl.call_next(req, depot, res)).catch_unwind().await;
        if let Err(panic) = outcome {
            ctrl.skip_rest();
            res.headers_mut().clear();
            let cause = BoxError::from(format!("panic: {}", words(&*panic)));
            Problem::internal(cause).write(&frame::correlation(depot), res);
            return;
        }
        let status = res.status_code.unwrap_or(StatusCode::OK);
        let is_error = status.is_client_error() || status.is_server_error();
        if status == StatusCode::NOT_FOUND
            && (res.body.is_none() || res.body.is_error())
            && pages::is_looked_at(req)
            && let Ok(frame) = Frame::of(depot)
        {
            pages::nothing_here(&frame.instance, res);
        } else if is_error && (res.body.is_none() || res.body.is_error()) {
            Problem::of_status(status).write(&frame::correlation(depot), res);
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("of no known kind")
}
