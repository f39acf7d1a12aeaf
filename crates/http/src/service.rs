//! The whole HTTP face, put together.

use std::sync::Arc;

use salvo::{Router, Service};
use serde_json::Value;
use tenon_app::App;

use crate::{
    api,
    endpoint::{Api, Built, Operation},
    frame::{Frame, Settings},
    hoops,
    live::Hub,
    openapi::{self, About},
    pages,
    readiness::Check,
    serve::ParseErrors,
};

/// A service and what is known of it.
pub struct Assembled {
    /// Serves.
    pub service: Service,
    /// The OpenAPI 3.1 document.
    pub document: Arc<Value>,
    /// Every operation, in the order of the table.
    pub operations: Vec<Arc<Operation>>,
    /// How requests that cannot be read are refused.
    pub parse_errors: ParseErrors,
}

/// Tenon's HTTP face, its live side included.
pub fn service(app: &Arc<App>, hub: &Arc<Hub>, settings: Settings, checks: Vec<Check>) -> Assembled {
    let frame = Frame::around(app, settings).with(Arc::clone(hub)).asking(checks);
    assemble(api::table(), frame)
}

/// The document of Tenon's API, without an application.
pub fn document() -> Value {
    api::table().build(&About::default()).document
}

/// Puts a frame around a table of operations.
pub fn assemble(api: Api, frame: Frame) -> Assembled {
    let Built { router, document, operations } = api.build(&About::default());
    let older = openapi::downgrade(&document);
    let router = Router::new()
        .push(router.push(pages::documents(&document, &older)))
        .push(pages::routes(&frame.instance));
    let parse_errors = ParseErrors::new(&frame.instance.public_url, Arc::clone(&frame.randomness));
    let service = hoops::surround(Service::new(router), &Arc::new(frame), &operations);
    Assembled { service, document: Arc::new(document), operations, parse_errors }
}
