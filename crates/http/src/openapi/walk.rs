//! Every place of a document where a schema stands.

use serde_json::Value;

/// Calls `f` for every schema of the document, inner ones before those around them.
pub(crate) fn schemas(document: &mut Value, f: &mut dyn FnMut(&mut Value)) {
    members(document.pointer_mut("/components/schemas"), &mut |_, schema| visit(schema, f));
    operations(document, &mut |_, operation| of_operation(operation, f));
}

/// Calls `f` with the method and value of every operation.
pub(crate) fn operations(document: &mut Value, f: &mut dyn FnMut(&str, &mut Value)) {
    members(document.get_mut("paths"), &mut |_, item| {
        members(Some(item), &mut |method, operation| {
            if operation.get("responses").is_some() {
                f(method, operation);
            }
        });
    });
}

/// Calls `f` for every schema in `schema`, itself last.
pub(crate) fn visit(schema: &mut Value, f: &mut dyn FnMut(&mut Value)) {
    for keyword in ["properties", "patternProperties", "$defs"] {
        members(schema.get_mut(keyword), &mut |_, inner| visit(inner, f));
    }
    for keyword in ["oneOf", "anyOf", "allOf", "prefixItems"] {
        items(schema.get_mut(keyword), &mut |inner| visit(inner, f));
    }
    for keyword in ["items", "additionalProperties", "propertyNames", "not", "contains"] {
        if let Some(inner) = schema.get_mut(keyword).filter(|inner| inner.is_object()) {
            visit(inner, f);
        }
    }
    f(schema);
}

fn of_operation(operation: &mut Value, f: &mut dyn FnMut(&mut Value)) {
    items(operation.get_mut("parameters"), &mut |parameter| of_holder(parameter, f));
    members(operation.pointer_mut("/requestBody/content"), &mut |_, content| of_holder(content, f));
    members(operation.get_mut("responses"), &mut |_, response| {
        members(response.get_mut("headers"), &mut |_, header| of_holder(header, f));
        members(response.get_mut("content"), &mut |_, content| of_holder(content, f));
    });
}

fn of_holder(holder: &mut Value, f: &mut dyn FnMut(&mut Value)) {
    if let Some(schema) = holder.get_mut("schema") {
        visit(schema, f);
    }
}

/// Calls `f` for every member of an object.
pub(crate) fn members(object: Option<&mut Value>, f: &mut dyn FnMut(&str, &mut Value)) {
    for (name, value) in object.and_then(Value::as_object_mut).into_iter().flatten() {
        f(name, value);
    }
}

/// Calls `f` for every item of an array.
pub(crate) fn items(array: Option<&mut Value>, f: &mut dyn FnMut(&mut Value)) {
    for item in array.and_then(Value::as_array_mut).into_iter().flatten() {
        f(item);
    }
}
