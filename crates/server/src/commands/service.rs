//! What `serve`, `worker` and `scheduler` begin with: a log, figures, and an ear for signals.

use crate::{
    config::{Config, Sources},
    files,
    lifecycle::Lifecycle,
    telemetry::{self, Face, Figures, LogLevel},
};

/// Begins a process that somebody supervises. From then on SIGHUP makes it read its configuration again.
pub(super) fn begin(sources: &Sources, config: &Config) -> anyhow::Result<(Figures, Lifecycle)> {
    let level = telemetry::log(&config.log, Face::Service)?;
    files::raise_limit();
    let figures = Figures::record()?;
    let lifecycle = Lifecycle::begin()?;
    let sources = sources.clone();
    lifecycle.on_hangup(move || reload(&sources, &level))?;
    Ok((figures, lifecycle))
}

/// Takes over what can change while the process runs: how much is logged. All the rest is taken over by a restart,
/// which loses no request where systemd holds the socket.
fn reload(sources: &Sources, level: &LogLevel) {
    let reloaded = sources.load().map_err(anyhow::Error::from).and_then(|config| level.set(&config.log));
    match reloaded {
        Ok(level) => tracing::info!(log.level = level, "Took over log.level; other keys need a restart"),
        Err(error) => tracing::error!(
            error = crate::output::sentence(&error),
            "The configuration cannot be taken over; all stays as it was"
        ),
    }
}
