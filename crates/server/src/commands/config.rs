//! `tenon config`.

use std::path::PathBuf;

use serde_json::json;

use crate::{
    config::{Sources, reference as page},
    output::Output,
};

/// Checks `file` by itself.
pub(crate) fn check(file: PathBuf, output: &Output) -> anyhow::Result<()> {
    let name = file.display().to_string();
    let sources = Sources { file: Some(file), without_secrets: true, ..Sources::default() };
    match sources.load() {
        Ok(_) => output.print(&json!({ "valid": true, "problems": [] }), || format!("{name} is valid")),
        Err(error) => {
            if output.is_json() {
                output.print(&json!({ "valid": false, "problems": error.problems() }), String::new)?;
            }
            Err(error.into())
        }
    }
}

/// Prints all keys.
pub(crate) fn reference(output: &Output) -> anyhow::Result<()> {
    output.print(&page::as_json(), page::as_markdown)
}
