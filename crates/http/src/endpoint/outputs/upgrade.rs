//! Websockets.

use futures_util::{FutureExt, future::BoxFuture};
use salvo::{
    Request, Response,
    http::{StatusCode, header},
    websocket::{WebSocket, WebSocketUpgrade},
};

use crate::{
    endpoint::{OpDoc, Output},
    problem::Problem,
};

/// The longest message a client may send.
const MESSAGE_LIMIT: usize = 64 << 10;

/// 101, and what then happens on the socket.
pub struct Upgrade(Box<dyn FnOnce(WebSocket) -> BoxFuture<'static, ()> + Send>);

impl Upgrade {
    /// Hands the socket to `serve`.
    pub fn new<F, Fut>(serve: F) -> Self
    where
        F: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self(Box::new(move |socket| serve(socket).boxed()))
    }
}

impl Output for Upgrade {
    fn describe(doc: &mut OpDoc) {
        doc.streaming = true;
        doc.websocket = true;
        doc.empty(StatusCode::SWITCHING_PROTOCOLS, "The connection is now a websocket.", &[]);
        doc.problem(StatusCode::UPGRADE_REQUIRED, "This is not a websocket handshake.");
        doc.problem(StatusCode::FORBIDDEN, "The page's origin is not one of ours.");
    }

    async fn write(self, req: &mut Request, res: &mut Response) -> Result<(), Problem> {
        let upgrade = WebSocketUpgrade::new().max_message_size(MESSAGE_LIMIT).max_frame_size(MESSAGE_LIMIT);
        upgrade.upgrade(req, res, self.0).await.map_err(|_| {
            Problem::of_status(StatusCode::UPGRADE_REQUIRED).with_header(header::UPGRADE, "websocket")
        })
    }
}
