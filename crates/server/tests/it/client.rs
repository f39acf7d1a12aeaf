//! The plainest HTTP client: blocking, one connection kept open, JSON both ways.
//!
//! A request is never sent twice on its own: a test that kills the server must know what was answered.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body; null when there is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }
}

/// A client of the API at one address.
#[derive(Debug)]
pub(crate) struct Client {
    address: String,
    headers: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    /// Nothing is connected before the first call.
    pub(crate) fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), headers: String::new(), stream: None }
    }

    /// The same client, showing `token` with every call.
    pub(crate) fn bearing(self, token: &str) -> Self {
        self.with_header("authorization", &format!("Bearer {token}"))
    }

    /// The same client, sending one more header with every call.
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.extend([name, ": ", value, "\r\n"]);
        self
    }

    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.call("GET", path, None)
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> io::Result<Answer> {
        self.call("POST", path, Some(body))
    }

    /// Calls `path` of the API. After a failure the next call connects anew.
    pub(crate) fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        let (answer, stream) = self.exchange(stream, method, path, body)?;
        self.stream = stream;
        Ok(answer)
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }

    fn exchange(
        &self,
        mut stream: BufReader<TcpStream>,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> io::Result<(Answer, Option<BufReader<TcpStream>>)> {
        let body = body.map_or_else(String::new, Value::to_string);
        let (host, headers, length) = (&self.address, &self.headers, body.len());
        let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nhost: {host}\r\n{headers}{kind}content-length: {length}\r\n\r\n{body}"
        );
        stream.get_mut().write_all(request.as_bytes())?;
        let status = line(&mut stream)?;
        let status = status.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(garbled)?;
        let (mut length, mut open) = (0, true);
        loop {
            let header = line(&mut stream)?.to_ascii_lowercase();
            match header.split_once(": ") {
                None => break,
                Some(("content-length", value)) => length = value.parse().map_err(|_| garbled())?,
                Some(("connection", "close")) => open = false,
                Some(("transfer-encoding", _)) => return Err(garbled()),
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        Ok((Answer { status, body }, open.then_some(stream)))
    }
}

/// One line of the head, without its end; an empty one ends the head.
fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn garbled() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an answer that this client does not understand")
}
