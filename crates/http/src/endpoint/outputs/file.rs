//! Files on their way out: streamed, in ranges, and harmless to whoever opens them.

use std::ops::Range;

use futures_util::{FutureExt, future::BoxFuture};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use salvo::{
    Request, Response,
    http::{Method, StatusCode, header},
};
use tenon_core::{Error, ports::blob::ByteStream};
use utoipa::openapi::{
    Content, Object, ResponseBuilder, Schema,
    schema::{KnownFormat, SchemaFormat, Type},
};

use super::json::{is_known, set};
use crate::{
    endpoint::{OpDoc, Output},
    problem::Problem,
};

type Open = Box<dyn FnOnce(Option<Range<u64>>) -> BoxFuture<'static, Result<ByteStream, Error>> + Send>;

/// 200 or 206 with the bytes of a file, or 307 to where they are.
pub struct File(Kind);

enum Kind {
    Here(Box<Here>),
    There(String),
}

struct Here {
    name: String,
    media_type: String,
    size: u64,
    tag: Option<String>,
    inline: bool,
    open: Open,
}

impl File {
    /// A file of `size` bytes that `open` opens, whole or a range of it.
    pub fn new<F, Fut>(name: impl Into<String>, media_type: impl Into<String>, size: u64, open: F) -> Self
    where
        F: FnOnce(Option<Range<u64>>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<ByteStream, Error>> + Send + 'static,
    {
        let open: Open = Box::new(move |range| open(range).boxed());
        let (name, media_type) = (name.into(), media_type.into());
        Self(Kind::Here(Box::new(Here { name, media_type, size, tag: None, inline: false, open })))
    }

    /// A file that is fetched elsewhere.
    pub fn elsewhere(url: impl Into<String>) -> Self {
        Self(Kind::There(url.into()))
    }

    /// The same file, named by what never changes while its bytes stay: its hash or its key.
    #[must_use]
    pub fn tagged(mut self, tag: &str) -> Self {
        if let Kind::Here(here) = &mut self.0 {
            here.tag = Some(format!("\"{}\"", tag.replace(['"', '+'], "")));
        }
        self
    }

    /// The same file, to be shown rather than saved where that is harmless: raster images only.
    #[must_use]
    pub fn inline(mut self) -> Self {
        if let Kind::Here(here) = &mut self.0 {
            let harmless = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];
            here.inline = harmless.contains(&here.media_type.as_str());
        }
        self
    }
}

impl Output for File {
    fn describe(doc: &mut OpDoc) {
        doc.streaming = true;
        for (status, description) in
            [(StatusCode::OK, "The bytes of the file."), (StatusCode::PARTIAL_CONTENT, "The range of it.")]
        {
            let mut bytes = Object::with_type(Type::String);
            bytes.format = Some(SchemaFormat::KnownFormat(KnownFormat::Binary));
            "application/octet-stream".clone_into(&mut bytes.content_media_type);
            let content = Content::new(Some(Schema::Object(bytes)));
            let response =
                ResponseBuilder::new().description(description).content("application/octet-stream", content);
            doc.respond(status, response);
        }
        doc.empty(
            StatusCode::TEMPORARY_REDIRECT,
            "The file is to be fetched elsewhere.",
            &[("Location", "Where.")],
        );
        doc.conditional();
        doc.header_parameter("Range", "One range of bytes.", "bytes=0-1023");
        doc.problem(StatusCode::RANGE_NOT_SATISFIABLE, "The file has no such range.");
    }

    async fn write(self, req: &mut Request, res: &mut Response) -> Result<(), Problem> {
        match self.0 {
            Kind::Here(here) => here.write(req, res).await,
            Kind::There(url) => {
                set(res, header::LOCATION, &url)?;
                res.status_code(StatusCode::TEMPORARY_REDIRECT);
                Ok(())
            }
        }
    }
}

