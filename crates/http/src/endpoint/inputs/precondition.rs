//! `If-Match`: change only what one has seen (RFC 9110 §13.1.1).

use salvo::{
    Depot, Request,
    http::{StatusCode, header},
};
use tenon_core::Error;

use crate::{
    endpoint::{Input, OpDoc, etag},
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

    /// The version the caller has seen, where the body names it (`version`) rather than the header.
    pub fn or(self, in_body: Option<i64>) -> Option<i64> {
        in_body.or(self.version)
    }

    /// Refuses with 428 when the caller gave no precondition: once `look` has shown that they may know of the thing.
    pub async fn required<T>(self, look: impl Future<Output = Result<T, Error>>) -> Result<Self, Problem> {
        if self.present {
            return Ok(self);
        }
        look.await?;
        let detail = "Say which version you have seen: send If-Match with its ETag, or `version` in the body where there is one.";
        Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition-required", detail))
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
                let (tag, after) = etag::first(rest)
                    .ok_or_else(|| Problem::malformed("If-Match must be * or a list of quoted ETags."))?;
                // Versions only grow: of several, the newest is what the caller has seen.
                seen = seen.max(etag::version_of(tag));
                rest = after;
            }
        }
        if present && seen.is_none() {
            // One that we never gave matches nothing: versions begin at 1. Everything else that may be wrong with the
            // request is said first.
            seen = Some(0);
        }
        Ok(Self { version: seen, present })
    }
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
            "The ETag of what you have seen, or `*`. Given, the change is made only if nothing it touches has changed since. ETags are compared by the version in them, so weak ones and those that a proxy put its coding behind are good, too; where even the header is lost, `version` in the body of a PATCH says the same.",
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
    fn a_tag_gives_its_version_weak_or_marked_by_a_proxy() {
        assert_eq!(parse("\"7-3f9ac1d27be04581\""), Ok(Some(7)));
        assert_eq!(parse("\"7-3f9a\", \"9-aaaa\""), Ok(Some(9)));
        assert_eq!(parse("W/\"7-3f9a\""), Ok(Some(7)));
        assert_eq!(parse("\"zzz\", W/\"7-3f9a-gzip\""), Ok(Some(7)));
        assert_eq!(parse("*"), Ok(None));
    }

    #[test]
    fn a_foreign_tag_matches_nothing() {
        assert_eq!(parse("\"abc\""), Ok(Some(0)));
    }

    #[test]
    fn what_is_no_tag_is_malformed() {
        for text in ["7", "\"7-a", "\"7-a\" \"8-b\"", "W/7"] {
            assert_eq!(parse(text), Err(400), "{text}");
        }
    }
}
