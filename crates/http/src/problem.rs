//! Problems: the one shape of everything that went wrong (RFC 9457).
//!
//! A problem whose status is 5xx tells its reader nothing but the correlation id; the cause goes to
//! the log, once, when the problem is written to the response.

use std::{borrow::Cow, time::Duration};

use salvo::{
    Response,
    http::{HeaderName, HeaderValue, StatusCode, header},
};
use serde::Serialize;
use tenon_core::{BoxError, Error, FieldError};
use utoipa::ToSchema;

/// The media type of every problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What an endpoint answers instead of its output.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    current: Option<serde_json::Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<BoxError>,
}

/// What went wrong (RFC 9457). Programs branch on `code`, people read `detail`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "/api/docs#problem-not-found",
    "title": "Not Found",
    "status": 404,
    "code": "not-found",
    "detail": "There is no such story, or it is not yours to see.",
    "instance": "b7a3c1de-5b7e-4c3a-9a51-2f8b4d1e6a70"
}))]
pub struct ProblemView {
    /// Where this kind of problem is explained, relative to the instance.
    r#type: String,
    /// The status in words.
    title: &'static str,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// A stable kebab-case word, for programs.
    code: String,
    /// A sentence, for people.
    detail: String,
    /// The correlation id of the request.
    instance: String,
    /// What is wrong with which field, where that can be told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<ProblemField>,
    /// For 412: the thing as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<serde_json::Value>,
}

/// One thing wrong with one field of a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemField {
    /// JSON pointer into the body (`/title`), or the name of a parameter.
    #[schema(example = "/title")]
    pointer: String,
    /// A stable kebab-case word, for programs.
    #[schema(example = "too-short")]
    code: String,
    /// A sentence, for people.
    #[schema(example = "must not be empty")]
    detail: String,
}

impl From<FieldError> for ProblemField {
    fn from(FieldError { pointer, code, detail }: FieldError) -> Self {
        Self { pointer, code, detail }
    }
}

