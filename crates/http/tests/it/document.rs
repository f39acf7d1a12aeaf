//! The document: what generators need it to be.

use serde_json::{Value, json};
use tenon_http::openapi::downgrade;

use crate::harness::{
    exchange::{Received, Sent},
    sample::Sample,
};

#[tokio::test]
async fn both_documents_are_served() {
    let sample = Sample::new().await;
    let current = sample.get("/openapi.json").send().await;
    assert_eq!((current.status, &current.json()), (200, &*sample.document));
    assert_eq!(current.json()["openapi"], "3.1.0");
    let older = sample.get("/openapi-3.0.json").send().await.json();
    assert_eq!(older["openapi"], "3.0.3");
    // For validators outside: `TENON_OPENAPI_DIR=… cargo test -p tenon-http both_documents`.
    if let Some(dir) = option_env!("TENON_OPENAPI_DIR") {
        std::fs::write(format!("{dir}/openapi.json"), current.json().to_string()).unwrap();
        std::fs::write(format!("{dir}/openapi-3.0.json"), older.to_string()).unwrap();
    }
}

#[tokio::test]
async fn an_operation_says_all_there_is_to_know() {
    let document = Sample::new().await.document;
    let list = &document["paths"]["/api/v1/notes"]["get"];
    assert_eq!((&list["operationId"], &list["tags"]), (&json!("list_notes"), &json!(["notes"])));
    assert_eq!((&list["x-permission"], &list["x-scope"]), (&json!("view_note"), &json!("read-projects")));
    assert_eq!(list["security"], json!([{"bearer": []}, {"cookie": []}]));
    assert_eq!(list["parameters"][0]["schema"]["type"], "integer", "a parameter is never null");
    let schema = |status: &str| list["responses"][status]["content"].clone();
    assert_eq!(schema("200")["application/json"]["schema"]["$ref"], "#/components/schemas/NotePage");
    for status in ["401", "403", "422", "default"] {
        assert_eq!(
            schema(status)["application/problem+json"]["schema"]["$ref"],
            "#/components/schemas/Problem"
        );
    }
    let create = &document["paths"]["/api/v1/notes"]["post"];
    assert!(create["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "Idempotency-Key"));
    let change = &document["paths"]["/api/v1/notes/{note_id}"]["patch"]["requestBody"]["content"];
    assert!(change["application/merge-patch+json"].is_object() && change["application/json"].is_object());
}

#[tokio::test]
async fn schemas_fit_generators() {
    let document = Sample::new().await.document;
    let schemas = &document["components"]["schemas"];
    let names: Vec<&str> =
        schemas["Note"]["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(names, ["body", "id", "kind", "owner", "title"], "nullable is not optional in answers");
    assert_eq!(schemas["Note"]["properties"]["title"]["example"], "Buy wood");
    assert_eq!(schemas["NewNote"]["required"], json!(["title"]));
    assert_eq!(schemas["NewNote"]["additionalProperties"], json!(false));
    assert!(schemas["NotePatch"].get("required").is_none(), "{}", schemas["NotePatch"]);
    assert_eq!(schemas["NotePatch"]["properties"]["body"]["type"], json!(["string", "null"]));
    assert_eq!(schemas["NotePatch"]["properties"]["title"]["type"], "string");
    assert_eq!(schemas["NotePage"]["required"], json!(["items", "next_cursor"]));
    assert_eq!(schemas["Event"]["oneOf"][0]["title"], "EventNoteMade");
    assert!(schemas.as_object().unwrap().keys().all(|name| !name.contains('_')), "{schemas}");
}

#[tokio::test]
async fn the_older_document_has_nothing_of_the_newer() {
    let document = Sample::new().await.document;
    let older = downgrade(&document);
    let text = older.to_string();
    for newer in ["\"null\"", "contentMediaType", "\"const\"", "propertyNames", "merge-patch"] {
        assert!(!text.contains(newer), "{newer}");
    }
    let schemas = &older["components"]["schemas"];
    assert_eq!(schemas["Note"]["properties"]["body"], json!({"type": "string", "nullable": true}));
    let owner = &schemas["Note"]["properties"]["owner"];
    assert_eq!(*owner, json!({"nullable": true, "allOf": [{"$ref": "#/components/schemas/Person"}]}));
    let file =
        &older["paths"]["/api/v1/notes/file"]["put"]["requestBody"]["content"]["application/octet-stream"];
    assert_eq!(file["schema"], json!({"type": "string", "format": "binary"}));
    assert_eq!(older["paths"].as_object().unwrap().len(), document["paths"].as_object().unwrap().len());
}

#[tokio::test]
async fn the_exchange_validator_notices() {
    let sample = Sample::new().await;
    let answer = sample.get("/languages").send().await;
    let violations = |target: &str, status: u16, body: &str| {
        let sent = Sent { method: "GET", target, headers: &answer.headers, body: b"" };
        let received = Received { status, headers: &answer.headers, body: body.as_bytes() };
        sample.wire.contract.violations(&sent, &received).len()
    };
    let good = r#"{"items":[{"code":"en","name":"English"}]}"#;
    assert_eq!(violations("/api/v1/languages", 200, good), 0);
    assert_eq!(violations("/api/v1/languages", 202, good), 1, "an undocumented status");
    assert_eq!(violations("/api/v1/languages?x=1", 200, good), 1, "an undocumented parameter");
    assert_eq!(violations("/api/v1/languages", 200, r#"{"items":[],"more":1}"#), 1, "an undocumented field");
    assert_eq!(violations("/api/v1/languages", 200, r#"{"items":[{"code":"en"}]}"#), 1, "a missing field");
    assert_eq!(violations("/api/v1/languages", 404, good), 1, "an undocumented error");
    assert_eq!(violations("/api/v1/languages", 500, good), 1, "an error that is no problem");
    assert_eq!(violations("/api/v1/health", 200, "{}"), 1, "another operation's answer");
}

/// The most bytes that a value of a schema takes, computed from the document and not as the server does it.
fn largest(document: &serde_json::Value, schema: &serde_json::Value) -> u64 {
    if let Some(name) = schema["$ref"].as_str() {
        return largest(document, document.pointer(name.trim_start_matches('#')).unwrap());
    }
    let text = schema["maxLength"].as_u64().unwrap_or(0) * 12;
    let items = schema["maxItems"].as_u64().unwrap_or(0) * largest_of(document, &schema["items"]);
    let members = schema["properties"].as_object().into_iter().flatten();
    let members: u64 = members.map(|(name, member)| name.len() as u64 + 4 + largest(document, member)).sum();
    let variants =
        ["oneOf", "anyOf", "allOf"].iter().flat_map(|k| schema[*k].as_array().into_iter().flatten());
    text + items + members + variants.map(|variant| largest(document, variant)).max().unwrap_or(0)
}

fn largest_of(document: &serde_json::Value, schema: &serde_json::Value) -> u64 {
    if schema.is_object() { largest(document, schema) } else { 0 }
}

#[test]
fn no_body_is_too_large_whose_every_field_is_within_its_limit() {
    let document = tenon_http::document();
    let (mut bodies, mut above) = (0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for (media_type, content) in operation["requestBody"]["content"].as_object().into_iter().flatten()
            {
                if media_type == "application/octet-stream" {
                    continue;
                }
                let limit = operation["x-body-limit"].as_u64().expect("every body of JSON has a limit");
                let largest = largest(&document, &content["schema"]);
                assert!(
                    largest <= limit,
                    "{method} {path}: fields may have {largest} bytes, the body {limit}"
                );
                bodies += 1;
                above += u64::from(largest > 1 << 20);
            }
        }
    }
    assert!(bodies > 40 && above > 0, "{bodies} {above}: descriptions alone are larger than a mebibyte");
}

#[test]
fn every_text_in_a_query_is_bounded() {
    let document = tenon_http::document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let schema = &parameter["schema"];
                let is_free =
                    schema["type"] == "string" && schema["enum"].is_null() && schema["format"].is_null();
                let is_bounded = schema["maxLength"].is_u64() || parameter["in"] != "query" || !is_free;
                assert!(is_bounded, "{method} {path}: {}", parameter["name"]);
            }
        }
    }
}