impl Here {
    async fn write(self, req: &Request, res: &mut Response) -> Result<(), Problem> {
        let known = self.tag.as_deref().is_some_and(|tag| is_known(tag, req));
        let range = match Wanted::of(req, self.size, self.tag.as_deref()) {
            Wanted::Range(range) => Some(range),
            Wanted::Whole => None,
            Wanted::Nothing => {
                return Err(Problem::of_status(StatusCode::RANGE_NOT_SATISFIABLE)
                    .with_header(header::CONTENT_RANGE, &format!("bytes */{}", self.size)));
            }
        };
        let is_head = req.method() == Method::HEAD;
        let body = if known || is_head { None } else { Some((self.open)(range.clone()).await?) };
        if let Some(tag) = &self.tag {
            set(res, header::ETAG, tag)?;
        }
        // Whatever somebody uploaded must not act as one of our pages, and no proxy may rewrite it.
        set(res, header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'")?;
        set(res, header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
        set(res, header::CACHE_CONTROL, "private, no-cache, no-transform")?;
        set(res, header::CONTENT_DISPOSITION, &disposition(&self.name, self.inline))?;
        if known {
            res.status_code(StatusCode::NOT_MODIFIED);
            return Ok(());
        }
        set(res, header::CONTENT_TYPE, &self.media_type)?;
        set(res, header::ACCEPT_RANGES, "bytes")?;
        let length = range.as_ref().map_or(self.size, |range| range.end - range.start);
        set(res, header::CONTENT_LENGTH, &length.to_string())?;
        if let Some(range) = range {
            let span = format!("bytes {}-{}/{}", range.start, range.end - 1, self.size);
            set(res, header::CONTENT_RANGE, &span)?;
            res.status_code(StatusCode::PARTIAL_CONTENT);
        } else {
            res.status_code(StatusCode::OK);
        }
        if let Some(body) = body {
            res.stream(body);
        }
        Ok(())
    }
}

/// What part of a file is asked for (RFC 9110 §14).
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Range(Range<u64>),
    Nothing,
}

impl Wanted {
    fn of(req: &Request, size: u64, tag: Option<&str>) -> Self {
        let text =
            |name| req.headers().get(name).and_then(|value: &salvo::http::HeaderValue| value.to_str().ok());
        let stale = text(header::IF_RANGE).is_some_and(|seen| Some(seen) != tag);
        match text(header::RANGE) {
            Some(range) if req.method() == Method::GET && !stale => Self::parse(range, size),
            _ => Self::Whole,
        }
    }

    /// Other units, several ranges and what cannot be read are ignored, as they may be.
    fn parse(text: &str, size: u64) -> Self {
        let Some((first, last)) = text.strip_prefix("bytes=").and_then(|span| span.split_once('-')) else {
            return Self::Whole;
        };
        let span = match (first.trim(), last.trim()) {
            ("", last) => last.parse().ok().map(|length: u64| (size.saturating_sub(length), size)),
            (first, "") => first.parse().ok().map(|first| (first, size)),
            (first, last) => match (first.parse::<u64>(), last.parse::<u64>()) {
                (Ok(first), Ok(last)) if first <= last => Some((first, last.saturating_add(1).min(size))),
                _ => None,
            },
        };
        match span {
            None => Self::Whole,
            Some((start, end)) if start < end => Self::Range(start..end),
            Some(_) => Self::Nothing,
        }
    }
}

/// RFC 6266: a plain name for old clients, the real one for the others.
fn disposition(name: &str, inline: bool) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !"\"\\%;/".contains(c) || c == ' ' { c } else { '_' })
        .collect();
    let kind = if inline { "inline" } else { "attachment" };
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(name, KEPT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_file() {
        assert_eq!(Wanted::parse("bytes=0-0", 10), Wanted::Range(0..1));
        assert_eq!(Wanted::parse("bytes=5-", 10), Wanted::Range(5..10));
        assert_eq!(Wanted::parse("bytes=-3", 10), Wanted::Range(7..10));
        assert_eq!(Wanted::parse("bytes=8-99", 10), Wanted::Range(8..10));
        assert_eq!(Wanted::parse("bytes=10-", 10), Wanted::Nothing);
        assert_eq!(Wanted::parse("bytes=-0", 10), Wanted::Nothing);
        assert_eq!(Wanted::parse("bytes=0-1,3-4", 10), Wanted::Whole);
        assert_eq!(Wanted::parse("lines=0-1", 10), Wanted::Whole);
    }

    #[test]
    fn a_name_cannot_leave_its_header() {
        let header = disposition("a\"; x=\r\nü.pdf", false);
        assert_eq!(
            header,
            "attachment; filename=\"a__ x=___.pdf\"; filename*=UTF-8''a%22%3B%20x%3D%0D%0A%C3%BC.pdf"
        );
    }
}
