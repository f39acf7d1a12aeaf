//! `GET /metrics` on a listener of its own, which no proxy leads to.
//!
//! Small enough to be written out: it shares nothing with the API, so that it answers when that is stuck.

use std::time::Duration;

use tenon_core::secrets::Secret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::TaskTracker;

use super::Figures;

const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_HEAD: usize = 8 * 1024;

/// Answers for as long as it is polled.
pub(crate) async fn serve(listener: TcpListener, figures: Figures, token: Option<Secret>) {
    let answers = TaskTracker::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (figures, token) = (figures.clone(), token.clone());
                answers.spawn(async move {
                    // Whoever asks too slowly or goes away asks again in a few seconds.
                    let _ = tokio::time::timeout(PATIENCE, answer(stream, &figures, token.as_ref())).await;
                });
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "Cannot accept a reader of metrics");
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, figures: &Figures, token: Option<&Secret>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > LONGEST_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, body) = match judge(&String::from_utf8_lossy(&head), token) {
        Ok(()) => ("200 OK", figures.render()),
        Err(status) => (status, String::new()),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Whether the request may have the figures, or the status that refuses it.
fn judge(head: &str, token: Option<&Secret>) -> Result<(), &'static str> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if target.split('?').next() != Some("/metrics") {
        return Err("404 Not Found");
    }
    if method != "GET" {
        return Err("405 Method Not Allowed");
    }
    let Some(token) = token else { return Ok(()) };
    let shown = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("authorization").then(|| value.trim().strip_prefix("Bearer "))?
    });
    if shown.is_some_and(|shown| same(shown.as_bytes(), token.expose().as_bytes())) {
        Ok(())
    } else {
        Err("401 Unauthorized")
    }
}

/// Compares in a time that tells nothing about where two texts differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use tenon_core::secrets::Secret;

    use super::judge;

    #[test]
    fn only_a_get_of_metrics_with_the_token_is_answered() {
        let token = Secret::new("right".to_owned());
        let ask = |head: &str| judge(head, Some(&token));
        assert_eq!(ask("GET /metrics HTTP/1.1\r\nHost: x\r\nauthorization: Bearer right\r\n\r\n"), Ok(()));
        assert_eq!(
            ask("GET /metrics HTTP/1.1\r\nAuthorization: Bearer wrong\r\n\r\n"),
            Err("401 Unauthorized")
        );
        assert_eq!(ask("GET /metrics HTTP/1.1\r\n\r\n"), Err("401 Unauthorized"));
        assert_eq!(ask("GET / HTTP/1.1\r\n\r\n"), Err("404 Not Found"));
        assert_eq!(ask("POST /metrics HTTP/1.1\r\n\r\n"), Err("405 Method Not Allowed"));
        assert_eq!(judge("GET /metrics HTTP/1.1\r\n\r\n", None), Ok(()));
    }
}
