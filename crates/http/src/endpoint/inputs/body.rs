//! JSON bodies.

use salvo::{
    Depot, Request,
    http::{ParseError, StatusCode},
};
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::{
    endpoint::{Input, OpDoc, faults},
    problem::Problem,
};

/// The most bytes a JSON body may have.
pub const BODY_LIMIT: usize = 1 << 20;

/// The body, as JSON.
#[derive(Debug, Clone)]
pub struct Body<T>(pub T);

/// The body, as a JSON merge patch (RFC 7396): absent members stay, `null` clears. Its members are
/// [`Field`](super::Field) or [`Given`](super::Given), each with `#[serde(default)]`.
#[derive(Debug, Clone)]
pub struct Patch<T>(pub T);

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

impl<T: DeserializeOwned + ToSchema + Send + 'static> Input for Body<T> {
    async fn extract(req: &mut Request, _: &mut Depot) -> Result<Self, Problem> {
        read(req, &[JSON]).await.map(Self)
    }
    fn describe(doc: &mut OpDoc) {
        doc.body::<T>(&[JSON]);
        describe_problems(doc);
    }
}

impl<T: DeserializeOwned + ToSchema + Send + 'static> Input for Patch<T> {
    async fn extract(req: &mut Request, _: &mut Depot) -> Result<Self, Problem> {
        read(req, &[MERGE_PATCH, JSON]).await.map(Self)
    }
    fn describe(doc: &mut OpDoc) {
        doc.body::<T>(&[MERGE_PATCH, JSON]);
        describe_problems(doc);
    }
}

fn describe_problems(doc: &mut OpDoc) {
    doc.problem(StatusCode::BAD_REQUEST, "The body is not JSON.");
    doc.problem(StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 1 MiB.");
    doc.problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is of another media type.");
    doc.problem(StatusCode::UNPROCESSABLE_ENTITY, "A field is not valid; `errors` says which and why.");
}

async fn read<T: DeserializeOwned>(req: &mut Request, media_types: &[&str]) -> Result<T, Problem> {
    let known = req.content_type().is_some_and(|given| media_types.contains(&given.essence_str()));
    if !known {
        let detail = format!("The body must be {}.", media_types.join(" or "));
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail));
    }
    parse(bytes(req).await?)
}

/// The whole body, within [`BODY_LIMIT`]; the same again when asked again.
pub(crate) async fn bytes(req: &mut Request) -> Result<&[u8], Problem> {
    match req.payload_with_max_size(BODY_LIMIT).await {
        Ok(bytes) => Ok(bytes),
        Err(ParseError::PayloadTooLarge) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("At most {BODY_LIMIT} bytes are accepted here."),
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
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| faults::of_json(&error))?;
    json.end().map_err(|_| Problem::malformed("There is something after the end of the JSON value."))?;
    // Postgres keeps no NUL in a text; what a type did not refuse by itself is refused here.
    match faults::nul(bytes) {
        Some(fault) => Err(Problem::invalid(vec![fault])),
        None => Ok(value),
    }
}
