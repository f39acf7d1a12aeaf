//! The reference page of all keys, from the same declarations that read them.

use std::fmt::Write;

use serde_json::{Value, json};

use super::keys::{self, Key, Kind};

const HEAD: &str = "\
# Configuration

This page is printed by `tenon config reference`. Values come, weakest first, from their defaults, from the TOML file
named by `--config` or `TENON_CONFIG`, from the environment, from secrets in files, and from the command line.

The key `database.url` is `url` below `[database]` in the file, and `TENON__DATABASE__URL` in the environment, where
lists are comma-separated. A secret can also be in a file of its own: `database.url_file` names it, and a file called
`database.url` in systemd's `$CREDENTIALS_DIRECTORY` is found by itself.
";

/// All keys as Markdown: one table a section.
pub(crate) fn as_markdown() -> String {
    let mut page = HEAD.to_owned();
    let mut section = None;
    for key in keys::all() {
        let (this, name) = key.path.split_once('.').unwrap_or(("", &key.path));
        if section != Some(this) {
            let title = if this.is_empty() { "General".to_owned() } else { format!("`[{this}]`") };
            write!(page, "\n## {title}\n\n| Key | Type | Default | Meaning |\n|---|---|---|---|\n")
                .expect("writing to a String cannot fail");
            section = Some(this);
        }
        writeln!(page, "| `{name}` | {} | {} | {} |", type_of(key), default_of(key), meaning_of(key))
            .expect("writing to a String cannot fail");
    }
    page
}

/// All keys for programs.
pub(crate) fn as_json() -> Value {
    let entry = |key: &Key| {
        json!({
            "key": key.path,
            "type": type_of(key),
            "default": key.default,
            "secret": key.secret,
            "only_with": key.only_with,
            "meaning": key.meaning,
            "least": key.bounds.as_ref().map(|(least, _)| least),
            "most": key.bounds.as_ref().map(|(_, most)| most),
        })
    };
    keys::all().iter().map(entry).collect()
}

fn type_of(key: &Key) -> String {
    let name = match &key.kind {
        Kind::Boolean => "true or false".to_owned(),
        Kind::Number => "number".to_owned(),
        Kind::List => "list".to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Text(format) => match format.as_str() {
            "duration" => "duration (`30s`)".to_owned(),
            "size" => "size (`100MiB`)".to_owned(),
            "rate" => "rate (`600/1m`)".to_owned(),
            "uri" => "URL".to_owned(),
            "cron" => "cron expression".to_owned(),
            "time-zone" => "time zone (`Europe/Berlin`)".to_owned(),
            _ => "text".to_owned(),
        },
    };
    let name = match &key.bounds {
        Some((least, most)) => format!("{name}, {} to {}", plain(least), plain(most)),
        None => name,
    };
    if key.secret { format!("secret {name}") } else { name }
}

/// A number, or text without its quotes.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn default_of(key: &Key) -> String {
    match &key.default {
        Value::Null => "–".to_owned(),
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::String(text) => format!("`{text}`"),
        Value::Array(items) if items.is_empty() => "empty".to_owned(),
        other => format!("`{other}`"),
    }
}

fn meaning_of(key: &Key) -> String {
    let condition = match key.only_with.as_slice() {
        [] => String::new(),
        choices => {
            let choices: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
            format!("*With {}.* ", choices.join(" or "))
        }
    };
    format!("{condition}{}", key.meaning).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::{
        Sources,
        keys::{self, Kind},
    };

    /// Every key set to its default, as an administrator would who copies the page.
    fn all_defaults() -> Vec<(String, String)> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
            other => other.to_string(),
        };
        keys::all()
            .iter()
            .filter(|key| !key.default.is_null() && key.only_with.is_empty())
            .map(|key| (format!("TENON__{}", key.path.to_uppercase().replace('.', "__")), text(&key.default)))
            .collect()
    }

    #[test]
    fn the_defaults_on_the_page_are_those_that_hold() {
        let told = Sources { environment: all_defaults(), ..Sources::default() }.load().unwrap();
        assert_eq!(format!("{told:?}"), format!("{:?}", super::super::Config::default()));
        assert!(all_defaults().len() > 20, "the page lists keys");
    }

    /// `Debug` shows every field of every struct, so it knows the keys that a schema could have lost.
    #[test]
    fn no_key_is_missing_from_the_page() {
        let shown = format!("{:#?}", super::super::Config::default());
        let page = super::as_markdown();
        let mut section = None;
        for line in shown.lines() {
            let indent = line.len() - line.trim_start().len();
            let Some((name, _)) = line.trim().split_once(": ") else { continue };
            // Where the configuration was read from is not in it.
            if name == "file" {
                continue;
            }
            if indent == 4 {
                section = page.contains(&format!("`[{name}]`")).then_some(name);
            }
            // Deeper is the inside of a value.
            if (indent == 4 && section.is_none()) || (indent == 8 && section.is_some()) {
                let (alone, above) = (format!("| `{name}` |"), format!("| `{name}."));
                assert!(page.contains(&alone) || page.contains(&above), "{name} is missing");
            }
        }
    }

    #[test]
    fn every_number_has_a_least_and_a_most() {
        let measured = |key: &&keys::Key| match &key.kind {
            Kind::Number => true,
            Kind::Text(format) => matches!(format.as_str(), "duration" | "size" | "rate"),
            _ => false,
        };
        for key in keys::all().iter().filter(measured) {
            assert!(key.bounds.is_some(), "{} has no least and most", key.path);
        }
        assert!(keys::all().iter().filter(measured).count() > 20);
    }

    #[test]
    fn every_key_says_what_it_means() {
        for key in keys::all() {
            assert!(key.meaning.ends_with('.'), "{}: {:?}", key.path, key.meaning);
        }
    }
}
