//! `tenon storage`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;
use tenon_adapters::blob;

use crate::{
    config::{Config, Sources},
    database::Database,
    output::Output,
    storage::{self, Moved},
};

#[derive(Debug, Subcommand)]
pub(crate) enum StorageCommand {
    /// Copy all files to another store, and read each back to compare it.
    ///
    /// Reads the files that the database knows from one store and writes those that the other lacks; may be run while
    /// everything runs, and again. To move: copy, change storage in the configuration, restart, and copy once more with
    /// --from, for what was uploaded meanwhile.
    Copy {
        /// A configuration file whose storage is copied from; that of this installation when absent.
        #[arg(long, value_name = "FILE", required_unless_present = "to")]
        from: Option<PathBuf>,
        /// A configuration file whose storage is copied to; that of this installation when absent.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

/// Runs one of the commands.
pub(crate) async fn run(command: StorageCommand, config: &Config, output: &Output) -> anyhow::Result<()> {
    let StorageCommand::Copy { from, to } = command;
    let source = blob::connect(of(from, config)?).await.context("the store to copy from")?;
    let destination = blob::connect(of(to, config)?).await.context("the store to copy to")?;
    let database = Database::open(config).await?;
    let moved = storage::copy(&database.db, &source, &destination).await;
    database.close().await?;
    let Moved { present, copied, bytes, lost } = moved?;
    output.print(&json!({ "present": present, "copied": copied, "bytes": bytes, "lost": lost }), || {
        format!(
            "Copied {copied} files ({bytes} bytes); {present} were there. Each was read back and compared."
        )
    })?;
    anyhow::ensure!(
        lost.is_empty(),
        "the store to copy from does not have these files, or has something else under their names: {}",
        lost.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

/// The storage of a configuration file, which the environment has no say in.
fn of(file: Option<PathBuf>, config: &Config) -> anyhow::Result<blob::Config> {
    match file {
        None => Ok(config.storage.clone()),
        Some(_) => Ok(Sources { file, ..Sources::default() }.load()?.storage),
    }
}
