//! Requests on raw sockets: responses before the request was read, requests that cannot be read.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::harness::sample::{FIRST, Sample, Served};

/// Longer than anything takes.
const DEADLINE: Duration = Duration::from_secs(10);

/// One response: its head in lower case, and its body.
struct Got {
    head: String,
    body: Vec<u8>,
}

impl Got {
    fn status(&self) -> u16 {
        self.head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }
    fn closes(&self) -> bool {
        self.head.contains("\r\nconnection: close\r\n")
    }
}

/// Reads the next response; its status is 0 when the connection ended instead.
async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> Got {
    let reading = async {
        let mut bytes = Vec::new();
        loop {
            if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end + 4]).to_lowercase();
                let length =
                    head.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.split('\r').next());
                let length: usize = length.map_or(0, |digits| digits.parse().unwrap());
                let mut body = bytes.split_off(end + 4);
                while body.len() < length {
                    if stream.read_buf(&mut body).await.unwrap_or(0) == 0 {
                        break;
                    }
                }
                return Got { head, body };
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return Got { head: String::from_utf8_lossy(&bytes).into_owned(), body: Vec::new() };
            }
        }
    };
    timeout(DEADLINE, reading).await.expect("a response in time")
}

async fn connect(served: &Served) -> TcpStream {
    TcpStream::connect(served.address).await.unwrap()
}

const HEALTH: &[u8] = b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\n\r\n";

fn head(method: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("{method} /api/v1{path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n").into_bytes()
}

#[tokio::test]
async fn after_a_response_that_came_before_the_body_the_connection_goes_on_or_says_that_it_ends() {
    let served = Sample::served().await;
    let json = "content-type: application/json\r\ncontent-length: 2\r\n";
    for (method, path, headers, status) in [
        ("PATCH", FIRST, json.to_owned(), 401),
        ("POST", "/nowhere", json.to_owned(), 404),
        ("PUT", "/notes", json.to_owned(), 405),
        ("POST", "/notes", format!("authorization: Bearer ada\r\n{}", json.replace("json", "xml")), 415),
        ("PUT", "/notes/file", "authorization: Bearer ada\r\ncontent-length: 200000\r\n".to_owned(), 413),
    ] {
        let length: usize = headers.split("content-length: ").nth(1).unwrap().trim().parse().unwrap();
        let mut stream = connect(&served).await;
        stream.write_all(&head(method, path, &headers)).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(&vec![b' '; length]).await.unwrap();
        let got = read(&mut stream).await;
        assert_eq!(got.status(), status, "{}", got.head);
        assert!(!got.closes(), "a small rest is read: {}", got.head);
        stream.write_all(HEALTH).await.unwrap();
        assert_eq!(read(&mut stream).await.status(), 200, "the next request after a {status}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_or_is_large_ends_the_connection_in_words() {
    let served = Sample::served().await;
    for headers in [
        "content-length: 2\r\n",
        "content-length: 2\r\nexpect: 100-continue\r\n",
        "content-length: 40000000\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        let mut stream = connect(&served).await;
        stream.write_all(&head("PATCH", FIRST, headers)).await.unwrap();
        let got = read(&mut stream).await;
        assert_eq!(got.status(), 401, "{headers}: {}", got.head);
        assert!(got.closes(), "{headers}: {}", got.head);
        // The client has read that, and ends too.
        stream.shutdown().await.unwrap();
        assert_eq!(read(&mut stream).await.status(), 0, "{headers}: nothing comes after it");
    }
}

#[tokio::test]
async fn a_large_upload_that_is_refused_hears_why_although_it_still_sends() {
    let served = Sample::served().await;
    let mut stream = connect(&served).await;
    let headers = "authorization: Bearer ada\r\ncontent-length: 40000000\r\n";
    stream.write_all(&head("PUT", "/notes/file", headers)).await.unwrap();
    // The first piece is on its way before anybody listens for the response.
    let (mut reading, mut writing) = stream.split();
    let piece = vec![0; 100_000];
    let sending = async {
        for _ in 0..40 {
            if writing.write_all(&piece).await.is_err() {
                return false;
            }
        }
        true
    };
    let (whole, got) = tokio::join!(sending, read(&mut reading));
    assert_eq!((got.status(), got.closes()), (413, true), "{}", got.head);
    assert!(whole, "four megabytes were thrown away, not reset");
}

#[tokio::test]
async fn requests_that_cannot_be_read_are_refused_with_problems_and_security_headers() {
    let served = Sample::served().await;
    let long = "x".repeat(70_000);
    let many = (0..200).map(|n| format!("x-{n}: 1")).collect::<Vec<_>>().join("\r\n") + "\r\n";
    for (request, status, code) in [
        (format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), 414, "uri-too-long"),
        (format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n"), 431, "headers-too-large"),
        ("GET / HTTP/1.1\r\nhost x\r\n\r\n".to_owned(), 400, "malformed"),
        ("GET / HTTP/9\r\n\r\n".to_owned(), 400, "malformed"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, "malformed"),
        ("GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n".to_owned(), 400, "malformed"),
        ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n".to_owned(), 400, "malformed"),
    ] {
        for before in [false, true] {
            let mut stream = connect(&served).await;
            if before {
                stream.write_all(HEALTH).await.unwrap();
                assert_eq!(read(&mut stream).await.status(), 200);
            }
            stream.write_all(request.as_bytes()).await.unwrap();
            let got = read(&mut stream).await;
            let what = &request[..request.len().min(60)];
            assert_eq!(got.status(), status, "{what}: {}", got.head);
            let problem: serde_json::Value = serde_json::from_slice(&got.body).expect("a problem");
            assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()), "{what}");
            let named = format!("x-correlation-id: {}", problem["instance"].as_str().unwrap());
            for header in ["application/problem+json", "nosniff", "max-age=63072000", "no-store", &named] {
                assert!(got.head.contains(header), "{header} of {what}: {}", got.head);
            }
        }
    }
}

