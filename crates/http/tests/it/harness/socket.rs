//! A websocket client over the loopback.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tenon_app::App;
use tenon_http::{
    Assembled,
    live::Hub,
    serve::{Listener, Terms, serve},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use super::app::{Actor, TestApp, Twin};

/// Longer than anything takes; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(10);

/// A server on the loopback; it ends with the test's application.
pub struct Served {
    pub address: std::net::SocketAddr,
}

impl Served {
    /// Serves an application of the test's. The service is built anew, as salvo's is not shared.
    pub fn start(app: &TestApp) -> Self {
        Self::of(app, &app.app, &app.hub)
    }

    /// Serves another process of the same instance.
    pub fn start_twin(app: &TestApp, twin: &Twin) -> Self {
        Self::of(app, &twin.app, &twin.hub)
    }

    #[expect(clippy::disallowed_methods, reason = "the test's application ends it")]
    fn of(test: &TestApp, app: &Arc<App>, hub: &Arc<Hub>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let Assembled { service, parse_errors, .. } =
            tenon_http::service(app, hub, test.frame.clone(), vec![]);
        let stopping = test.shutdown.clone();
        let terms =
            Terms { leaving: stopping.clone(), stopping, grace: Duration::from_secs(1), connections: 10_000 };
        tokio::spawn(serve(service, parse_errors, vec![Listener::Tcp(listener)], terms));
        Self { address }
    }

    /// Opens the live connection of a person.
    pub async fn open(&self, who: &Actor) -> Socket {
        self.open_with(&[("authorization", &format!("Bearer {}", who.token))]).await.unwrap()
    }

    pub async fn open_with(&self, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
        let mut request = format!("ws://{}/api/v1/events", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }
}

/// One open connection.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub async fn say(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    pub async fn say_text(&mut self, text: &str) {
        self.0.send(Message::text(text.to_owned())).await.unwrap();
    }

    /// The next frame.
    pub async fn hear(&mut self) -> Value {
        loop {
            match self.next().await {
                Some(Message::Text(text)) => return serde_json::from_str(&text).unwrap(),
                Some(Message::Close(close)) => panic!("closed: {close:?}"),
                None => panic!("gone"),
                _ => {}
            }
        }
    }

    /// The code with which the server closes; frames before it are passed over.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.next().await {
                Some(Message::Close(Some(close))) => return close.code.into(),
                Some(Message::Close(None)) | None => return 0,
                _ => {}
            }
        }
    }

    async fn next(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(DEADLINE, self.0.next()).await.expect("nothing came");
        next.and_then(Result::ok)
    }

    /// Subscribes, and answers the position of the answer.
    pub async fn subscribe(&mut self, stream: &str, after: Option<i64>) -> i64 {
        let mut frame = json!({ "op": "subscribe", "id": 1, "stream": stream });
        if let Some(after) = after {
            frame["after"] = json!(after);
        }
        self.say(frame).await;
        let answer = self.hear().await;
        assert_eq!(answer["op"], "subscribed", "{answer}");
        answer["seq"].as_i64().unwrap()
    }
}

/// The stream of a project.
pub fn project(id: impl std::fmt::Display) -> String {
    format!("project:{id}")
}
