//! Requests that cannot be read: 400, 414 and 431 as problems.
//!
//! Hyper refuses those by itself, with a bare head and before any of our code runs. Its bytes are recognised on their way
//! out and replaced. That can be no part of a response of ours, since [`State`](super::connection::State) tells when
//! nothing of ours is being sent.

use std::{fmt::Write as _, sync::Arc};

use salvo::{
    Response,
    http::{HeaderMap, HeaderValue, ResBody, StatusCode, header},
};
use tenon_core::ports::randomness::Randomness;

use crate::{
    hoops::{CORRELATION_HEADER, new_correlation_id, security_headers},
    problem::Problem,
};

/// Makes the responses to requests that cannot be read.
pub struct ParseErrors {
    headers: HeaderMap,
    randomness: Arc<dyn Randomness>,
}

impl ParseErrors {
    /// Longer is none of hyper's own responses.
    pub(super) const LONGEST: usize = 512;

    /// With the security headers of an instance at `public_url`.
    pub fn new(public_url: &str, randomness: Arc<dyn Randomness>) -> Self {
        Self { headers: security_headers(public_url).into_iter().collect(), randomness }
    }

    /// The response to send instead of `head`, if that is one of hyper's own.
    pub(super) fn instead_of(&self, head: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(head).ok()?;
        let status = text.strip_prefix("HTTP/1.1 ")?.get(..3)?;
        let (status, detail) = match status {
            "400" => (StatusCode::BAD_REQUEST, "The request is not HTTP that can be read."),
            "414" => (StatusCode::URI_TOO_LONG, "The address is longer than allowed."),
            "431" => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The headers are more, or longer, than allowed; clear the cookies of this site, if a browser sent them.",
            ),
            _ => return None,
        };
        let lines = text.strip_suffix("\r\n\r\n")?.split("\r\n").skip(1);
        let mut date = None;
        for line in lines {
            match line.split_once(": ")? {
                ("date", value) => date = Some(HeaderValue::from_str(value).ok()?),
                ("connection", "close") | ("content-length", "0") => {}
                _ => return None,
            }
        }
        Some(self.response(status, detail, date))
    }

    fn response(&self, status: StatusCode, detail: &'static str, date: Option<HeaderValue>) -> Vec<u8> {
        let correlation = new_correlation_id(&*self.randomness);
        tracing::info!(
            correlation_id = correlation,
            http.status = status.as_u16(),
            "refused a request that cannot be read"
        );
        let mut res = Response::new();
        let code = Problem::of_status(status).code().to_owned();
        Problem::new(status, code, detail).write(&correlation, &mut res);
        let mut headers = std::mem::take(res.headers_mut());
        headers.extend(self.headers.clone());
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if let Ok(value) = HeaderValue::from_str(&correlation) {
            headers.insert(CORRELATION_HEADER, value);
        }
        if let Some(date) = date {
            headers.insert(header::DATE, date);
        }
        let body = match res.take_body() {
            ResBody::Once(bytes) => bytes,
            _ => bytes::Bytes::new(),
        };
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let mut head = format!("HTTP/1.1 {status}\r\n");
        for (name, value) in &headers {
            let _ = write!(head, "{name}: {}\r\n", value.to_str().unwrap_or_default());
        }
        head.push_str("\r\n");
        [head.as_bytes(), &body].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zeros;

    impl Randomness for Zeros {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    #[test]
    fn only_what_hyper_says_by_itself_is_replaced() {
        let errors = ParseErrors::new("https://tenon.example.org", Arc::new(Zeros));
        let bare = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        let ours = String::from_utf8(errors.instead_of(bare.as_bytes()).unwrap()).unwrap();
        assert!(ours.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{ours}");
        for part in ["\"code\":\"malformed\"", "date: x", "connection: close", "nosniff", "max-age=63072000"]
        {
            assert!(ours.contains(part), "{part} in {ours}");
        }
        for other in [
            bare.replace("connection: close", "x-correlation-id: 1"),
            bare.replace("400", "404"),
            format!("{bare}x"),
            bare.replace("length: 0", "length: 3"),
        ] {
            assert!(errors.instead_of(other.as_bytes()).is_none(), "{other}");
        }
    }
}
