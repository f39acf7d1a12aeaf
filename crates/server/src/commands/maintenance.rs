//! `tenon maintenance`.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Subcommand;
use serde_json::{Value, json};
use tenon_app::{App, maintenance};
use tenon_core::maintenance::{Message, Notice};

use super::shell;
use crate::{
    config::{Config, Span},
    lifecycle::Lifecycle,
    output::Output,
};

#[derive(Debug, Subcommand)]
pub(crate) enum MaintenanceCommand {
    /// Close the API, and let workers take no more jobs.
    ///
    /// Within a second or two every process of the installation knows. The API answers 503 with the code
    /// `maintenance`; probes, figures and administrators who only read are still answered. Live connections are
    /// closed, jobs that run are finished. Given again, it changes what people are told.
    On {
        /// What people are told.
        #[arg(long)]
        message: Option<String>,
        /// When it will probably be over: a time as in 2026-11-21T02:00:00Z, or from now, as in 30m. It is what
        /// clients are told; maintenance ends with `off` alone.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
    },
    /// Open the API and let workers go on, without a restart.
    Off,
    /// Show whether the installation is being maintained.
    Status,
}

/// Runs one of the commands on the database of this installation.
pub(crate) async fn run(command: MaintenanceCommand, config: &Config, output: &Output) -> anyhow::Result<()> {
    shell::with_app(config, async |app| execute(command, app, output).await).await
}

/// Lets a process know of maintenance before it begins its work, and from then on.
pub(super) async fn heed(app: &Arc<App>, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    maintenance::look(app).await?;
    lifecycle.tasks().spawn(maintenance::watch(Arc::clone(app), lifecycle.stopping()));
    Ok(())
}

async fn execute(command: MaintenanceCommand, app: &App, output: &Output) -> anyhow::Result<()> {
    match command {
        MaintenanceCommand::On { message, until } => {
            let message = message.as_deref().map(Message::parse).transpose();
            let message = message.map_err(|e| anyhow::anyhow!("the message {}", e.detail))?;
            let until = until.as_deref().map(|text| end(text, app.now())).transpose()?;
            let notice = maintenance::begin(app, message, until).await?;
            show(Some(&notice), output)
        }
        MaintenanceCommand::Off => {
            maintenance::end(app).await?;
            show(None, output)
        }
        MaintenanceCommand::Status => show(maintenance::current(app).await?.as_ref(), output),
    }
}

/// An instant: as it is written, or so long from now.
fn end(text: &str, now: DateTime<Utc>) -> anyhow::Result<DateTime<Utc>> {
    let from_now = text
        .parse::<Span>()
        .ok()
        .and_then(|span| now.checked_add_signed(TimeDelta::from_std(span.duration()).ok()?));
    let at = match from_now {
        Some(at) => at,
        None => DateTime::parse_from_rfc3339(text)
            .map_err(|_| {
                anyhow::anyhow!(
                    "--until {text} is neither a time such as 2026-11-21T02:00:00Z nor one such as 30m"
                )
            })?
            .to_utc(),
    };
    anyhow::ensure!(at > now, "--until {text} is in the past");
    Ok(at)
}

fn show(notice: Option<&Notice>, output: &Output) -> anyhow::Result<()> {
    let json: Value = match notice {
        None => json!({ "on": false }),
        Some(notice) => json!({
            "on": true,
            "since": notice.since,
            "message": notice.message.as_ref().map(Message::as_str),
            "until": notice.until,
        }),
    };
    output.print(&json, || match notice {
        None => "Maintenance is off.".to_owned(),
        Some(notice) => {
            let minute = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
            let until =
                notice.until.map_or_else(String::new, |at| format!(", probably until {}", minute(at)));
            let message = notice.message.as_ref().map_or_else(String::new, |message| format!(": {message}"));
            format!("Maintenance is on since {}{until}{message}", minute(notice.since))
        }
    })
}
