//! Requests to a service in process. No exchange passes that the document does not allow.

use std::{net::SocketAddr, sync::Arc};

use salvo::{
    Request, Service,
    http::{HeaderMap, StatusCode},
    test::{RequestBuilder, ResponseExt},
};
use serde_json::Value;

use super::exchange::{Contract, Received, Sent};

/// A service and the document it is held to.
pub struct Wire {
    pub service: Service,
    pub contract: Contract,
}

impl Wire {
    pub fn new(service: Service, document: &Value) -> Self {
        Self { service, contract: Contract::new(document) }
    }
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
    /// Status and code of a problem.
    pub fn problem(&self) -> (u16, String) {
        (self.status, self.json()["code"].as_str().unwrap_or_default().to_owned())
    }
    /// Pointer and code of the first fault.
    pub fn fault(&self) -> String {
        let fault = &self.json()["errors"][0];
        format!("{} {}", fault["pointer"].as_str().unwrap_or("?"), fault["code"].as_str().unwrap_or("?"))
    }
    /// The same answer, whose status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
    pub fn etag(&self) -> String {
        self.header("etag").to_owned()
    }
}

/// A request in the making.
pub struct Call {
    wire: Arc<Wire>,
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    peer: Option<SocketAddr>,
}

impl Call {
    /// To a path of the API.
    pub fn new(wire: &Arc<Wire>, method: &'static str, path: &str) -> Self {
        Self::to(wire, method, format!("/api/v1{path}"))
    }
    /// To any path.
    pub fn to(wire: &Arc<Wire>, method: &'static str, target: impl Into<String>) -> Self {
        let wire = Arc::clone(wire);
        Self { wire, method, target: target.into(), headers: Vec::new(), body: Vec::new(), peer: None }
    }
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
    /// As the one person of the sample.
    pub fn signed(self) -> Self {
        self.header("authorization", "Bearer ada")
    }
    pub fn if_match(self, etag: impl Into<String>) -> Self {
        self.header("if-match", etag)
    }
    /// With a JSON body, as text or as a value.
    #[expect(clippy::needless_pass_by_value, reason = "a test hands over what it has just made")]
    pub fn json(self, body: impl ToString) -> Self {
        let mut call = self.header("content-type", "application/json");
        call.body = body.to_string().into_bytes();
        call
    }
    pub fn bytes(mut self, media_type: &str, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self.header("content-type", media_type)
    }
    pub fn from(mut self, peer: &str) -> Self {
        self.peer = Some(format!("{peer}:4711").parse().unwrap());
        self
    }
    pub async fn send(self) -> Answer {
        let method = self.method.parse().unwrap();
        let mut builder = RequestBuilder::new(format!("http://localhost{}", self.target), method);
        if !self.headers.iter().any(|(name, _)| *name == "host") {
            builder = builder.add_header("host", "localhost", true);
        }
        for (name, value) in &self.headers {
            builder = builder.add_header(*name, value, false);
        }
        if !self.body.is_empty() {
            builder = builder.body(self.body.clone());
        }
        let mut request: Request = builder.build();
        if let Some(peer) = self.peer {
            *request.remote_addr_mut() = peer.into();
        }
        let headers = request.headers().clone();
        let mut response = self.wire.service.handle(request).await;
        let body = response.take_bytes(None).await.map_or_else(|_| Vec::new(), |bytes| bytes.to_vec());
        let answer = Answer {
            status: response.status_code.unwrap_or(StatusCode::OK).as_u16(),
            headers: response.headers().clone(),
            body,
        };
        let sent = Sent { method: self.method, target: &self.target, headers: &headers, body: &self.body };
        let received = Received { status: answer.status, headers: &answer.headers, body: &answer.body };
        let is_compressed = answer.headers.contains_key("content-encoding");
        let violations =
            if is_compressed { Vec::new() } else { self.wire.contract.violations(&sent, &received) };
        assert!(violations.is_empty(), "{} {}: {violations:#?}", self.method, self.target);
        answer
    }
    /// Sends, and the answer has this status.
    pub async fn expect(self, status: u16) -> Answer {
        let what = format!("{} {}", self.method, self.target);
        let answer = self.send().await;
        assert_eq!(answer.status, status, "{what}: {}", String::from_utf8_lossy(&answer.body));
        answer
    }
}
