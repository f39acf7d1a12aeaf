//! The OpenAPI document.
//!
//! Assembled from what the operations say of themselves, then tidied so that generators cope. The law is
//! the 3.1 document; the 3.0 one is derived from it for generators that stop there.

mod downgrade;
mod tidy;
mod walk;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use utoipa::openapi::{
    Components, Info, OpenApi, RefOr, Schema, Tag,
    path::PathsBuilder,
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};

pub use self::downgrade::downgrade;
use crate::{
    endpoint::{OpDoc, Operation, PREFIX},
    frame::ACCESS_COOKIE,
    problem::ProblemView,
};

/// What the document says of itself.
#[derive(Debug, Clone)]
pub struct About {
    /// Title.
    pub title: String,
    /// Version of the software.
    pub version: String,
}

impl Default for About {
    fn default() -> Self {
        Self { title: "Tenon".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

const DESCRIPTION: &str = "\
The HTTP API of a Tenon instance.

**Authentication**: a session's access token or a personal access token as `Authorization: Bearer …`, or \
the browser's cookie; a change by cookie also needs `X-CSRF-Token`.

**Errors** are `application/problem+json` (RFC 9457) everywhere: programs branch on `code`, people read \
`detail`, `instance` names the request in the logs. What you may not see answers 404.

**Concurrency**: single resources have an `ETag` that begins with their version; send it as `If-None-Match` to read \
and as `If-Match` to change. A proxy that compresses may make it weak or put its coding behind it.

**Retries**: a POST takes an `Idempotency-Key`, unless its response carries a secret; then a request with one is refused.

**Lists** are pages: follow `next_cursor` until it is null.

**Budgets**: every answer carries `RateLimit` and `RateLimit-Policy`; 429 and 503 carry `Retry-After`.

**Correlation**: send `X-Correlation-ID` or `traceparent`; every answer carries `X-Correlation-ID`.";

/// Assembles the document.
///
/// # Panics
/// When two different schemas have one name, or a schema is referred to but missing.
pub(crate) fn assemble(
    about: &About,
    tags: Vec<Tag>,
    operations: Vec<(Arc<Operation>, OpDoc)>,
    extra: OpDoc,
) -> Value {
    let mut schemas = Collected::default();
    let mut problem = OpDoc::default();
    problem.schema::<ProblemView>();
    schemas.take(problem.schemas);
    schemas.take(extra.schemas);
    let mut paths = PathsBuilder::new();
    for (operation, doc) in operations {
        schemas.take(doc.schemas);
        let item = utoipa::openapi::PathItem::new(operation.method.into(), doc.operation);
        paths = paths.path(format!("{PREFIX}{}", operation.path), item);
    }
    let mut document = OpenApi::new(info(about), paths.build());
    document.tags = Some(tags);
    document.components = Some(components(schemas));
    let mut document = serde_json::to_value(document).expect("utoipa's document is JSON");
    tidy::tidy(&mut document);
    document
}

fn info(about: &About) -> Info {
    let mut info = Info::new(about.title.clone(), about.version.clone());
    info.description = Some(DESCRIPTION.to_owned());
    let mut license = utoipa::openapi::License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    info.license = Some(license);
    info
}

fn components(schemas: Collected) -> Components {
    let mut components = Components::new();
    components.schemas = schemas.0;
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A session's access token, or a personal access token (`tenon_pat_…`)."))
        .build();
    let cookie = ApiKeyValue::with_description(
        ACCESS_COOKIE,
        "The browser's session. Changes also need the header `X-CSRF-Token`. Where people come without TLS it is called `tenon_access`.",
    );
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    components
}

/// Schemas by name; two different ones of one name are a mistake.
#[derive(Default)]
struct Collected(BTreeMap<String, RefOr<Schema>>);

impl Collected {
    fn take(&mut self, schemas: Vec<(String, RefOr<Schema>)>) {
        for (name, schema) in schemas {
            if let Some(known) = self.0.get(&name) {
                let same = json!(known) == json!(schema);
                assert!(same, "two different schemas are called {name}");
            } else {
                self.0.insert(name, schema);
            }
        }
    }
}
