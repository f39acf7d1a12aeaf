//! Responses that are given before the request was read to its end: 401, 404, 413, 415, ….
//!
//! On such a connection the next request would stand behind the rest of this one. So a small rest is read first, and
//! where that does not come soon the response says that the connection ends with it. Over HTTP/2 only the stream is at
//! stake: a small rest is read likewise, a larger one is refused when the stream is dropped.

use std::{
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::poll_fn;
use salvo::{
    BoxedError, Depot, FlowCtrl, Handler, Request, Response,
    http::{HeaderValue, ReqBody, ResBody, StatusCode, Version, header},
    hyper::body::{Body, Frame, SizeHint},
};

use super::connection::Connections;

/// How much of a body nobody wanted is read.
const SMALL: u64 = 256 << 10;
/// How long it has to come.
const SOON: Duration = Duration::from_secs(1);

pub(super) struct UnreadBody(pub(super) Arc<Connections>);

#[salvo::async_trait]
impl Handler for UnreadBody {
    async fn handle(&self, req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
        let connection = self.0.current();
        if let Some(connection) = &connection {
            connection.begin();
        }
        let body = if req.body().is_end_stream() { None } else { Some(Shared::of(req)) };
        ctrl.call_next(req, depot, res).await;
        if res.status_code == Some(StatusCode::SWITCHING_PROTOCOLS) {
            return;
        }
        if let Some(body) = body
            && !body.is_over(expects_continue(req)).await
            && req.version() < Version::HTTP_2
        {
            res.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            if let Some(connection) = &connection {
                connection.linger();
            }
        }
        if let Some(connection) = connection
            && matches!(res.body, ResBody::None | ResBody::Once(_))
        {
            connection.answered();
        }
    }
}

/// Whether the client sends its body only when it is asked to.
fn expects_continue(req: &Request) -> bool {
    req.headers()
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The body of a request, which stays at hand when whoever read it has dropped it.
#[derive(Clone)]
struct Shared(Arc<Mutex<Rest>>);

struct Rest {
    body: ReqBody,
    /// Whether anybody has begun to read.
    touched: bool,
    state: Reading,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Going,
    Over,
    Failed,
}

impl Shared {
    /// Takes the place of the request's body.
    fn of(req: &mut Request) -> Self {
        let rest = Rest { body: req.take_body(), touched: false, state: Reading::Going };
        let shared = Self(Arc::new(Mutex::new(rest)));
        req.replace_body(ReqBody::Boxed { inner: Box::pin(shared.clone()), fuse_config: None });
        shared
    }

    fn with<T>(&self, f: impl FnOnce(&mut Rest) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the body is at its end, perhaps after reading the small rest of it.
    async fn is_over(&self, expects_continue: bool) -> bool {
        let (touched, state, least) = self.with(|rest| {
            if rest.state == Reading::Going && rest.body.is_end_stream() {
                rest.state = Reading::Over;
            }
            (rest.touched, rest.state, rest.body.size_hint().lower())
        });
        match state {
            Reading::Over => true,
            Reading::Failed => false,
            // To read would be to ask for it.
            Reading::Going if expects_continue && !touched => false,
            Reading::Going if least > SMALL => false,
            Reading::Going => tokio::time::timeout(SOON, self.read_rest()).await.unwrap_or(false),
        }
    }

    async fn read_rest(&self) -> bool {
        let mut body = pin!(self.clone());
        let mut read = 0;
        while read <= SMALL {
            match poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, |bytes| bytes.len() as u64),
            }
        }
        false
    }
}

impl Body for Shared {
    type Data = Bytes;
    type Error = BoxedError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxedError>>> {
        self.with(|rest| {
            rest.touched = true;
            let frame = Pin::new(&mut rest.body).poll_frame(cx);
            match &frame {
                Poll::Ready(None) => rest.state = Reading::Over,
                Poll::Ready(Some(Err(_))) => rest.state = Reading::Failed,
                _ => {}
            }
            frame.map_err(Into::into)
        })
    }

    fn is_end_stream(&self) -> bool {
        self.with(|rest| rest.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|rest| rest.body.size_hint())
    }
}
