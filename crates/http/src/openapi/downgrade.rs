//! The same document in OpenAPI 3.0.3, for generators that stop there.

use serde_json::{Map, Value, json};

use super::walk;

/// Converts a 3.1 document.
#[must_use]
pub fn downgrade(document: &Value) -> Value {
    let mut document = document.clone();
    document["openapi"] = json!("3.0.3");
    for gone in ["jsonSchemaDialect", "webhooks"] {
        remove(&mut document, gone);
    }
    if let Some(info) = document.get_mut("info") {
        remove(info, "summary");
        if let Some(license) = info.get_mut("license") {
            remove(license, "identifier");
        }
    }
    walk::operations(&mut document, &mut |_, operation| {
        if let Some(content) = operation.pointer_mut("/requestBody/content").and_then(Value::as_object_mut) {
            // Several generators stumble over a second media type; plain JSON is accepted, too.
            if content.len() > 1 && content.contains_key("application/json") {
                content.retain(|media_type, _| media_type == "application/json");
            }
        }
        // To others, a default is also what success may look like.
        if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut)
            && let Some(problem) = responses.remove("default")
        {
            responses.insert("4XX".to_owned(), problem.clone());
            responses.insert("5XX".to_owned(), problem);
        }
    });
    walk::schemas(&mut document, &mut schema);
    document
}

fn schema(schema: &mut Value) {
    let Some(keywords) = schema.as_object_mut() else { return };
    for gone in ["contentMediaType", "contentEncoding", "propertyNames", "$schema", "$comment", "$defs"] {
        keywords.remove(gone);
    }
    if let Some(only) = keywords.remove("const") {
        keywords.insert("enum".to_owned(), json!([only]));
    }
    if let Some(Value::Array(examples)) = keywords.remove("examples")
        && let Some(first) = examples.into_iter().next()
    {
        keywords.entry("example").or_insert(first);
    }
    for (exclusive, inclusive) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if let Some(bound) = keywords.get(exclusive).filter(|bound| bound.is_number()).cloned() {
            keywords.insert(inclusive.to_owned(), bound);
            keywords.insert(exclusive.to_owned(), json!(true));
        }
    }
    if let Some(items) = keywords.remove("prefixItems").and_then(|items| items.as_array().cloned()) {
        keywords.insert("items".to_owned(), json!({}));
        keywords.insert("minItems".to_owned(), json!(items.len()));
        keywords.insert("maxItems".to_owned(), json!(items.len()));
    }
    if keywords.get("items").is_some_and(Value::is_boolean) {
        keywords.insert("items".to_owned(), json!({}));
    }
    nullable_type(keywords);
    for union in ["oneOf", "anyOf"] {
        nullable_union(keywords, union);
    }
    if keywords.len() > 1 && keywords.contains_key("$ref") {
        let target = keywords.remove("$ref");
        keywords.insert("allOf".to_owned(), json!([{"$ref": target}]));
    }
}

fn nullable_type(keywords: &mut Map<String, Value>) {
    match keywords.get("type").cloned() {
        Some(Value::Array(types)) => {
            let others: Vec<&Value> = types.iter().filter(|name| *name != "null").collect();
            if others.len() < types.len() {
                keywords.insert("nullable".to_owned(), json!(true));
            }
            match others.as_slice() {
                [one] => keywords.insert("type".to_owned(), (*one).clone()),
                _ => keywords.remove("type"),
            };
        }
        Some(Value::String(name)) if name == "null" => {
            keywords.remove("type");
            keywords.insert("nullable".to_owned(), json!(true));
            keywords.insert("enum".to_owned(), json!([null]));
        }
        _ => {}
    }
    if keywords.get("nullable") == Some(&json!(true))
        && let Some(values) = keywords.get_mut("enum").and_then(Value::as_array_mut)
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
}

/// `oneOf: [null, X]` is a nullable X.
fn nullable_union(keywords: &mut Map<String, Value>, union: &str) {
    let is_null = |variant: &Value| variant.get("enum") == Some(&json!([null]));
    let Some(variants) = keywords.get_mut(union).and_then(Value::as_array_mut) else { return };
    let before = variants.len();
    variants.retain(|variant| !is_null(variant));
    if variants.len() == before {
        return;
    }
    if let [one] = variants.as_slice() {
        let one = one.clone();
        keywords.remove(union);
        match one {
            Value::Object(one) if !one.contains_key("$ref") => {
                for (keyword, value) in one {
                    keywords.entry(keyword).or_insert(value);
                }
            }
            one => {
                keywords.insert("allOf".to_owned(), json!([one]));
            }
        }
    }
    keywords.insert("nullable".to_owned(), json!(true));
}

fn remove(object: &mut Value, member: &str) {
    if let Some(object) = object.as_object_mut() {
        object.remove(member);
    }
}
