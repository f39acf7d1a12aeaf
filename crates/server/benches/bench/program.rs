//! The program under measurement, and what the system knows of its processes.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A running `tenon up`; stopped when dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) address: String,
    dir: PathBuf,
}

/// `tenon` within `dir`, without limits of calls.
pub(crate) fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenon"));
    command.current_dir(dir).env_remove("TENON_CONFIG");
    for class in ["SESSION", "LOGIN", "ANONYMOUS", "TOKEN"] {
        command.env(format!("TENON__RATE_LIMITS__{class}"), "100000000/1m");
    }
    command.env("TENON__SERVER__TRUSTED_PROXIES", "127.0.0.1/32");
    command
}

impl Program {
    /// Starts it and waits until it says where it listens. Its log goes to a file, as under a supervisor.
    pub(crate) fn up(dir: &Path, prepare: impl FnOnce(&mut Command)) -> Self {
        let log = std::fs::File::create(dir.join("tenon.log")).unwrap();
        let mut command = command(dir);
        command.args(["--json", "up", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(log);
        prepare(&mut command);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::with_capacity(1, child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let greeting: Value = serde_json::from_str(&line).unwrap();
        let address = greeting["address"].as_str().unwrap().replace("http://", "");
        // Whatever else it says has somewhere to go.
        let mut rest = child.stdout.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut rest, &mut std::io::sink()));
        Self { child, address, dir: dir.to_owned() }
    }

    pub(crate) fn postmaster(&self) -> u32 {
        let file = std::fs::read_to_string(self.dir.join(".tenon/postgres/data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// Asks a process to stop and waits until it has.
pub(crate) fn stop(child: &mut Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).ok();
    child.wait().ok();
}

/// Resident memory of a process, in MiB.
pub(crate) fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Processor time of a process, in seconds; with that of all its children, past and present.
pub(crate) fn processor(pid: u32, with_children: bool) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    let fields: Vec<f64> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .skip(1)
        .map(|word| word.parse().unwrap_or_default())
        .collect();
    // utime, stime, cutime and cstime are fields 14 to 17, of which the first three are cut off here.
    let ticks: f64 = fields[10..if with_children { 14 } else { 12 }].iter().sum();
    let children = if with_children { children(pid) } else { Vec::new() };
    ticks / 100.0 + children.into_iter().map(|child| processor(child, false)).sum::<f64>()
}

fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

/// A directory that the database's account can enter.
pub(crate) fn directory() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}
