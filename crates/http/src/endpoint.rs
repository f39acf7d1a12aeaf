//! Typed endpoints: one call mounts a route and describes it.
//!
//! An endpoint is an async function. Its arguments know how to take themselves out of a request and how
//! to describe themselves, its result decides status, headers and description. So a route without
//! documentation, or a document that says otherwise than the signature, cannot be written.

pub mod describe;
pub mod handler;
pub mod inputs;
pub mod outputs;
pub mod registry;

mod etag;
mod faults;
mod rules;
mod tree;

use std::{collections::BTreeMap, marker::PhantomData, sync::Arc};

use salvo::{Router, http::StatusCode};
use tenon_core::tokens::Scope;
use utoipa::openapi::Tag;

pub use self::{
    describe::OpDoc,
    handler::{ApiFn, Input, Output},
    inputs::*,
    outputs::*,
    registry::{Budgeting, Method, Operation},
};
use self::{handler::Endpoint, tree::Tree};
use crate::openapi;

/// Where the API is mounted; paths of operations are relative to it.
pub const PREFIX: &str = "/api/v1";

/// The methods of operations, short enough to read in a table: `use crate::endpoint::methods::{Get, Post}`, and
/// `methods::Patch` where [`Patch`] the body is meant, too.
pub mod methods {
    pub use super::registry::Method::{Delete, Get, Patch, Post, Put};
}

type Mount = Box<dyn FnOnce(Arc<Operation>) -> salvo::handler::ArcHandler>;

/// The table of operations, from which router, document and registry grow.
#[derive(Default)]
pub struct Api {
    ops: Vec<Op>,
    tags: Vec<Tag>,
    /// Schemas that no operation refers to, such as those of events.
    extra: OpDoc,
}

/// Operations under one tag.
pub struct Group<'a> {
    api: &'a mut Api,
    tag: &'static str,
    scopes: Option<(Scope, Scope)>,
}

/// One operation, in the making.
pub struct Op {
    pub(crate) operation: Operation,
    pub(crate) doc: OpDoc,
    mount: Option<Mount>,
}

/// A complete table.
pub struct Built {
    /// Routes of every operation, under [`PREFIX`].
    pub router: Router,
    /// The OpenAPI 3.1 document.
    pub document: serde_json::Value,
    /// Every operation, in the order of the table.
    pub operations: Vec<Arc<Operation>>,
}

impl Api {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the operations of one tag.
    pub fn group(&mut self, tag: &'static str, description: &str) -> Group<'_> {
        if self.tags.iter().all(|known| known.name != tag) {
            self.tags.push(Tag::builder().name(tag).description(Some(description)).build());
        }
        Group { api: self, tag, scopes: None }
    }

    /// Adds the schema of `T` to the document although no operation refers to it.
    pub fn component<T: utoipa::ToSchema>(&mut self) -> &mut Self {
        self.extra.schema::<T>();
        self
    }

    /// Completes the table.
    ///
    /// # Panics
    /// When the document would have a schema that is referred to but missing, or two of one name.
    pub fn build(self, about: &openapi::About) -> Built {
        let mut tree = Tree::default();
        let mut operations = Vec::new();
        let mut docs = Vec::new();
        for mut op in self.ops {
            op.complete();
            let operation = Arc::new(op.operation);
            let mount = op.mount.take().expect("every operation is mounted once");
            tree.insert(operation.path, operation.method, mount(Arc::clone(&operation)));
            operations.push(Arc::clone(&operation));
            docs.push((operation, op.doc));
        }
        let document = openapi::assemble(about, self.tags, docs, self.extra);
        Built {
            router: Router::with_path(PREFIX.trim_start_matches('/')).push(tree.into_router()),
            document,
            operations,
        }
    }
}

impl Group<'_> {
    /// What tokens need for the operations of this group: the first to read, the second to write.
    #[must_use]
    pub fn scopes(mut self, read: Scope, write: Scope) -> Self {
        self.scopes = Some((read, write));
        self
    }

