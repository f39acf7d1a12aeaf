//! The server's process, as its `postmaster.pid` tells of it.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::ManagedError;

/// A process that serves a cluster.
#[derive(Debug)]
pub(super) struct Postmaster {
    pid: Pid,
    pub(super) socket_dir: Option<PathBuf>,
}

impl Postmaster {
    pub(super) fn new(id: Option<u32>, socket_dir: PathBuf) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(id?).ok()?)?;
        Some(Self { pid, socket_dir: Some(socket_dir) })
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends `signal`; to a process that has ended it means nothing.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = kill_process(self.pid, signal);
    }

    pub(super) fn is_alive(&self) -> bool {
        !matches!(test_kill_process(self.pid), Err(rustix::io::Errno::SRCH))
    }
}

/// The live process that serves `data`, if there is one.
pub(super) fn of(data: &Path) -> Option<Postmaster> {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let mut lines = text.lines();
    let pid = Pid::from_raw(lines.next()?.trim().parse().ok()?)?;
    // Process, data directory, start time, port, directory of the socket.
    let socket_dir = lines.nth(3).filter(|line| !line.is_empty()).map(PathBuf::from);
    let postmaster = Postmaster { pid, socket_dir };
    (postmaster.is_alive() && works_in(pid, data)).then_some(postmaster)
}

/// A postmaster's working directory is its cluster, which tells it from a stranger that got the same number after
/// a restart. Where the system does not say, its command line must do; the connection is checked later anyway.
fn works_in(pid: Pid, data: &Path) -> bool {
    let number = pid.as_raw_nonzero();
    if let Ok(directory) = std::fs::read_link(format!("/proc/{number}/cwd")) {
        return directory == data;
    }
    std::process::Command::new("ps")
        .args(["-o", "command=", "-p", &number.to_string()])
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("postgres"))
}

/// Removes what a killed server left and would keep the next one from starting. Called when nothing serves
/// `data`: the server clears its own leftovers unless their process number belongs to somebody else by now.
/// Survivors of the old server are still noticed, by the shared memory they hold.
pub(super) fn clear_leftovers(data: &Path, socket_dir: &Path) -> Result<(), ManagedError> {
    for leftover in
        [data.join("postmaster.pid"), socket_dir.join(".s.PGSQL.5432"), socket_dir.join(".s.PGSQL.5432.lock")]
    {
        match std::fs::remove_file(leftover) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
    }
    Ok(())
}
