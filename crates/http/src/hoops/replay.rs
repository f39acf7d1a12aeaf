//! `Idempotency-Key`: a POST that is sent again gets the first answer again, and runs once.
//!
//! The key belongs to the person whose credential brought it. Answers that fail on our side are not kept, nor are
//! those that carry a secret: a password or token does not lie about for a day to save a retry. Operations with such
//! answers refuse the key rather than ignore it, and the document says so.

use std::sync::Arc;

use salvo::{
    Depot, FlowCtrl, Handler, Request, Response,
    http::{HeaderName, HeaderValue, ResBody, StatusCode, header},
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tenon_app::{
    App, access,
    idempotency::{self, Answer, Begun},
};
use tenon_core::{callers::Caller, tokens::Scope};

use crate::{
    csrf,
    endpoint::{Method, Operation, body_bytes, header_text},
    frame::{self, Frame, Presented},
    problem::Problem,
};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The longest key.
const KEY_LIMIT: usize = 255;

/// Headers that are given again with the body.
const KEPT: [HeaderName; 3] = [header::CONTENT_TYPE, header::LOCATION, header::ETAG];

pub(super) struct Replay;

/// A key, whose it is, and what it came with.
struct Claim {
    app: Arc<App>,
    caller: String,
    key: String,
    fingerprint: [u8; 32],
}

#[salvo::async_trait]
impl Handler for Replay {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
        let answer = match claim(req, depot).await {
            Ok(None) => {
                ctrl.call_next(req, depot, res).await;
                return;
            }
            Ok(Some(claim)) => claim.run(req, depot, res, ctrl).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = answer {
            ctrl.skip_rest();
            problem.write(&frame::correlation(depot), res);
        }
    }
}

/// The claim that a request makes, if it makes one.
async fn claim(req: &mut Request, depot: &Depot) -> Result<Option<Claim>, Problem> {
    if !req.headers().contains_key(&HEADER) {
        return Ok(None);
    }
    let Ok(operation) = depot.get_typed::<Arc<Operation>>() else { return Ok(None) };
    if operation.method != Method::Post {
        return Ok(None);
    }
    if operation.secret {
        let detail = "This operation takes no Idempotency-Key, since its response carries a secret; leave the header out.";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "idempotency-unsupported", detail));
    }
    let Ok(app) = depot.get_typed::<Arc<App>>() else { return Ok(None) };
    let key = header_text(req, &HEADER).filter(|key| is_decent(key)).map(str::to_owned).ok_or_else(|| {
        Problem::malformed(format!("Idempotency-Key must be 1 to {KEY_LIMIT} visible ASCII characters."))
    })?;
    let Some(caller) = caller(app, operation.scope, req, depot).await? else { return Ok(None) };
    let fingerprint = fingerprint(operation.streaming, req, depot).await?;
    Ok(Some(Claim { app: Arc::clone(app), caller, key, fingerprint }))
}

/// Whose key it is: a person's, looked up so that a credential that was revoked gets nothing again; else
/// whoever calls from that address. None for a credential that the endpoint will refuse.
async fn caller(
    app: &App,
    scope: Option<Scope>,
    req: &Request,
    depot: &Depot,
) -> Result<Option<String>, Problem> {
    let frame = Frame::of(depot)?;
    let credential = match frame.present(req, depot) {
        Err(_) => return Ok(None),
        Ok(Presented::Bearer(credential)) => Some(credential),
        Ok(Presented::Cookie(credential)) => {
            csrf::check(&*frame.verifier, &credential, req)?;
            Some(credential)
        }
        Ok(Presented::Nothing) => None,
    };
    let Some((credential, needs)) = credential.zip(scope) else {
        return Ok(Some(format!("address:{:?}", frame.settings.trusted_proxies.client(req))));
    };
    let caller = Caller { credential, needs, correlation_id: frame::correlation(depot).to_string() };
    let mut conn = app.read().await?;
    Ok(Some(format!("person:{}", access::person(app, &mut conn, &caller).await?.id)))
}

impl Claim {
    async fn run(
        self,
        req: &mut Request,
        depot: &mut Depot,
        res: &mut Response,
        ctrl: &mut FlowCtrl,
    ) -> Result<(), Problem> {
        let Self { app, caller, key, fingerprint } = &self;
        match idempotency::begin(app, caller, key, *fingerprint).await? {
            Begun::Fresh => {
                ctrl.call_next(req, depot, res).await;
                let kept = match keepable(res) {
                    Some(answer) => idempotency::finish(app, caller, key, *fingerprint, &answer).await,
                    None => idempotency::abandon(app, caller, key, *fingerprint).await,
                };
                if let Err(error) = kept {
                    // The work is done and its answer stands; only a retry would not find it.
                    tracing::warn!(error = %error, "an answer could not be kept for retries");
                }
                Ok(())
            }
            Begun::Replay(answer) => {
                ctrl.skip_rest();
                again(answer, res);
                Ok(())
            }
            Begun::Running => {
                let detail = "The first request with this idempotency key is still running.";
                Err(Problem::new(StatusCode::CONFLICT, "idempotency-running", detail)
                    .with_retry_after(std::time::Duration::from_secs(1)))
            }
            Begun::Mismatch => {
                let detail = "This idempotency key came with another request before.";
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-mismatch", detail))
            }
        }
    }
}

/// The answer, if it is worth giving again: what may come out differently next time is not.
fn keepable(res: &Response) -> Option<Answer> {
    let status = res.status_code.unwrap_or(StatusCode::OK);
    let passing = status.is_server_error()
        || [StatusCode::UNAUTHORIZED, StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS]
            .contains(&status);
    if passing || res.has_cookie_changes() {
        return None;
    }
    let body = match &res.body {
        ResBody::None => Vec::new(),
        ResBody::Once(bytes) => bytes.to_vec(),
        _ => return None,
    };
    let headers: Map<String, Value> = KEPT
        .iter()
        .filter_map(|name| Some((name.to_string(), res.headers().get(name)?.to_str().ok()?.into())))
        .collect();
    Some(Answer { status: status.as_u16(), headers: headers.into(), body })
}

fn again(answer: Answer, res: &mut Response) {
    res.status_code(StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK));
    for name in KEPT {
        let value = answer.headers.get(name.as_str()).and_then(Value::as_str);
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            res.headers_mut().insert(name, value);
        }
    }
    res.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    if !answer.body.is_empty() {
        res.body(answer.body);
    }
}

fn is_decent(key: &str) -> bool {
    (1..=KEY_LIMIT).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// What must be the same in a retry. A streamed body is known by its length alone.
async fn fingerprint(streaming: bool, req: &mut Request, depot: &Depot) -> Result<[u8; 32], Problem> {
    let mut hash = Sha256::new();
    let target = req.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let text = |name| header_text(req, &name).unwrap_or_default().to_owned();
    for part in [target, text(header::CONTENT_TYPE), text(header::CONTENT_LENGTH)] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    if !streaming {
        hash.update(body_bytes(req, depot).await?);
    }
    Ok(hash.finalize().into())
}
