//! Websockets.

use futures_util::{FutureExt, future::BoxFuture};
use salvo::{
    Request, Response,
    http::{StatusCode, header},
    websocket::{WebSocket, WebSocketUpgrade},
};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::{
    endpoint::{OpDoc, Output},
    live,
    problem::Problem,
};

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
        // Buffers for many connections of little traffic.
        let config = WebSocketConfig::default()
            .read_buffer_size(8 << 10)
            .write_buffer_size(8 << 10)
            .max_message_size(Some(live::READ))
            .max_frame_size(Some(live::READ));
        let upgrade = WebSocketUpgrade::with_config(config);
        upgrade.upgrade(req, res, self.0).await.map_err(|_| {
            Problem::of_status(StatusCode::UPGRADE_REQUIRED).with_header(header::UPGRADE, "websocket")
        })
    }
}