#[tokio::test]
async fn a_body_in_another_coding_than_chunks_is_refused() {
    let served = Sample::served().await;
    let mut stream = connect(&served).await;
    let headers =
        "authorization: Bearer ada\r\ncontent-type: application/json\r\ntransfer-encoding: gzip, chunked\r\n";
    stream.write_all(&head("POST", "/notes", headers)).await.unwrap();
    stream.write_all(b"2\r\n{}\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut stream).await.status(), 415);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the driver of a connection ends with it")]
async fn over_http2_an_early_response_leaves_the_connection_alone() {
    use salvo::hyper::http::Request;
    let served = Sample::served().await;
    let (mut client, connection) = h2::client::handshake(connect(&served).await).await.unwrap();
    tokio::spawn(connection);
    for size in [2_usize, 600_000] {
        let request = Request::builder()
            .method("PATCH")
            .uri(format!("http://{}/api/v1{FIRST}", served.address))
            .header("content-type", "application/json")
            .body(())
            .unwrap();
        client = client.ready().await.unwrap();
        let (response, mut body) = client.send_request(request, false).unwrap();
        body.reserve_capacity(size);
        body.send_data(vec![b' '; size.min(16_000)].into(), size <= 16_000).unwrap();
        let response = timeout(DEADLINE, response).await.unwrap().unwrap();
        assert_eq!(response.status(), 401);
        assert!(response.headers().get("connection").is_none());
        let request =
            Request::builder().uri(format!("http://{}/api/v1/health", served.address)).body(()).unwrap();
        client = client.ready().await.unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        assert_eq!(timeout(DEADLINE, response).await.unwrap().unwrap().status(), 200, "after {size} bytes");
    }
}

/// A real Caddy before the sample, on a unix socket; it ends when dropped.
struct Caddy {
    _process: tokio::process::Child,
    directory: tempfile::TempDir,
}

impl Caddy {
    async fn before(address: SocketAddr) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().display();
        let config = format!(
            "{{\n admin off\n auto_https off\n storage file_system {at}\n}}\nhttp:// {{\n bind unix/{at}/caddy.sock\n encode gzip\n reverse_proxy {address}\n}}\n"
        );
        std::fs::write(directory.path().join("Caddyfile"), config).unwrap();
        let spawned = tokio::process::Command::new("caddy")
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(directory.path().join("Caddyfile"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(process) = spawned else {
            tenon_testkit::services::skip("there is no caddy");
            return None;
        };
        let caddy = Self { _process: process, directory };
        let listening = async {
            while UnixStream::connect(caddy.directory.path().join("caddy.sock")).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, listening).await.expect("caddy listens");
        Some(caddy)
    }

    async fn call(&self, request: &[u8]) -> Got {
        let mut stream = UnixStream::connect(self.directory.path().join("caddy.sock")).await.unwrap();
        stream.write_all(request).await.unwrap();
        read(&mut stream).await
    }
}

#[tokio::test]
async fn behind_caddy_early_responses_cost_nobody_a_request() {
    let served = Sample::served().await;
    let Some(caddy) = Caddy::before(served.address).await else { return };
    let refused = |size: usize| {
        let headers = format!("content-type: application/json\r\ncontent-length: {size}\r\n");
        [head("PATCH", FIRST, &headers), vec![b' '; size]].concat()
    };
    for round in 0..60 {
        let size = [2, 5_000, 200_000][round % 3];
        let early = refused(size);
        let (early, first, second) = tokio::join!(caddy.call(&early), caddy.call(HEALTH), caddy.call(HEALTH));
        assert_eq!(early.status(), 401, "round {round}: {}", early.head);
        assert_eq!((first.status(), second.status()), (200, 200), "round {round}");
    }
}

#[tokio::test]
async fn an_etag_that_caddy_made_weak_still_changes_what_it_names() {
    let served = Sample::served().await;
    let Some(caddy) = Caddy::before(served.address).await else { return };
    let bearer = "authorization: Bearer ada\r\n";
    let got = caddy.call(&head("GET", FIRST, &format!("{bearer}accept-encoding: gzip\r\n"))).await;
    let tag = got.head.split("etag: ").nth(1).unwrap().split('\r').next().unwrap().to_owned();
    for tag in [tag.clone(), format!("W/{}", tag.trim_start_matches("w/"))] {
        let headers =
            format!("{bearer}if-match: {tag}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n");
        let changed = caddy.call(&[head("PATCH", FIRST, &headers), b"{}".to_vec()].concat()).await;
        assert_eq!(changed.status(), 200, "{tag}: {}", changed.head);
    }
}
