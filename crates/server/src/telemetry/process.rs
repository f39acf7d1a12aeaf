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

fn processor_seconds() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything; user and system time are the 12th and 13th after it.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) / rustix::param::clock_ticks_per_second())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_process_that_runs_has_memory_and_a_processor() {
        assert!(super::resident_bytes().unwrap() > 1e6);
        assert!(super::processor_seconds().is_some());
    }
}
