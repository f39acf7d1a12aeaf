//! `If-Match`: change only what one has seen (RFC 9110 §13.1.1).

use salvo::{
    Depot, Request,
    http::{StatusCode, header},
};

use crate::{
    endpoint::{Input, OpDoc},
    problem::Problem,
};

/// The version that the caller has seen, when it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch {
    version: Option<i64>,
    present: bool,
}

impl IfMatch {
    /// The version the caller has seen; none when it does not say, or says `*` (any will do).
    pub fn version(self) -> Option<i64> {
        self.version
    }

    /// Refuses with 428 when the caller gave no precondition.
    pub fn required(self) -> Result<Self, Problem> {
        if self.present {
            Ok(self)
        } else {
            let detail = "Send If-Match with the ETag of what you have seen.";
            Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition-required", detail))
        }
    }

    fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Self, Problem> {
        let mut seen = None;
        let mut present = false;
        for line in lines {
            present = true;
            if line.trim() == "*" {
                return Ok(Self { version: None, present });
            }
            let mut rest = line.trim();
            while !rest.is_empty() {
                let (tag, strong, after) = entity_tag(rest)
                    .ok_or_else(|| Problem::malformed("If-Match must be * or a list of quoted ETags."))?;
                let version = if strong { version_of(tag) } else { None };
                seen = seen.max(version);
                rest = after;
            }
        }
        if present && seen.is_none() {
            // A weak tag, or one that we never gave, matches nothing: versions begin at 1. Everything else that
            // may be wrong with the request is said first.
            seen = Some(0);
        }
        Ok(Self { version: seen, present })
    }
}

/// The first entity tag of a list, whether it is strong, and the rest of the list.
pub(crate) fn entity_tag(text: &str) -> Option<(&str, bool, &str)> {
    let (strong, rest) = text.strip_prefix("W/").map_or((true, text), |rest| (false, rest));
    let (tag, after) = rest.strip_prefix('"')?.split_once('"')?;
    let after = after.trim_start();
    let after = if after.is_empty() { after } else { after.strip_prefix(',')?.trim_start() };
    Some((tag, strong, after))
}

fn version_of(tag: &str) -> Option<i64> {
    let (version, hash) = tag.split_once('-')?;
    if hash.is_empty() { None } else { version.parse().ok() }
}

impl Input for IfMatch {
    async fn extract(req: &mut Request, _: &mut Depot) -> Result<Self, Problem> {
        let lines: Result<Vec<&str>, _> =
            req.headers().get_all(header::IF_MATCH).iter().map(salvo::http::HeaderValue::to_str).collect();
        let lines = lines.map_err(|_| Problem::malformed("If-Match must be * or a list of quoted ETags."))?;
        Self::parse(lines.into_iter())
    }

    fn describe(doc: &mut OpDoc) {
        doc.header_parameter(
            "If-Match",
            "The ETag of what you have seen, or `*`. Given, the change is made only if nothing it touches has changed since.",
            "\"7-3f9ac1d27be04581\"",
        );
        doc.problem(StatusCode::BAD_REQUEST, "If-Match is malformed.");
        doc.problem(
            StatusCode::PRECONDITION_FAILED,
            "It has changed since; `current` shows it as it is now.",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<i64>, u16> {
        IfMatch::parse([text].into_iter()).map(IfMatch::version).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn a_strong_tag_gives_its_version() {
        assert_eq!(parse("\"7-3f9ac1d27be04581\""), Ok(Some(7)));
        assert_eq!(parse("\"7-3f9a\", \"9-aaaa\""), Ok(Some(9)));
        assert_eq!(parse("*"), Ok(None));
    }

    #[test]
    fn a_weak_or_foreign_tag_matches_nothing() {
        assert_eq!(parse("W/\"7-3f9a\""), Ok(Some(0)));
        assert_eq!(parse("\"abc\""), Ok(Some(0)));
    }

    #[test]
    fn what_is_no_tag_is_malformed() {
        for text in ["7", "\"7-a", "\"7-a\" \"8-b\"", "W/7"] {
            assert_eq!(parse(text), Err(400), "{text}");
        }
    }
}
