//! JSON bodies.

use std::sync::Arc;

use salvo::{
    Depot, Request,
    http::{ParseError, StatusCode},
};
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::{
    endpoint::{Input, OpDoc, Operation, faults},
    problem::Problem,
};

/// The most bytes a JSON body may have, unless its fields allow for more.
pub const BODY_LIMIT: usize = 1 << 20;

/// The body, as JSON.
#[derive(Debug, Clone)]
pub struct Body<T>(pub T);

/// The body, as JSON; none when the request has none.
#[derive(Debug, Clone)]
pub struct MaybeBody<T>(pub Option<T>);

/// The body, as a JSON merge patch (RFC 7396): absent members stay, `null` clears. Its members are
/// [`Field`](super::Field) or [`Given`](super::Given), each with `#[serde(default)]`.
#[derive(Debug, Clone)]
pub struct Patch<T>(pub T);

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

impl<T: DeserializeOwned + ToSchema + Send + 'static> Input for Body<T> {
    async fn extract(req: &mut Request, depot: &mut Depot) -> Result<Self, Problem> {
        read(req, depot, &[JSON]).await.map(Self)
    }
    fn describe(doc: &mut OpDoc) {
        doc.body::<T>(&[JSON]);
        describe_problems(doc);
    }
}

impl<T: DeserializeOwned + ToSchema + Send + 'static> Input for MaybeBody<T> {
    async fn extract(req: &mut Request, depot: &mut Depot) -> Result<Self, Problem> {
        if req.content_type().is_none() && bytes(req, depot).await?.is_empty() {
            return Ok(Self(None));
        }
        read(req, depot, &[JSON]).await.map(Some).map(Self)
    }
    fn describe(doc: &mut OpDoc) {
        doc.optional_body::<T>(&[JSON]);
        describe_problems(doc);
    }
}

impl<T: DeserializeOwned + ToSchema + Send + 'static> Input for Patch<T> {
    async fn extract(req: &mut Request, depot: &mut Depot) -> Result<Self, Problem> {
        read(req, depot, &[MERGE_PATCH, JSON]).await.map(Self)
    }
    fn describe(doc: &mut OpDoc) {
        doc.body::<T>(&[MERGE_PATCH, JSON]);
        describe_problems(doc);
    }
}

fn describe_problems(doc: &mut OpDoc) {
    doc.problem(StatusCode::BAD_REQUEST, "The body is not JSON.");
    doc.problem(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "The body is of another media type, in another character set than UTF-8, or compressed.",
    );
    doc.problem(StatusCode::UNPROCESSABLE_ENTITY, "A field is not valid; `errors` says which and why.");
}

async fn read<T: DeserializeOwned>(
    req: &mut Request,
    depot: &Depot,
    media_types: &[&str],
) -> Result<T, Problem> {
    let given = req.content_type();
    let charset = given.as_ref().and_then(|given| given.get_param("charset"));
    if charset.is_some_and(|charset| !charset.as_str().eq_ignore_ascii_case("utf-8")) {
        let detail = "The body must be UTF-8, as all JSON is.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-charset", detail));
    }
    if !given.is_some_and(|given| media_types.contains(&given.essence_str())) {
        let detail = format!("The body must be {}.", media_types.join(" or "));
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail));
    }
    parse(bytes(req, depot).await?)
}

/// The whole body, within the limit of the operation; the same again when asked again.
pub(crate) async fn bytes<'a>(req: &'a mut Request, depot: &Depot) -> Result<&'a [u8], Problem> {
    let limit = depot.get_typed::<Arc<Operation>>().map_or(BODY_LIMIT, |operation| operation.body_limit);
    match req.payload_with_max_size(limit).await {
        Ok(bytes) => Ok(bytes),
        Err(ParseError::PayloadTooLarge) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("At most {limit} bytes are accepted here."),
        )),
        Err(_) => Err(Problem::malformed("The body broke off.")),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Serde would take a list for a struct, member by member.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(faults::one("", "wrong-type", "must be an object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value =
        serde_path_to_error::deserialize(&mut json).map_err(|error| faults::of_json(&error, bytes))?;
    json.end().map_err(|_| Problem::malformed("There is something after the end of the JSON value."))?;
    // Postgres keeps no NUL in a text; what a type did not refuse by itself is refused here.
    match faults::nul(bytes) {
        Some(fault) => Err(Problem::invalid(vec![fault])),
        None => Ok(value),
    }
}
