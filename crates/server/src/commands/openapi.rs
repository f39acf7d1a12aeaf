//! `tenon openapi`.

use crate::output::Output;

/// Prints the document; it is JSON either way.
pub(crate) fn run(older: bool, output: &Output) -> anyhow::Result<()> {
    let document = tenon_http::document();
    let document = if older { tenon_http::openapi::downgrade(&document) } else { document };
    let text = serde_json::to_string_pretty(&document)?;
    output.print(&document, || text)
}