    /// Mounts `function` at `path` (below [`PREFIX`]) and describes it.
    ///
    /// # Panics
    /// When the names in `path` and those of the path inputs differ, or `id` is taken.
    pub fn op<Args: 'static, Function: ApiFn<Args>>(
        &mut self,
        id: &'static str,
        method: Method,
        path: &'static str,
        summary: &str,
        function: Function,
    ) -> &mut Op {
        let mut doc = OpDoc::default();
        Function::describe(&mut doc);
        doc.operation.operation_id = Some(id.to_owned());
        doc.operation.summary = Some(summary.to_owned());
        doc.operation.tags = Some(vec![self.tag.to_owned()]);
        let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        assert!(
            names.eq(order(path, &doc).iter().map(String::as_str)),
            "{id}: the path {path} and the inputs disagree about names: {:?}",
            doc.path_names
        );
        assert!(self.api.ops.iter().all(|op| op.operation.id != id), "{id} is mounted twice");
        let scope = doc
            .credential_aware
            .then_some(self.scopes)
            .flatten()
            .map(|(read, write)| if method == Method::Get { read } else { write });
        let operation = Operation {
            id,
            method,
            path,
            tag: self.tag,
            scope,
            permission: None,
            authenticated: doc.authenticated,
            budgeting: Budgeting::Usual,
            streaming: doc.streaming,
            secret: false,
            websocket: doc.websocket,
            query_names: std::mem::take(&mut doc.query_names),
            query_bounds: BTreeMap::default(),
            body_limit: BODY_LIMIT,
        };
        let mount: Mount = Box::new(move |operation| {
            salvo::Handler::arc(Endpoint { operation, function, args: PhantomData })
        });
        self.api.ops.push(Op { operation, doc, mount: Some(mount) });
        self.api.ops.last_mut().expect("just pushed")
    }
}

/// The names of the path inputs, in the order of the template; any others after them.
fn order(path: &str, doc: &OpDoc) -> Vec<String> {
    let place = |name: &String| path.find(&format!("{{{name}}}")).unwrap_or(usize::MAX);
    let mut names: Vec<String> = doc.path_names.iter().cloned().collect();
    names.sort_by_key(place);
    names
}

impl Op {
    /// A rule to know, in Markdown.
    pub fn describe(&mut self, text: &str) -> &mut Self {
        self.doc.operation.description = Some(text.to_owned());
        self
    }

    /// The permission it needs, as named in `core::permissions`.
    pub fn permission(&mut self, permission: &'static str) -> &mut Self {
        self.operation.permission = Some(permission);
        self
    }

    /// What a token needs for it, when it differs from the group's.
    pub fn scope(&mut self, scope: Scope) -> &mut Self {
        self.operation.scope = Some(scope);
        self
    }

    /// A problem it may answer besides those its inputs know of.
    pub fn problem(&mut self, status: u16, when: &str) -> &mut Self {
        let status = StatusCode::from_u16(status).expect("a status between 100 and 999");
        self.doc.problem(status, when);
        self
    }

    /// A rule of the domain may refuse: 409 with one of these codes.
    pub fn conflicts(&mut self, codes: &[&str]) -> &mut Self {
        let codes: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
        self.problem(409, &format!("A rule refuses; `code` is {}.", codes.join(" or ")))
    }

    /// A secret is shown: failures draw from a narrow limit per client address, too.
    pub fn proof(&mut self) -> &mut Self {
        self.operation.budgeting = Budgeting::Proof;
        self.secret()
    }

    /// A stranger may cause mail: draws from a narrow limit per client address, too.
    pub fn login(&mut self) -> &mut Self {
        self.operation.budgeting = Budgeting::Login;
        self.secret()
    }

