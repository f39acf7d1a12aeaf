//! `tenon queue`: which queue has the jobs.

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use serde_json::json;
use tenon_adapters::queue;
use tenon_app::queue_move;

use crate::{config::Config, database::Database, output::Output, wiring};

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Move the jobs that wait in one queue to another.
    ///
    /// For when queue.backend changes: stop the workers, move, start everything with the new backend. Times,
    /// priorities and attempts are kept. It can be interrupted, and finished by running it again; a job is in one of
    /// the two. From one queue outside the database to another nothing need be moved: what the new one does not
    /// have it is given, by the processes that use it.
    Move {
        /// The queue that has the jobs.
        #[arg(long)]
        from: Backend,
        /// The queue that is to have them.
        #[arg(long)]
        to: Backend,
        /// Wait while workers hold jobs, instead of refusing.
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    Postgres,
    Redis,
    #[cfg(feature = "sqlxmq")]
    Sqlxmq,
    Memory,
}

impl Backend {
    const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            #[cfg(feature = "sqlxmq")]
            Self::Sqlxmq => "sqlxmq",
            Self::Memory => "memory",
        }
    }

    /// Its settings: those configured, or those that it does without.
    fn settings(self, config: &Config) -> anyhow::Result<queue::Config> {
        if config.queue.name() == self.name() {
            return Ok(config.queue.clone());
        }
        let settings = json!({ "backend": self.name() });
        serde_json::from_value(settings).with_context(|| {
            format!(
                "the settings of {0} are not in the configuration: run this with queue.backend = \"{0}\"",
                self.name()
            )
        })
    }
}

/// Runs one of the commands on the database of this installation.
pub(crate) async fn run(command: QueueCommand, config: &Config, output: &Output) -> anyhow::Result<()> {
    let QueueCommand::Move { from, to, wait } = command;
    anyhow::ensure!(from != to, "the jobs of {} are there already", from.name());
    let (source, target) = (from.settings(config)?, to.settings(config)?);
    let database = Database::open(config).await?;
    let done = async {
        tenon_db::migrations::check(&database.db).await?;
        let app = wiring::app(config, database.db.clone()).await?;
        let source = queue::connect(&source, &database.db, wiring::clock()).await?;
        let target = queue::connect(&target, &database.db, wiring::clock()).await?;
        let moved = queue_move::run(&app, &*source, &*target, wait).await?;
        let json = json!({ "from": from.name(), "to": to.name(), "moved": moved.moved, "left": moved.left });
        output.print(&json, || {
            let done = format!("Moved {} jobs from {} to {}.", moved.moved, from.name(), to.name());
            match moved.left {
                0 => done,
                left => format!(
                    "{done} {left} are in workers' hands and stay; run this again when they are done."
                ),
            }
        })
    }
    .await;
    database.close().await?;
    done
}
