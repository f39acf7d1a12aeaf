//! What a command prints: for people, or as JSON for programs.

use std::{fmt::Display, io::Write};

use serde::Serialize;

/// Standard output in the wanted shape.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Prints `result` as JSON, or else `text`.
    pub(crate) fn print(&self, result: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        written(&if self.json { serde_json::to_string_pretty(result)? } else { text() })
    }

    /// Prints what a command that goes on has to say, as JSON on one line so that it can be read as a line.
    pub(crate) fn say(&self, result: &(impl Serialize + Display)) -> anyhow::Result<()> {
        written(&if self.json { serde_json::to_string(result)? } else { result.to_string() })
    }
}

fn written(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        // Whoever reads has read enough.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Prints `error` with its causes as one sentence. There is nowhere to report that standard error is closed.
pub(crate) fn error(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "tenon: {}", sentence(error));
}

/// Says something beside the result, where no program reads it.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "tenon: {text}");
}

/// An error and its causes, joined; a cause that the error already quotes is not said twice.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        let cause = cause.trim().trim_end_matches('.');
        if text.is_empty() {
            cause.clone_into(&mut text);
        } else if !text.contains(cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::sentence;

    #[test]
    fn an_error_is_one_sentence_and_says_nothing_twice() {
        let error = Err::<(), _>(anyhow!("connection refused"))
            .context("cannot connect: connection refused")
            .context("The database is away.")
            .unwrap_err();
        assert_eq!(sentence(&error), "The database is away: cannot connect: connection refused");
    }
}