impl Problem {
    /// A problem with its status, its stable kebab-case word and a sentence for a person.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Parts {
            status,
            code: code.into(),
            detail: detail.into(),
            errors: Vec::new(),
            current: None,
            headers: Vec::new(),
            cause: None,
        }))
    }

    /// The request cannot be read at all.
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// The request reads well but says something impossible.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Some of what was sent is not valid.")
            .with_errors(errors)
    }

    /// Not there, or not the caller's to see.
    pub fn not_found(what: &str) -> Self {
        let detail = format!("There is no such {what}, or it is not yours to see.");
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// The precondition does not hold.
    pub fn stale(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "stale", detail)
    }

    /// A defect; `cause` goes to the log and to nobody else.
    pub fn internal(cause: impl Into<BoxError>) -> Self {
        let detail = "Something went wrong on our side. The instance names this request in our logs.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).with_cause(cause.into())
    }

    /// A problem that has no better words than its status.
    pub fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status.as_u16() {
            400 => ("malformed", "The request cannot be read."),
            401 => ("unauthenticated", "This needs a valid credential."),
            403 => ("forbidden", "You may not do this."),
            404 => ("not-found", "There is nothing at this address."),
            405 => {
                ("method-not-allowed", "This address does not know that method; Allow names those it knows.")
            }
            408 | 504 => ("timeout", "The request took too long."),
            411 => ("length-required", "The request must say how long it is."),
            413 => ("too-large", "The request is larger than allowed."),
            414 => ("uri-too-long", "The address is too long."),
            415 => ("unsupported-media-type", "This media type is not understood here."),
            416 => ("range-not-satisfiable", "The file has no such range."),
            417 => ("expectation-failed", "The expectation cannot be met."),
            421 => ("misdirected", "This host is not served here."),
            426 => ("upgrade-required", "This address only speaks websocket."),
            431 => ("headers-too-large", "The headers are larger than allowed."),
            429 => ("rate-limited", "Too many requests; Retry-After says when to come back."),
            503 => ("unavailable", "The service cannot answer for now; try again soon."),
            _ if status.is_server_error() => {
                ("internal", "Something went wrong on our side. The instance names this request in our logs.")
            }
            _ => ("refused", "The request was refused."),
        };
        let problem = Self::new(status, code, detail);
        match status.as_u16() {
            401 => problem.with_header(header::WWW_AUTHENTICATE, "Bearer"),
            429 | 503 => problem.with_retry_after(Duration::from_secs(5)),
            _ => problem,
        }
    }

    /// The same problem, naming what is wrong with which field.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// The same problem, showing the thing as it is now.
    #[must_use]
    pub fn with_current(mut self, current: Option<serde_json::Value>) -> Self {
        self.0.current = current;
        self
    }

    /// The same problem with a header; a value that no header can carry is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.push((name, value));
        }
        self
    }

    /// The same problem, saying when to come back; never sooner than in a second.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.with_header(header::RETRY_AFTER, &seconds.max(1).to_string())
    }

    /// The same problem, with a cause for the log.
    #[must_use]
    pub fn with_cause(mut self, cause: BoxError) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Its stable word.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// Writes the problem as the whole answer and logs its cause if it is ours.
    pub fn write(self, correlation: &str, res: &mut Response) {
        self.log(correlation);
        let Parts { status, code, detail, errors, current, headers, .. } = *self.0;
        let view = ProblemView {
            r#type: format!("/api/docs#problem-{code}"),
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            code: code.into_owned(),
            detail: detail.into_owned(),
            instance: correlation.to_owned(),
            errors: errors.into_iter().map(ProblemField::from).collect(),
            current,
        };
        let body = serde_json::to_vec(&view).expect("strings and JSON values always serialise");
        res.status_code(status);
        for stale in [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::ETAG, header::LOCATION] {
            res.headers_mut().remove(stale);
        }
        for (name, value) in headers {
            res.headers_mut().insert(name, value);
        }
        res.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        res.body(body);
    }

    fn log(&self, correlation: &str) {
        let status = self.0.status.as_u16();
        // Of maintenance the log has been told once, when it began.
        if status < 500 || self.0.code == "maintenance" {
            return;
        }
        let causes = self.0.cause.as_deref().map(|cause| chain(cause)).unwrap_or_default();
        if status == 503 {
            tracing::warn!(
                correlation_id = correlation,
                problem.code = %self.0.code,
                problem.causes = causes,
                "a component was not available to a request"
            );
        } else {
            tracing::error!(
                correlation_id = correlation,
                problem.code = %self.0.code,
                problem.causes = causes,
                "a request failed on our side"
            );
        }
    }
}

/// An error and everything under it, on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(what) => Self::not_found(what),
            Error::UnknownName(detail) => Self::new(
                StatusCode::NOT_FOUND,
                "not-found",
                if detail.ends_with('?') { detail } else { format!("{detail}.") },
            ),
            Error::Unauthenticated => Self::of_status(StatusCode::UNAUTHORIZED),
            Error::Inactive { code, detail } => Self::new(StatusCode::UNAUTHORIZED, code, detail)
                .with_header(header::WWW_AUTHENTICATE, "Bearer"),
            Error::Forbidden(what) => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", format!("You may not {what}."))
            }
            Error::Conflict { code, detail } => Self::new(StatusCode::CONFLICT, code, detail),
            Error::Invalid(errors) => Self::invalid(errors),
            Error::Stale { what, expected, current, representation } => Self::stale(if expected > 0 {
                format!("The {what} has changed since version {expected}; it is at version {current}.")
            } else {
                format!(
                    "If-Match names no ETag of ours, so nothing was changed. The {what} is at version {current}; fetch it for its ETag."
                )
            })
            .with_current(representation),
            Error::RateLimited { retry_after } => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "rate-limited",
                "Too many requests; try again later.",
            )
            .with_retry_after(retry_after),
            Error::LimitReached { code, detail, retry_after } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail).with_retry_after(retry_after)
            }
            Error::TooLarge { limit } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                format!("At most {limit} bytes are accepted here."),
            ),
            Error::Unavailable { source, .. } => {
                Self::of_status(StatusCode::SERVICE_UNAVAILABLE).with_cause(source)
            }
            Error::Internal(source) => Self::internal(source),
            other => Self::internal(other),
        }
    }
}
