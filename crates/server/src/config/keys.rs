//! Every key there is, read off the JSON schema of [`Config`](super::Config).

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Config;

/// One key that can be set.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// `server.listen`.
    pub(super) path: String,
    pub(super) kind: Kind,
    /// What holds when it is not set; `Null` when nothing does.
    pub(super) default: Value,
    pub(super) meaning: String,
    /// The choices under which the key exists, as in `storage.backend = s3`; empty when it always does.
    pub(super) only_with: Vec<String>,
    pub(super) secret: bool,
    /// The least and the most, of what is a number or has a unit.
    pub(super) bounds: Option<(Value, Value)>,
}

/// What a value looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Number,
    List,
    /// One of these words.
    Choice(Vec<String>),
    /// Text of a certain form: `duration`, `size`, `uri`, or just `text`.
    Text(String),
}

impl Key {
    /// General keys first, then section by section; in each, what exists only with a certain choice comes last.
    fn place(&self) -> (Option<String>, bool, String) {
        let section = self.path.split_once('.').map(|(section, _)| section.to_owned());
        (section, !self.only_with.is_empty(), self.path.clone())
    }
}

/// All keys, in the order of the reference.
pub(super) fn all() -> &'static [Key] {
    static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<Config>();
        let mut keys = Vec::new();
        collect(schema.as_value(), "", None, &mut keys);
        forget_empty_conditions(&mut keys);
        keys.sort_by_key(Key::place);
        keys
    });
    &KEYS
}

/// A key that every choice has depends on none.
fn forget_empty_conditions(keys: &mut [Key]) {
    let choices: Vec<(String, usize)> = keys
        .iter()
        .filter_map(|key| match &key.kind {
            Kind::Choice(words) => Some((format!("{} = ", key.path), words.len())),
            _ => None,
        })
        .collect();
    for key in keys {
        let all = |(choice, count): &(String, usize)| {
            key.only_with.len() == *count && key.only_with.iter().all(|with| with.starts_with(choice))
        };
        if choices.iter().any(all) {
            key.only_with.clear();
        }
    }
}

pub(super) fn find(path: &str) -> Option<&'static Key> {
    all().iter().find(|key| key.path == path)
}

/// Adds the keys of an object's schema: its properties, and those of each of its variants.
fn collect(schema: &Value, prefix: &str, only_with: Option<&str>, keys: &mut Vec<Key>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let property = without_null(property);
        if property["properties"].is_object() || is_tagged(property) {
            collect(property, &path, only_with, keys);
        } else if property["const"].is_null() {
            add(key(path, property, only_with), keys);
        }
    }
    if is_tagged(schema) {
        collect_variants(schema, prefix, keys);
    }
}

/// Adds the keys of a union whose variants are told apart by a constant: first the constant as a choice.
fn collect_variants(schema: &Value, prefix: &str, keys: &mut Vec<Key>) {
    let variants: Vec<(&str, &str, &Value)> = variants(schema)
        .iter()
        .filter_map(|variant| tag(variant).map(|(name, word)| (name, word, variant)))
        .collect();
    let Some((name, ..)) = variants.first() else { return };
    let path = format!("{prefix}.{name}");
    let words = variants.iter().map(|(_, word, _)| (*word).to_owned()).collect();
    let meanings: Vec<String> =
        variants.iter().map(|(_, word, variant)| format!("`{word}`: {}", description(variant))).collect();
    add(
        Key {
            path: path.clone(),
            kind: Kind::Choice(words),
            default: schema["default"][name].clone(),
            meaning: format!("{} {}", description(schema), meanings.join(" ")).trim().to_owned(),
            only_with: Vec::new(),
            secret: false,
            bounds: None,
        },
        keys,
    );
    for (_, word, variant) in variants {
        collect(variant, prefix, Some(&format!("{path} = {word}")), keys);
    }
}

/// Adds a key, or another condition to the key of that name that is there.
fn add(key: Key, keys: &mut Vec<Key>) {
    match keys.iter_mut().find(|known| known.path == key.path) {
        Some(known) => known.only_with.extend(key.only_with),
        None => keys.push(key),
    }
}

fn key(path: String, schema: &Value, only_with: Option<&str>) -> Key {
    Key {
        path,
        kind: kind(schema),
        default: schema["default"].clone(),
        meaning: description(schema),
        only_with: only_with.map(str::to_owned).into_iter().collect(),
        secret: schema["format"] == "password" || schema["items"]["format"] == "password",
        bounds: bounds(schema),
    }
}

fn bounds(schema: &Value) -> Option<(Value, Value)> {
    Some((schema.get("minimum")?.clone(), schema.get("maximum")?.clone()))
}

fn kind(schema: &Value) -> Kind {
    if let Some(words) = words(schema) {
        return Kind::Choice(words);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    match types.iter().find(|name| **name != "null") {
        Some(&"boolean") => Kind::Boolean,
        Some(&("integer" | "number")) => Kind::Number,
        Some(&"array") => Kind::List,
        _ => Kind::Text(schema["format"].as_str().unwrap_or("text").to_owned()),
    }
}

/// The words of an enum, with or without a meaning for each.
fn words(schema: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(words) = schema["enum"].as_array() {
        return Some(words.iter().filter_map(text).collect());
    }
    let alternatives = schema["oneOf"].as_array()?;
    let words = alternatives.iter().flat_map(|one| match one["enum"].as_array() {
        Some(several) => several.iter().filter_map(text).collect::<Vec<_>>(),
        None => text(&one["const"]).into_iter().collect(),
    });
    Some(words.collect())
}

/// The schema that an optional value has when it is there.
fn without_null(schema: &Value) -> &Value {
    let alternatives = schema["anyOf"].as_array().map_or(&[][..], Vec::as_slice);
    alternatives.iter().find(|one| one["type"] != "null").unwrap_or(schema)
}

fn variants(schema: &Value) -> &[Value] {
    schema["oneOf"].as_array().map_or(&[], Vec::as_slice)
}

fn is_tagged(schema: &Value) -> bool {
    variants(schema).iter().any(|variant| tag(variant).is_some())
}

/// Name and value of the constant that tells a variant from the others.
fn tag(variant: &Value) -> Option<(&str, &str)> {
    variant["properties"]
        .as_object()?
        .iter()
        .find_map(|(name, property)| Some((name.as_str(), property["const"].as_str()?)))
}

/// A doc comment as one line.
fn description(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    let alternatives = variants(schema).iter().filter(|one| one["const"].is_string());
    let meanings = alternatives
        .filter_map(|one| Some(format!("`{}`: {}", one["const"].as_str()?, one["description"].as_str()?)));
    std::iter::once(text.to_owned()).chain(meanings).collect::<Vec<_>>().join(" ").replace('\n', " ")
}
