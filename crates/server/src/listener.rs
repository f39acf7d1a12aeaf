//! Where requests come in: a socket passed by systemd, or one of our own.
//!
//! A passed socket outlives the process, so that connections wait in it during a restart.

use std::{
    net::TcpListener,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::Path,
};

use anyhow::Context;
use listenfd::ListenFd;
use tenon_http::serve::Listener;

use crate::config::{Config, Server};

/// The socket to serve on.
pub(crate) fn open(config: &Server) -> anyhow::Result<Listener> {
    if let Some(passed) = passed()? {
        return Ok(passed);
    }
    match &config.unix_socket {
        Some(path) => bind_unix(path).map(Listener::Unix),
        None => TcpListener::bind(config.listen)
            .map(Listener::Tcp)
            .with_context(|| format!("cannot listen on {}", config.listen)),
    }
}

/// Where `listener` can be reached, for people.
pub(crate) fn address(listener: &Listener) -> String {
    match listener {
        Listener::Tcp(tcp) => tcp.local_addr().map(|address| format!("http://{address}")).ok(),
        Listener::Unix(unix) => unix
            .local_addr()
            .ok()
            .and_then(|address| address.as_pathname().map(|path| format!("unix:{}", path.display()))),
    }
    .unwrap_or_else(|| "a socket without a name".to_owned())
}

/// The configuration with the port that the system chose in the public URL, where it was left to the system.
pub(crate) fn with_public_url(config: &Config, listener: &Listener) -> Config {
    let mut config = config.clone();
    if let Listener::Tcp(tcp) = listener
        && config.public_url.port() == Some(0)
        && let Ok(address) = tcp.local_addr()
    {
        // Fails only for URLs that have no host, and those have no port either.
        let _ = config.public_url.set_port(Some(address.port()));
    }
    config
}

/// The first socket that systemd passed.
fn passed() -> anyhow::Result<Option<Listener>> {
    let mut passed = ListenFd::from_env();
    if passed.len() == 0 {
        return Ok(None);
    }
    // Asked for the wrong family, `listenfd` gives an error and keeps the socket.
    if let Ok(Some(tcp)) = passed.take_tcp_listener(0) {
        return Ok(Some(Listener::Tcp(tcp)));
    }
    let unix = passed.take_unix_listener(0).context("the socket passed by systemd cannot be used")?;
    Ok(unix.map(Listener::Unix))
}

/// Binds `path`, which a process that was killed may have left behind.
fn bind_unix(path: &Path) -> anyhow::Result<UnixListener> {
    let taken = std::os::unix::net::UnixStream::connect(path).is_ok();
    anyhow::ensure!(!taken, "another process listens on {}", path.display());
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(e).with_context(|| format!("cannot remove the old socket {}", path.display()));
        }
        _ => {}
    }
    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    // The proxy is another user, in our group.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}
