//! The exchange validator: holds every request and answer of every HTTP test against the document.
//!
//! An undocumented status, media type, header or field, or a required field that is missing, is a
//! violation. The document itself leaves room for additions within a version; here it does not.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use jsonschema::Validator;
use salvo::http::HeaderMap;
use serde_json::{Value, json};

/// What was sent.
pub struct Sent<'a> {
    pub method: &'a str,
    /// Path and query, as on the wire.
    pub target: &'a str,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

/// What came back.
pub struct Received<'a> {
    pub status: u16,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

/// The document, as law.
pub struct Contract {
    document: Value,
    operations: Vec<Operation>,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

struct Operation {
    id: String,
    method: String,
    segments: Vec<String>,
    pointer: String,
}

impl Contract {
    pub fn new(document: &Value) -> Self {
        let mut document = document.clone();
        let open = document["components"]["schemas"].clone();
        for (_, schema) in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
            close(schema, &open);
        }
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                operations.push(Operation {
                    id: operation["operationId"].as_str().unwrap_or_default().to_owned(),
                    method: method.to_uppercase(),
                    segments: path.split('/').map(str::to_owned).collect(),
                    pointer: format!("/paths/{}/{method}", escape(path)),
                });
            }
        }
        Self { document, operations, validators: Mutex::default() }
    }

    /// Everything in an exchange that the document does not allow.
    pub fn violations(&self, sent: &Sent<'_>, received: &Received<'_>) -> Vec<String> {
        let mut found = Vec::new();
        let Some(operation) = self.find(sent.method, sent.target) else {
            // Outside the API, somebody who looks with a browser is told in a page.
            let is_page = !sent.target.starts_with("/api/") && essence(received.headers) == "text/html";
            if received.status >= 400 && !is_page {
                self.problem(received, &mut found);
            }
            return found;
        };
        self.request(operation, sent, received.status, &mut found);
        self.response(operation, sent, received, &mut found);
        found.into_iter().map(|fault| format!("{} {}: {fault}", operation.id, received.status)).collect()
    }

    fn find(&self, method: &str, target: &str) -> Option<&Operation> {
        let method = if method == "HEAD" { "GET" } else { method };
        let path = target.split('?').next().unwrap_or_default();
        let given: Vec<&str> = path.split('/').collect();
        let fits = |operation: &&Operation| {
            operation.method == method
                && operation.segments.len() == given.len()
                && operation
                    .segments
                    .iter()
                    .zip(&given)
                    .all(|(ours, given)| ours.starts_with('{') || ours == given)
        };
        let parameters =
            |operation: &&Operation| operation.segments.iter().filter(|s| s.starts_with('{')).count();
        self.operations.iter().filter(fits).min_by_key(parameters)
    }

    /// A request that was accepted must be one that the document describes.
    fn request(&self, operation: &Operation, sent: &Sent<'_>, status: u16, found: &mut Vec<String>) {
        if status >= 400 {
            return;
        }
        let described = &self.document.pointer(&operation.pointer).expect("it is there")["parameters"];
        let query = sent.target.split_once('?').map_or("", |(_, query)| query);
        for (name, _) in form_urlencoded::parse(query.as_bytes()) {
            let known = described.as_array().into_iter().flatten();
            if !known.into_iter().any(|parameter| parameter["in"] == "query" && parameter["name"] == *name) {
                found.push(format!("accepted the undocumented parameter {name}"));
            }
        }
        let pointer = format!("{}/requestBody/content", operation.pointer);
        let Some(content) = self.document.pointer(&pointer) else { return };
        let media_type = essence(sent.headers);
        let required = format!("{}/requestBody/required", operation.pointer);
        let is_optional = self.document.pointer(&required).is_none_or(|required| required != true);
        if is_optional && media_type.is_empty() && sent.body.is_empty() {
            return;
        }
        match content.get(&media_type) {
            Some(_) if media_type == "application/octet-stream" => {}
            Some(_) => {
                self.body(&format!("{pointer}/{}/schema", escape(&media_type)), sent.body, "request", found);
            }
            None if content.get("application/octet-stream").is_some() => {}
            None => found.push(format!("accepted the undocumented media type {media_type:?}")),
        }
    }

    fn response(
        &self,
        operation: &Operation,
        sent: &Sent<'_>,
        received: &Received<'_>,
        found: &mut Vec<String>,
    ) {
        let pointer = format!("{}/responses/{}", operation.pointer, received.status);
        let Some(response) = self.document.pointer(&pointer) else {
            if received.status >= 500 || received.status == 429 {
                self.problem(received, found);
            } else {
                found.push("an undocumented status".to_owned());
            }
            return;
        };
        if received.status >= 400 {
            self.problem(received, found);
            return;
        }
        for (name, _) in response["headers"].as_object().into_iter().flatten() {
            if !received.headers.contains_key(name.as_str()) {
                found.push(format!("the documented header {name} is missing"));
            }
        }
        let Some(content) = response.get("content").and_then(Value::as_object) else {
            if !received.body.is_empty() {
                found.push("a body where none is documented".to_owned());
            }
            return;
        };
        let media_type = essence(received.headers);
        if content.contains_key("application/octet-stream") || sent.method == "HEAD" {
            return;
        }
        if content.contains_key(&media_type) {
            let schema = format!("{pointer}/content/{}/schema", escape(&media_type));
            self.body(&schema, received.body, "answer", found);
        } else {
            found.push(format!("the undocumented media type {media_type:?}"));
        }
    }

    fn problem(&self, received: &Received<'_>, found: &mut Vec<String>) {
        if essence(received.headers) != "application/problem+json" {
            found.push("an error that is not application/problem+json".to_owned());
            return;
        }
        if received.body.is_empty() {
            return; // HEAD
        }
        self.body("/components/schemas/Problem", received.body, "problem", found);
        let problem: Value = serde_json::from_slice(received.body).unwrap_or_default();
        if problem["status"] != received.status {
            found.push("the problem names another status".to_owned());
        }
        let name = received.headers.get("x-correlation-id").and_then(|value| value.to_str().ok());
        if problem["instance"].as_str() != name {
            found.push("the problem names another correlation id".to_owned());
        }
        for (status, header) in [(429, "retry-after"), (503, "retry-after"), (401, "www-authenticate")] {
            if received.status == status && !received.headers.contains_key(header) {
                found.push(format!("a {status} without {header}"));
            }
        }
    }

    fn body(&self, pointer: &str, body: &[u8], what: &str, found: &mut Vec<String>) {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            found.push(format!("the {what} is not JSON"));
            return;
        };
        let validator = self.validator(pointer);
        for error in validator.iter_errors(&value) {
            found.push(format!("the {what} at {:?}: {error}", error.instance_path.to_string()));
        }
    }

    fn validator(&self, pointer: &str) -> Arc<Validator> {
        let mut validators = self.validators.lock().expect("no test panics while it holds this");
        let make = || {
            let mut schema =
                self.document.pointer(pointer).cloned().unwrap_or_else(|| panic!("{pointer} is no schema"));
            schema["components"] = self.document["components"].clone();
            let options = jsonschema::options();
            Arc::new(
                options.should_validate_formats(true).build(&schema).expect("the document has good schemas"),
            )
        };
        Arc::clone(validators.entry(pointer.to_owned()).or_insert_with(make))
    }
}

/// Forbids what is not named. What is put together by `allOf` is closed as a whole.
fn close(schema: &mut Value, open: &Value) {
    if let Some(parts) = schema.get_mut("allOf").and_then(Value::as_array_mut) {
        for part in parts {
            let target =
                part["$ref"].as_str().and_then(|target| target.rsplit('/').next()).map(str::to_owned);
            if let Some(target) = target {
                *part = open[target].clone();
            }
        }
        schema["unevaluatedProperties"] = json!(false);
        return;
    }
    for keyword in ["properties", "oneOf", "anyOf", "items", "additionalProperties"] {
        match schema.get_mut(keyword) {
            Some(Value::Array(inner)) => inner.iter_mut().for_each(|inner| close(inner, open)),
            Some(inner @ Value::Object(_)) if keyword == "properties" => {
                inner.as_object_mut().into_iter().flatten().for_each(|(_, inner)| close(inner, open));
            }
            Some(inner @ Value::Object(_)) => close(inner, open),
            _ => {}
        }
    }
    if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
        schema["additionalProperties"] = json!(false);
    }
}

fn essence(headers: &HeaderMap) -> String {
    let text = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}
