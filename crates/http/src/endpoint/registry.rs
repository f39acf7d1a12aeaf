//! What is known of an operation once the table is complete; middleware and tests read it, too.

use std::collections::{BTreeMap, BTreeSet};

use salvo::Request;
use tenon_core::{FieldError, tokens::Scope};
use utoipa::openapi::HttpMethod;

use super::rules::{self, Bounds};
use crate::problem::Problem;

/// Which budget of calls an operation draws from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Budgeting {
    /// The caller's own: anonymous, session or token.
    Usual,
    /// Besides that, the narrow one of attempts, per client address.
    Login,
    /// The same, but only attempts that fail count.
    Proof,
    /// None: probes.
    Free,
}

/// The method of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads; HEAD comes with it.
    Get,
    /// Creates, or acts.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// As written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl From<Method> for HttpMethod {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::Get,
            Method::Post => Self::Post,
            Method::Put => Self::Put,
            Method::Patch => Self::Patch,
            Method::Delete => Self::Delete,
        }
    }
}

/// One operation of the API.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Unique, `verb_noun`.
    pub id: &'static str,
    /// HTTP method.
    pub method: Method,
    /// Path template below the prefix.
    pub path: &'static str,
    /// The group it belongs to.
    pub tag: &'static str,
    /// What a token needs for it; none where no credential is needed.
    pub scope: Option<Scope>,
    /// The permission it needs, for the documents and the authorisation table.
    pub permission: Option<&'static str>,
    /// Whether it refuses callers without a credential.
    pub authenticated: bool,
    /// Which budget it draws from.
    pub budgeting: Budgeting,
    /// Exempt from the time limit.
    pub streaming: bool,
    /// Its answer carries a secret: it is not kept for retries.
    pub secret: bool,
    /// Answers with a websocket.
    pub websocket: bool,
    /// The most bytes that a JSON body may have, which follows from the limits of its fields.
    pub body_limit: usize,
    pub(crate) query_names: BTreeSet<String>,
    pub(crate) query_bounds: BTreeMap<String, Bounds>,
}

impl Operation {
    /// Refuses query parameters that no input declares, for a misspelt filter must not read as no filter, and those that
    /// are longer or larger than declared.
    pub(crate) fn check_query(&self, req: &Request) -> Result<(), Problem> {
        let query = req.uri().query().unwrap_or_default();
        let errors: Vec<FieldError> = form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| !self.query_names.contains(name.as_ref()))
            .map(|(name, _)| FieldError {
                pointer: name.chars().filter(|c| !c.is_control()).take(64).collect(),
                code: "unknown-parameter".to_owned(),
                detail: "is not a parameter of this operation".to_owned(),
            })
            .take(10)
            .collect();
        if errors.is_empty() { rules::check(&self.query_bounds, req) } else { Err(Problem::invalid(errors)) }
    }
}
