//! Compressed answers, with entity tags that stay strong.
//!
//! Salvo weakens the tag of what it compresses, and a weak tag never matches in `If-Match`: a browser
//! could then not change what it has read. A tag of its own per coding is as strong and does not hurt.

use salvo::{
    Depot, FlowCtrl, Handler, Request, Response,
    compression::Compression,
    http::{HeaderValue, header},
};

pub(super) struct Compress {
    inner: Compression,
}

impl Compress {
    pub(super) fn new() -> Self {
        let types =
            ["application/json", "application/problem+json", "text/html", "text/css", "text/javascript"];
        let types: Vec<_> = types.iter().filter_map(|text| text.parse().ok()).collect();
        Self { inner: Compression::new().min_length(1024).content_types(&types) }
    }
}

#[salvo::async_trait]
impl Handler for Compress {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
        self.inner.handle(req, depot, res, ctrl).await;
        let text = |name| res.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let strong = text(header::CONTENT_ENCODING).zip(text(header::ETAG)).and_then(|(coding, tag)| {
            let opaque = tag.trim_start_matches("W/").trim_matches('"');
            HeaderValue::from_str(&format!("\"{opaque}+{coding}\"")).ok()
        });
        if let Some(strong) = strong {
            res.headers_mut().insert(header::ETAG, strong);
        }
    }
}
