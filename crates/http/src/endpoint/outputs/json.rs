//! JSON answers and their entity tags.

use salvo::{
    Request, Response,
    http::{HeaderValue, Method, StatusCode, header},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::{
    endpoint::{OpDoc, Output, PREFIX, etag},
    problem::Problem,
};

/// A view of one thing, which knows the version of what it shows. What never changes is at version 1.
pub trait Versioned {
    /// The version.
    fn version(&self) -> i64;
}

/// 200 with one thing and its strong entity tag, `"<version>-<hash>"`; 304 when the caller has it already.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// 200 with something that has no single version, such as a board; its entity tag is a hash.
#[derive(Debug)]
pub struct Tagged<T>(pub T);

/// 200 with what an action has to say; no entity tag.
#[derive(Debug)]
pub struct Plain<T>(pub T);

/// 201 with the new thing, its address and its entity tag.
#[derive(Debug)]
pub struct Created<T> {
    location: String,
    view: T,
}

/// 202: it will be done.
#[derive(Debug)]
pub struct Accepted<T>(pub T);

/// 204.
#[derive(Debug)]
pub struct NoContent;

impl<T> Created<T> {
    /// A thing that was created at `path`, relative to the prefix of the API.
    pub fn at(path: impl AsRef<str>, view: T) -> Self {
        Self { location: format!("{PREFIX}{}", path.as_ref()), view }
    }
}

const ETAG: (&str, &str) = ("ETag", "Names this state; send it back as If-None-Match or If-Match.");

impl<T: Serialize + ToSchema + Versioned + Send + 'static> Output for Json<T> {
    fn describe(doc: &mut OpDoc) {
        describe_tagged::<T>(doc);
    }
    async fn write(self, req: &mut Request, res: &mut Response) -> Result<(), Problem> {
        write_tagged(Some(self.0.version()), &self.0, req, res)
    }
}

impl<T: Serialize + ToSchema + Send + 'static> Output for Tagged<T> {
    fn describe(doc: &mut OpDoc) {
        describe_tagged::<T>(doc);
    }
    async fn write(self, req: &mut Request, res: &mut Response) -> Result<(), Problem> {
        write_tagged(None, &self.0, req, res)
    }
}

impl<T: Serialize + ToSchema + Send + 'static> Output for Plain<T> {
    fn describe(doc: &mut OpDoc) {
        doc.success::<T>(StatusCode::OK, "Done.", &[]);
    }
    async fn write(self, _: &mut Request, res: &mut Response) -> Result<(), Problem> {
        write_json(StatusCode::OK, serialize(&self.0)?, res);
        Ok(())
    }
}

impl<T: Serialize + ToSchema + Versioned + Send + 'static> Output for Created<T> {
    fn describe(doc: &mut OpDoc) {
        doc.success::<T>(StatusCode::CREATED, "Created.", &[("Location", "Where it is."), ETAG]);
    }
    async fn write(self, _: &mut Request, res: &mut Response) -> Result<(), Problem> {
        let body = serialize(&self.view)?;
        set(res, header::ETAG, &tag_of(Some(self.view.version()), &body))?;
        set(res, header::LOCATION, &self.location)?;
        write_json(StatusCode::CREATED, body, res);
        Ok(())
    }
}

impl<T: Serialize + ToSchema + Send + 'static> Output for Accepted<T> {
    fn describe(doc: &mut OpDoc) {
        doc.success::<T>(StatusCode::ACCEPTED, "Accepted; it will be done.", &[]);
    }
    async fn write(self, _: &mut Request, res: &mut Response) -> Result<(), Problem> {
        write_json(StatusCode::ACCEPTED, serialize(&self.0)?, res);
        Ok(())
    }
}

impl Output for NoContent {
    fn describe(doc: &mut OpDoc) {
        doc.empty(StatusCode::NO_CONTENT, "Done.", &[]);
    }
    async fn write(self, _: &mut Request, res: &mut Response) -> Result<(), Problem> {
        res.status_code(StatusCode::NO_CONTENT);
        Ok(())
    }
}

fn describe_tagged<T: ToSchema>(doc: &mut OpDoc) {
    doc.success::<T>(StatusCode::OK, "Here it is.", &[ETAG]);
    doc.conditional();
}

fn write_tagged(
    version: Option<i64>,
    view: &impl Serialize,
    req: &Request,
    res: &mut Response,
) -> Result<(), Problem> {
    let body = serialize(view)?;
    let tag = tag_of(version, &body);
    set(res, header::ETAG, &tag)?;
    if is_known(&tag, req) {
        res.status_code(StatusCode::NOT_MODIFIED);
    } else {
        write_json(StatusCode::OK, body, res);
    }
    Ok(())
}

/// Whether the caller, reading, already has what `tag` names (RFC 9110 §13.1.2).
pub(super) fn is_known(tag: &str, req: &Request) -> bool {
    if ![Method::GET, Method::HEAD].contains(req.method()) {
        return false;
    }
    let opaque = tag.trim_matches('"');
    req.headers().get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok()).any(|line| {
        let mut rest = line.trim();
        if rest == "*" {
            return true;
        }
        while let Some((given, after)) = etag::first(rest) {
            if etag::is_same(given, opaque) {
                return true;
            }
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        false
    })
}

fn tag_of(version: Option<i64>, body: &[u8]) -> String {
    let hash = Sha256::digest(body);
    let hash = u64::from_be_bytes(hash[..8].try_into().expect("eight bytes are eight bytes"));
    version.map_or_else(|| format!("\"{hash:016x}\""), |version| format!("\"{version}-{hash:016x}\""))
}

pub(super) fn serialize(view: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(view).map_err(Problem::internal)
}

pub(super) fn set(res: &mut Response, name: header::HeaderName, value: &str) -> Result<(), Problem> {
    let value = HeaderValue::from_str(value).map_err(Problem::internal)?;
    res.headers_mut().insert(name, value);
    Ok(())
}

pub(super) fn write_json(status: StatusCode, body: Vec<u8>, res: &mut Response) {
    res.status_code(status);
    res.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    res.body(body);
}
