//! Figures of the process itself, read from `/proc` when somebody asks; where there is none, they are absent.

use metrics::{counter, gauge};

/// Updates the figures.
pub(super) fn measure() {
    if let Some(bytes) = resident_bytes() {
        gauge!("process_resident_memory_bytes").set(bytes);
    }
    if let Some(seconds) = processor_seconds() {
        // A counter of whole seconds: Prometheus' rate over minutes loses nothing by it.
        counter!("process_cpu_seconds_total").absolute(seconds);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        #[expect(clippy::cast_precision_loss, reason = "a process has fewer files than 2^52")]
        gauge!("process_open_fds").set(files.count() as f64);
    }
    if let Some(most) = most_files() {
        gauge!("process_max_fds").set(most);
    }
    if let Some(seconds) = began() {
        gauge!("process_start_time_seconds").set(seconds);
    }
    if let Some(threads) = status("Threads:") {
        gauge!("process_threads").set(threads);
    }
}

fn resident_bytes() -> Option<f64> {
    Some(status("VmRSS:")? * 1024.0)
}

/// A number of the kernel's summary of us; sizes are in KiB.
fn status(name: &str) -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// User and system time are the 12th and 13th number of the kernel's account.
fn processor_seconds() -> Option<u64> {
    let ticks: u64 = account(11)? + account(12)?;
    Some(ticks / rustix::param::clock_ticks_per_second())
}

/// Seconds since 1970; the account counts ticks since the machine began, in its 20th number.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
fn began() -> Option<f64> {
    let machine = std::fs::read_to_string("/proc/stat").ok()?;
    let machine: u64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some((machine + account(19)? / rustix::param::clock_ticks_per_second()) as f64)
}

/// A number of the kernel's account of us, counted from what follows the name in parentheses, which may hold
/// anything.
fn account(place: usize) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(place)?.parse().ok()
}

fn most_files() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_process_that_runs_has_memory_and_a_processor() {
        assert!(super::resident_bytes().unwrap() > 1e6);
        assert!(super::processor_seconds().is_some());
        assert!(super::began().unwrap() > 1.6e9);
        assert!(super::most_files().unwrap() >= 256.0);
    }
}
