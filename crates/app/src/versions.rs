//! Optimistic concurrency: a change by somebody who has seen an older version is refused.

use serde::Serialize;
use tenon_core::{Error, Result};

/// Refuses when `expected` is given and is not the version `current` of `thing`.
pub(crate) fn refuse_stale(
    what: &'static str,
    expected: Option<i64>,
    current: i64,
    thing: &impl Serialize,
) -> Result<()> {
    match expected {
        Some(expected) if expected != current => {
            Err(Error::Stale { what, expected, current, representation: serde_json::to_value(thing).ok() })
        }
        _ => Ok(()),
    }
}
