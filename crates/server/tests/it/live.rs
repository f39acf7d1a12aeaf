//! The plainest websocket client: enough to hear that and why it is closed.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// An open live connection.
pub(crate) struct Live(TcpStream);

impl Live {
    /// Opens it with a token; the answer when it is refused.
    pub(crate) fn open(address: &str, token: &str) -> Result<Self, String> {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(
            stream,
            "GET /api/v1/events HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        if head.starts_with("HTTP/1.1 101") { Ok(Self(stream)) } else { Err(head) }
    }

    /// The code it is closed with; what comes before is passed over. Frames of a server are not masked, and ours to
    /// somebody who subscribed to nothing are short.
    pub(crate) fn closed(mut self) -> u16 {
        loop {
            let mut head = [0; 2];
            self.0.read_exact(&mut head).unwrap();
            let mut body = vec![0; usize::from(head[1])];
            self.0.read_exact(&mut body).unwrap();
            if head[0] & 0x0f == 8 {
                return u16::from_be_bytes([body[0], body[1]]);
            }
        }
    }
}
