//! `tenon health`: whether a process of this configuration answers, for images and for scripts that have no `curl`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use crate::{
    config::{Config, Span},
    output::Output,
};

/// Enough for the first line of a response.
const LONGEST: u64 = 1024;

#[derive(Debug, Args)]
pub(crate) struct HealthOptions {
    /// Ask whether the process can work (`/readiness`), not only whether it runs.
    #[arg(long)]
    ready: bool,
    /// How long to wait for the response.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    timeout: Span,
}

/// Where a process answers.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Asks the process, and fails unless it is well.
pub(crate) async fn run(options: &HealthOptions, config: &Config, output: &Output) -> anyhow::Result<()> {
    let (place, path) = asked(config, options.ready);
    let shown = match &place {
        Place::Tcp(address) => format!("http://{address}{path}"),
        Place::Unix(socket) => format!("{path} at unix:{}", socket.display()),
    };
    let timeout: Duration = options.timeout.duration();
    let status = tokio::time::timeout(timeout, ask(&place, &path))
        .await
        .map_err(|_| anyhow::anyhow!("{shown} does not answer within {} s", timeout.as_secs_f64()))?
        .with_context(|| format!("{shown} does not answer"))?;
    anyhow::ensure!(status == 200, "{shown} answers {status}");
    output.print(&json!({ "status": "ok" }), || "ok".to_owned())
}

/// The listener of figures, which every kind of process has when it is configured; else that of the API.
fn asked(config: &Config, ready: bool) -> (Place, String) {
    let what = if ready { "readiness" } else { "health" };
    if let Some(address) = config.metrics.listen {
        return (Place::Tcp(reachable(address)), format!("/{what}"));
    }
    let place = match &config.server.unix_socket {
        Some(path) => Place::Unix(path.clone()),
        None => Place::Tcp(reachable(config.server.listen)),
    };
    (place, format!("/api/v1/{what}"))
}

/// Whoever listens on all addresses answers on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

async fn ask(place: &Place, path: &str) -> anyhow::Result<u16> {
    match place {
        Place::Tcp(address) => status(TcpStream::connect(address).await?, path).await,
        Place::Unix(socket) => status(UnixStream::connect(socket).await?, path).await,
    }
}

/// One request, and the status of its response.
async fn status(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> anyhow::Result<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    let mut limited = stream.take(LONGEST);
    while !head.contains(&b'\n') && limited.read_buf(&mut head).await? > 0 {}
    let head = String::from_utf8_lossy(&head);
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    status.context("what listens there does not speak HTTP")
}

#[cfg(test)]
mod tests {
    use super::{Config, Place, asked};

    #[test]
    fn the_process_is_asked_where_it_listens() {
        let mut config = Config::default();
        config.server.listen = "0.0.0.0:8080".parse().unwrap();
        let tcp = |text: &str| Place::Tcp(text.parse().unwrap());
        assert_eq!(asked(&config, false), (tcp("127.0.0.1:8080"), "/api/v1/health".to_owned()));
        config.server.unix_socket = Some("/run/api.sock".into());
        assert_eq!(
            asked(&config, true),
            (Place::Unix("/run/api.sock".into()), "/api/v1/readiness".to_owned())
        );
        config.metrics.listen = Some("[::]:9464".parse().unwrap());
        assert_eq!(asked(&config, true), (tcp("[::1]:9464"), "/readiness".to_owned()));
    }
}
