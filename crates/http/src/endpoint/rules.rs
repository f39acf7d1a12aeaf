//! What follows from the description of an operation: how large its body may be, and what its parameters may say.
//!
//! The limit of a body is computed from the limits of its fields, so that nothing that every field allows is too large as a
//! whole. Bounds of query parameters are checked here, for all operations, so that none is only written in the document.

use std::collections::BTreeMap;

use salvo::Request;
use serde_json::Value;
use tenon_core::FieldError;

use super::{describe::OpDoc, inputs::BODY_LIMIT};
use crate::problem::Problem;

/// What one character of a text may take in JSON: `\ud83d\ude00`.
pub(crate) const BYTES_OF_CHARACTER: usize = 12;

/// Bounds of one query parameter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bounds {
    max_length: Option<usize>,
    minimum: Option<i64>,
    maximum: Option<i64>,
}

/// The bounds of every query parameter that has some.
pub(super) fn bounds(doc: &OpDoc) -> BTreeMap<String, Bounds> {
    let parameters = serde_json::to_value(&doc.operation.parameters).unwrap_or_default();
    let of_query = parameters.as_array().into_iter().flatten().filter(|p| p["in"] == "query");
    of_query
        .map(|parameter| {
            let schema = &parameter["schema"];
            let schema = if schema["items"].is_object() { &schema["items"] } else { schema };
            let number = |keyword: &str| schema[keyword].as_i64();
            let bounds = Bounds {
                max_length: number("maxLength").and_then(|most| usize::try_from(most).ok()),
                minimum: number("minimum"),
                maximum: number("maximum"),
            };
            (parameter["name"].as_str().unwrap_or_default().to_owned(), bounds)
        })
        .collect()
}

/// Refuses parameters that are out of their bounds.
pub(super) fn check(bounds: &BTreeMap<String, Bounds>, req: &Request) -> Result<(), Problem> {
    let query = req.uri().query().unwrap_or_default();
    let errors: Vec<FieldError> = form_urlencoded::parse(query.as_bytes())
        .filter_map(|(name, value)| {
            let (code, detail) = bounds.get(name.as_ref())?.fault(&value)?;
            Some(FieldError { pointer: name.into_owned(), code: code.to_owned(), detail })
        })
        .take(10)
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}

impl Bounds {
    fn fault(&self, value: &str) -> Option<(&'static str, String)> {
        if let Some(most) = self.max_length.filter(|most| value.chars().count() > *most) {
            return Some(("too-long", format!("must be at most {most} characters long")));
        }
        let number: i64 = value.parse().ok()?;
        match (self.minimum, self.maximum) {
            (Some(least), Some(most)) if number < least || number > most => {
                Some(("out-of-range", format!("must be a number from {least} to {most}")))
            }
            (Some(least), None) if number < least => {
                Some(("out-of-range", format!("must be at least {least}")))
            }
            (None, Some(most)) if number > most => Some(("out-of-range", format!("must be at most {most}"))),
            _ => None,
        }
    }
}

/// The most bytes that the JSON body of an operation may have.
pub(super) fn body_limit(doc: &OpDoc) -> usize {
    let body = serde_json::to_value(&doc.operation.request_body).unwrap_or_default();
    let schemas: BTreeMap<&str, Value> = doc
        .schemas
        .iter()
        .map(|(name, schema)| (name.as_str(), serde_json::to_value(schema).unwrap_or_default()))
        .collect();
    let media_types = body["content"].as_object().into_iter().flatten();
    let largest = media_types.map(|(_, content)| largest(&content["schema"], &schemas, 0)).max().unwrap_or(0);
    // Room for blanks between the members, and for lists that the document does not bound.
    (largest + (64 << 10)).max(BODY_LIMIT)
}

/// The most bytes that a value of this schema takes, as far as the schema bounds it.
fn largest(schema: &Value, schemas: &BTreeMap<&str, Value>, depth: usize) -> usize {
    if depth > 16 {
        return 0;
    }
    let inner = |schema: &Value| largest(schema, schemas, depth + 1);
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return schemas.get(name).map_or(0, inner);
    }
    let variants =
        |keyword: &str| schema[keyword].as_array().into_iter().flatten().map(inner).collect::<Vec<_>>();
    let count = |keyword: &str| schema[keyword].as_u64().and_then(|n| usize::try_from(n).ok());
    let any = variants("oneOf").into_iter().chain(variants("anyOf")).max().unwrap_or(0);
    let all: usize = variants("allOf").into_iter().sum();
    let text = count("maxLength").map_or(64, |most| most * BYTES_OF_CHARACTER + 2);
    let items = count("maxItems").map_or(0, |most| most * (inner(&schema["items"]) + 2));
    let members: usize = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, member)| name.len() + 8 + inner(member))
        .sum();
    any + all + text + items + members
}
