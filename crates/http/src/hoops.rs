//! What surrounds every request, also those that no route matches.
//!
//! From the outside in: the request gets its name, is observed, its answer gets security and CORS
//! headers, whatever broke becomes a problem, heads that cannot stand are refused, budgets are drawn from, maintenance keeps people out, the
//! answer is compressed, and the endpoint has only so long, and runs once for all retries of a request.

mod closed;
mod compress;
mod correlate;
mod cors;
mod deadline;
mod finish;
mod limit;
mod observe;
mod replay;
mod request_head;
mod shield;

use std::{collections::HashMap, sync::Arc};

use salvo::{Request, Service};

pub(crate) use self::{
    correlate::{HEADER as CORRELATION_HEADER, made as new_correlation_id},
    shield::security_headers,
};
use crate::{
    endpoint::{Method, Operation, PREFIX},
    frame::Frame,
};

/// Puts the hoops around a service.
pub(crate) fn surround(service: Service, frame: &Arc<Frame>, operations: &[Arc<Operation>]) -> Service {
    let settings = &frame.settings;
    let service = service
        .hoop(correlate::Correlate::new(Arc::clone(frame), Routes::new(operations)))
        .hoop(observe::Observe)
        .hoop(shield::Shield::new(&frame.instance.public_url))
        .hoop(cors::Cors::new(Arc::clone(frame)))
        .hoop(finish::Finish)
        .hoop(request_head::RequestHead)
        .hoop(limit::Limit::new(Arc::clone(frame)))
        .hoop(closed::Closed::new(Arc::clone(frame)));
    let service = if settings.compression { service.hoop(compress::Compress::new()) } else { service };
    service.hoop(deadline::Deadline::new(settings.request_timeout)).hoop(replay::Replay)
}

/// Operations by the route that salvo matched.
struct Routes(HashMap<String, Vec<Arc<Operation>>>);

impl Routes {
    fn new(operations: &[Arc<Operation>]) -> Self {
        let mut routes: HashMap<_, Vec<_>> = HashMap::new();
        for operation in operations {
            let path = format!("{PREFIX}{}", operation.path);
            routes.entry(path.trim_matches('/').to_owned()).or_default().push(Arc::clone(operation));
        }
        Self(routes)
    }

    fn find(&self, req: &Request) -> Option<&Arc<Operation>> {
        let method = match req.method().as_str() {
            "HEAD" => Method::Get.as_str(),
            other => other,
        };
        let of_path = self.0.get(req.matched_path().trim_matches('/'))?;
        of_path.iter().find(|operation| operation.method.as_str() == method)
    }
}

/// The template of the route that matched; one fixed word for all that matched none.
#[derive(Debug, Clone)]
struct Route(Arc<str>);

impl Route {
    const UNMATCHED: &'static str = "(unmatched)";
}