    /// Its answer carries a secret, and is not kept for retries: it takes no idempotency key.
    pub fn secret(&mut self) -> &mut Self {
        self.operation.secret = true;
        self
    }

    /// Draws from no budget: a probe.
    pub fn free(&mut self) -> &mut Self {
        self.operation.budgeting = Budgeting::Free;
        self
    }

    /// Has no time limit.
    pub fn unhurried(&mut self) -> &mut Self {
        self.operation.streaming = true;
        self
    }

    /// Marks the operation as on its way out.
    pub fn deprecated(&mut self) -> &mut Self {
        self.doc.operation.deprecated = Some(utoipa::openapi::Deprecated::True);
        self
    }

    /// Says what follows from everything else.
    fn complete(&mut self) {
        let (operation, doc) = (&mut self.operation, &mut self.doc);
        let id = operation.id;
        operation.query_bounds = rules::bounds(doc);
        operation.body_limit = rules::body_limit(doc);
        if doc.json_body {
            let detail = format!("The body is larger than {} bytes.", operation.body_limit);
            doc.problem(StatusCode::PAYLOAD_TOO_LARGE, &detail);
        }
        if operation.authenticated {
            assert!(operation.scope.is_some(), "{id} takes a caller but names no scope");
            doc.problem(StatusCode::FORBIDDEN, "The credential lacks the permission or the scope.");
        }
        if doc.credential_aware && operation.method != Method::Get {
            doc.problem(StatusCode::FORBIDDEN, "A change by cookie came without its `X-CSRF-Token`.");
        }
        doc.problem(StatusCode::UNPROCESSABLE_ENTITY, "A parameter is not valid, or not known.");
        if operation.method == Method::Post && !operation.secret {
            doc.header_parameter(
                "Idempotency-Key",
                "Makes a retry safe: the same key and body within 24 hours get the first answer again.",
                "b6f0a3a0-2d0e-4b8e-9c57-0a1f6f0a9d11",
            );
            doc.problem(StatusCode::BAD_REQUEST, "The idempotency key is malformed.");
            doc.problem(
                StatusCode::CONFLICT,
                "The first request with this idempotency key is still running.",
            );
            doc.problem(StatusCode::UNPROCESSABLE_ENTITY, "The idempotency key was used with another body.");
        }
        if operation.method == Method::Post && operation.secret {
            let rule = "Takes no `Idempotency-Key`, since its response carries a secret, which is not kept.";
            let said = doc.operation.description.take().map_or_else(String::new, |said| format!("{said} "));
            doc.operation.description = Some(format!("{said}{rule}"));
            let refused = "There is an `Idempotency-Key`; `code` is `idempotency-unsupported`.";
            doc.problem(StatusCode::BAD_REQUEST, refused);
        }
        if operation.budgeting != Budgeting::Free {
            doc.problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "Not for now; `Retry-After` says when to come back. `code` is `maintenance` while the instance is being maintained.",
            );
        }
        if operation.method != Method::Get
            && operation.scope != Some(Scope::Admin)
            && operation.path.starts_with("/projects/{project_id}")
        {
            doc.problem(
                StatusCode::CONFLICT,
                "`code` is `project-archived` while the project is archived: it takes nothing but un-archiving, moving to the trash and restoring.",
            );
        }
        let mut extensions = serde_json::Map::new();
        if let Some(permission) = operation.permission {
            extensions.insert("x-permission".to_owned(), permission.into());
        }
        if let Some(scope) = operation.scope {
            extensions.insert("x-scope".to_owned(), scope.as_str().into());
        }
        if doc.json_body {
            extensions.insert("x-body-limit".to_owned(), operation.body_limit.into());
        }
        doc.operation.extensions = Some(extensions.into_iter().collect());
        let fallback = describe::problem_response(
            "Anything else that went wrong: too many requests, not available, a defect.",
        );
        doc.operation.responses.responses.insert("default".to_owned(), fallback.into());
    }
}
