//! Telling systemd how we are: datagrams to the socket in `$NOTIFY_SOCKET`. Without it, nothing is told.

use std::{
    os::unix::net::{SocketAddr, UnixDatagram},
    time::Duration,
};

/// Whoever started us and wants to know.
#[derive(Debug)]
pub(super) struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The supervisor that this process's environment names.
    pub(super) fn of_this_process() -> Self {
        #[expect(clippy::disallowed_methods, reason = "systemd speaks to us through the environment")]
        let (socket, interval, process) = (
            std::env::var("NOTIFY_SOCKET").ok(),
            std::env::var("WATCHDOG_USEC").ok(),
            std::env::var("WATCHDOG_PID").ok(),
        );
        let ours = process.is_none_or(|id| id == std::process::id().to_string());
        let watchdog = interval.filter(|_| ours).and_then(|text| text.parse().ok());
        Self::at(socket.as_deref(), watchdog.map(Duration::from_micros))
    }

    fn at(socket: Option<&str>, watchdog: Option<Duration>) -> Self {
        let socket = socket.and_then(|name| {
            let address = address(name)?;
            let socket = UnixDatagram::unbound().ok()?;
            // A supervisor that does not read must not hold us up.
            socket.set_nonblocking(true).ok()?;
            Some((socket, address))
        });
        Self { watchdog: watchdog.filter(|_| socket.is_some()), socket }
    }

    /// How often to say that we are alive: twice as often as is asked.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.map(|interval| interval / 2)
    }

    pub(super) fn ready(&self) {
        self.tell("READY=1");
    }

    /// Says that a reload began; [`Supervisor::ready`] says that it is over. systemd tells by the time which of
    /// several reloads is meant.
    pub(super) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    pub(super) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(state.as_bytes(), address)
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                systemd.state = state,
                "Cannot tell systemd"
            );
        }
    }
}

/// A path, or with `@` a name of Linux' abstract space.
fn address(name: &str) -> Option<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = name.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name).ok();
    }
    SocketAddr::from_pathname(name).ok()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixDatagram, time::Duration};

    use super::Supervisor;

    #[test]
    fn the_supervisor_hears_what_it_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let heard = UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor::at(path.to_str(), Some(Duration::from_secs(10)));
        supervisor.ready();
        supervisor.stopping();
        supervisor.reloading();
        let mut buffer = [0; 64];
        let length = heard.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
        let length = heard.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"STOPPING=1");
        let length = heard.recv(&mut buffer).unwrap();
        let told = std::str::from_utf8(&buffer[..length]).unwrap();
        let micros = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0, "{told}");
        assert_eq!(supervisor.watchdog(), Some(Duration::from_secs(5)));
    }

    #[test]
    fn without_a_supervisor_nothing_is_told() {
        let supervisor = Supervisor::at(None, Some(Duration::from_secs(10)));
        supervisor.ready();
        assert_eq!(supervisor.watchdog(), None);
    }
}
