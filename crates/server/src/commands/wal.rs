//! `tenon wal`: what PostgreSQL runs to archive its write-ahead log, and to fetch it again.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use crate::{
    backup::{self, Target},
    config::Config,
    output::Output,
};

#[derive(Debug, Subcommand)]
pub(crate) enum WalCommand {
    /// Archive a segment: `archive_command = 'tenon wal push %p'`.
    ///
    /// Reads the segment and, beside it, which cluster it is of; writes to backup.target, encrypted when
    /// backup.recipients are set. The same segment may be pushed again; another one of the same name is refused.
    Push {
        /// The segment, as PostgreSQL names it: `%p`.
        path: PathBuf,
    },
    /// Fetch a segment: `restore_command = 'tenon wal fetch %f %p'`.
    ///
    /// Ends with 1 when the archive does not have it, which is how PostgreSQL learns where the log ends; and with 200 when
    /// that cannot be told, or the segment is damaged, which ends the recovery rather than calling it complete.
    Fetch {
        /// The segment's name: `%f`.
        name: String,
        /// Where to: `%p`.
        path: PathBuf,
    },
}

/// The archive does not have it.
#[derive(Debug, thiserror::Error)]
#[error("the archive in {place} does not have the segment {name}")]
pub(crate) struct Absent {
    place: String,
    name: String,
}

/// Runs one of the commands.
pub(crate) async fn run(command: WalCommand, config: &Config, output: &Output) -> anyhow::Result<()> {
    let target = Target::open(config).await?;
    match command {
        WalCommand::Push { path } => {
            let new = backup::push(&target, &path).await?;
            output.print(&json!({ "segment": path, "new": new }), || {
                let how = if new { "Archived" } else { "Was archived before:" };
                format!("{how} {}", path.display())
            })
        }
        WalCommand::Fetch { name, path } => {
            let found = backup::fetch(&target, &name, &path).await?;
            if !found {
                return Err(Absent { place: target.place().to_owned(), name }.into());
            }
            output.print(&json!({ "segment": name }), || format!("Fetched {name}"))
        }
    }
}
