//! What the document needs so that generators make good clients of it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::walk;

const SCHEMAS: &str = "#/components/schemas/";

/// Tidies a document in place.
///
/// # Panics
/// When a schema is referred to but missing.
pub(super) fn tidy(document: &mut Value) {
    walk::operations(document, &mut |_, operation| {
        walk::items(operation.get_mut("parameters"), &mut strip_null);
    });
    require_what_answers_have(document);
    title_unions(document);
    forget_marks(document);
    check_references(document);
}

/// A parameter is there or not; it is never null.
fn strip_null(parameter: &mut Value) {
    let Some(schema) = parameter.get_mut("schema") else { return };
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            schema["type"] = one;
        }
    }
    if let Some(variants) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        variants.retain(|variant| variant.get("type").is_none_or(|name| name != "null"));
        if let [one] = variants.as_slice() {
            *schema = one.clone();
        }
    }
}

/// In answers, nullable is not optional: every member is always there.
fn require_what_answers_have(document: &mut Value) {
    let mut asked = BTreeSet::new();
    let mut answered = BTreeSet::new();
    walk::operations(document, &mut |_, operation| {
        collect(operation.get("requestBody"), &mut asked);
        collect(operation.get("responses"), &mut answered);
    });
    let Some(schemas) = document.pointer_mut("/components/schemas") else { return };
    close(schemas, &mut asked);
    close(schemas, &mut answered);
    for name in answered.difference(&asked).filter(|name| !name.starts_with("Problem")) {
        if let Some(schema) = schemas.get_mut(name) {
            walk::visit(schema, &mut require_all);
        }
    }
}

fn require_all(schema: &mut Value) {
    if schema.get("x-partial").is_some() {
        return;
    }
    let names: Option<Vec<String>> =
        schema.get("properties").and_then(Value::as_object).map(|members| members.keys().cloned().collect());
    if let Some(names) = names.filter(|names| !names.is_empty()) {
        schema["required"] = json!(names);
    }
}

/// Names of the schemas that `value` refers to.
fn collect(value: Option<&Value>, names: &mut BTreeSet<String>) {
    match value {
        Some(Value::Object(members)) => {
            if let Some(name) =
                members.get("$ref").and_then(Value::as_str).and_then(|t| t.strip_prefix(SCHEMAS))
            {
                names.insert(name.to_owned());
            }
            for (keyword, inner) in members {
                if !["example", "examples", "default", "enum", "const"].contains(&keyword.as_str()) {
                    collect(Some(inner), names);
                }
            }
        }
        Some(Value::Array(items)) => items.iter().for_each(|item| collect(Some(item), names)),
        _ => {}
    }
}

/// Adds what the named schemas refer to themselves.
fn close(schemas: &Value, names: &mut BTreeSet<String>) {
    let mut open: Vec<String> = names.iter().cloned().collect();
    while let Some(name) = open.pop() {
        let mut further = BTreeSet::new();
        collect(schemas.get(&name), &mut further);
        open.extend(further.into_iter().filter(|name| names.insert(name.clone())));
    }
}

/// A variant of a tagged union is called after the union and its tag.
fn title_unions(document: &mut Value) {
    walk::members(document.pointer_mut("/components/schemas"), &mut |name, schema| {
        walk::items(schema.get_mut("oneOf"), &mut |variant| {
            let tag = variant.get("properties").and_then(Value::as_object).and_then(|members| {
                members.values().find_map(|member| {
                    let only = member.get("enum").and_then(Value::as_array).filter(|words| words.len() == 1);
                    only.map(|words| &words[0]).or_else(|| member.get("const")).and_then(Value::as_str)
                })
            });
            let title = tag.map(|tag| format!("{name}{}", camel(tag)));
            if let Some(title) = title.filter(|_| variant.get("title").is_none()) {
                variant["title"] = json!(title);
            }
        });
    });
}

fn camel(word: &str) -> String {
    word.split(|c: char| !c.is_ascii_alphanumeric())
        .flat_map(|part| {
            let (first, rest) = part.split_at(part.len().min(1));
            [first.to_ascii_uppercase(), rest.to_owned()]
        })
        .collect()
}

fn forget_marks(document: &mut Value) {
    walk::schemas(document, &mut |schema| {
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("x-partial");
        }
    });
}

fn check_references(document: &Value) {
    let mut names = BTreeSet::new();
    collect(Some(document), &mut names);
    let missing: Vec<&String> =
        names.iter().filter(|name| document["components"]["schemas"].get(name.as_str()).is_none()).collect();
    assert!(
        missing.is_empty(),
        "schemas that are referred to but missing: {missing:?} (parameters need #[param(inline)])"
    );
}
