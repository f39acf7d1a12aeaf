//! Where requests come in: the sockets passed by systemd, or one of our own.
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

/// The sockets to serve on: at least one.
pub(crate) struct Listeners {
    pub(crate) sockets: Vec<Listener>,
    /// Whether systemd keeps them open when this process ends.
    pub(crate) are_passed: bool,
}

/// Opens them, or takes those that systemd passes.
pub(crate) fn open(config: &Server) -> anyhow::Result<Listeners> {
    let passed = passed()?;
    if !passed.is_empty() {
        return Ok(Listeners { sockets: passed, are_passed: true });
    }
    let own = match &config.unix_socket {
        Some(path) => bind_unix(path).map(Listener::Unix),
        None => TcpListener::bind(config.listen)
            .map(Listener::Tcp)
            .with_context(|| format!("cannot listen on {}", config.listen)),
    };
    Ok(Listeners { sockets: vec![own?], are_passed: false })
}

/// Where `listeners` can be reached, for people.
pub(crate) fn addresses(listeners: &Listeners) -> String {
    listeners.sockets.iter().map(address).collect::<Vec<_>>().join(" and ")
}

fn address(listener: &Listener) -> String {
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
pub(crate) fn with_public_url(config: &Config, listeners: &Listeners) -> Config {
    let mut config = config.clone();
    let bound = listeners.sockets.iter().find_map(|listener| match listener {
        Listener::Tcp(tcp) => tcp.local_addr().ok(),
        Listener::Unix(_) => None,
    });
    if config.public_url.port() == Some(0)
        && let Some(address) = bound
    {
        // Fails only for URLs that have no host, and those have no port either.
        let _ = config.public_url.set_port(Some(address.port()));
    }
    config
}

/// Every socket that systemd passed, of either kind.
fn passed() -> anyhow::Result<Vec<Listener>> {
    let mut passed = ListenFd::from_env();
    let mut listeners = Vec::with_capacity(passed.len());
    for place in 0..passed.len() {
        // Asked for the wrong family, `listenfd` gives an error and keeps the socket.
        if let Ok(Some(tcp)) = passed.take_tcp_listener(place) {
            listeners.push(Listener::Tcp(tcp));
        } else {
            let unix = passed
                .take_unix_listener(place)
                .with_context(|| format!("socket {} of those passed by systemd cannot be used", place + 1))?;
            listeners.extend(unix.map(Listener::Unix));
        }
    }
    Ok(listeners)
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
