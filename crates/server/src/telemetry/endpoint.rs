//! `GET /metrics`, `/health` and `/readiness` on a listener of its own, which no proxy leads to.
//!
//! Small enough to be written out: it shares nothing with the API, so that it answers when that is stuck. It is how
//! a worker and a scheduler, which have no API, are asked how they are.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tenon_core::secrets::Secret;
use tenon_http::{
    readiness::{Finding, Readiness},
    serve::Refusals,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::TaskTracker;

use super::Figures;

const PATIENCE: Duration = Duration::from_secs(5);
/// How long nobody is heard after the system refused to hand over a connection.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_HEAD: usize = 8 * 1024;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Metrics,
    Health,
    Readiness,
}

/// What it tells of.
pub(crate) struct Endpoint {
    pub(crate) figures: Figures,
    /// What a reader of the figures must show.
    pub(crate) token: Option<Secret>,
    pub(crate) readiness: Arc<Readiness>,
}

impl Endpoint {
    /// Answers for as long as it is polled.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let this = Arc::new(self);
        let answers = TaskTracker::new();
        let mut refusals = Refusals::default();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let this = Arc::clone(&this);
                    answers.spawn(async move {
                        // Whoever asks too slowly or goes away asks again in a few seconds.
                        let _ = tokio::time::timeout(PATIENCE, this.answer(stream)).await;
                    });
                }
                Err(error) => {
                    refusals.tell(&error);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            if head.len() > LONGEST_HEAD || stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let (status, media_type, body) = match judge(&String::from_utf8_lossy(&head), self.token.as_ref()) {
            Ok(Wish::Metrics) => {
                ("200 OK", "text/plain; version=0.0.4; charset=utf-8", self.figures.render())
            }
            Ok(Wish::Health) => ("200 OK", "application/json", json!({ "status": "ok" }).to_string()),
            Ok(Wish::Readiness) => self.readiness().await,
            Err(status) => (status, "text/plain; charset=utf-8", String::new()),
        };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    }

    /// Names what is not ready; why is for those who may read the API's own readiness, and the log.
    async fn readiness(&self) -> (&'static str, &'static str, String) {
        let findings = self.readiness.findings().await;
        let names = |are: fn(&Finding) -> bool| -> Vec<&str> {
            findings.iter().filter(|finding| are(finding)).map(|finding| finding.name).collect()
        };
        let (ready, not_ready) = (names(|finding| finding.fault.is_none()), names(Finding::is_blocking));
        let (status, word) =
            if not_ready.is_empty() { ("200 OK", "ready") } else { ("503 Service Unavailable", "not-ready") };
        let body = json!({
            "status": word,
            "components": ready,
            "degraded": names(Finding::is_degraded),
            "not_ready": not_ready,
        });
        (status, "application/json", body.to_string())
    }
}

/// What the request may have, or the status that refuses it. How the process is, anybody may ask.
fn judge(head: &str, token: Option<&Secret>) -> Result<Wish, &'static str> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let wish = match target.split('?').next() {
        Some("/metrics") => Wish::Metrics,
        Some("/health") => Wish::Health,
        Some("/readiness") => Wish::Readiness,
        _ => return Err("404 Not Found"),
    };
    if method != "GET" {
        return Err("405 Method Not Allowed");
    }
    let Some(token) = token.filter(|_| wish == Wish::Metrics) else { return Ok(wish) };
    let shown = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("authorization").then(|| value.trim().strip_prefix("Bearer "))?
    });
    if shown.is_some_and(|shown| same(shown.as_bytes(), token.expose().as_bytes())) {
        Ok(wish)
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

    use super::{Wish, judge};

    #[test]
    fn only_a_get_of_metrics_with_the_token_is_answered() {
        let token = Secret::new("right".to_owned());
        let ask = |head: &str| judge(head, Some(&token));
        assert_eq!(
            ask("GET /metrics HTTP/1.1\r\nHost: x\r\nauthorization: Bearer right\r\n\r\n"),
            Ok(Wish::Metrics)
        );
        assert_eq!(
            ask("GET /metrics HTTP/1.1\r\nAuthorization: Bearer wrong\r\n\r\n"),
            Err("401 Unauthorized")
        );
        assert_eq!(ask("GET /metrics HTTP/1.1\r\n\r\n"), Err("401 Unauthorized"));
        assert_eq!(ask("GET / HTTP/1.1\r\n\r\n"), Err("404 Not Found"));
        assert_eq!(ask("POST /metrics HTTP/1.1\r\n\r\n"), Err("405 Method Not Allowed"));
        assert_eq!(judge("GET /metrics HTTP/1.1\r\n\r\n", None), Ok(Wish::Metrics));
        assert_eq!(ask("GET /readiness HTTP/1.1\r\n\r\n"), Ok(Wish::Readiness));
    }
}
