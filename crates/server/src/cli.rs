//! The command line.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. An error is one sentence on standard error. `wal fetch`
//! is asked by PostgreSQL, for which a failure above 125 is not the end of the log: see [`UNTOLD`].

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::{
    commands::{
        self,
        backup::BackupCommand,
        demo::DemoOptions,
        health::HealthOptions,
        jobs::JobsCommand,
        maintenance::MaintenanceCommand,
        owner::OwnerCommand,
        queue::QueueCommand,
        restore::RestoreOptions,
        storage::StorageCommand,
        token::TokenCommand,
        user::UserCommand,
        wal::{Absent, WalCommand},
    },
    config::{Config, ConfigError, Sources, from_process},
    database,
    output::{self, Output},
};

/// A self-hosted team workspace.
#[derive(Debug, Parser)]
#[command(name = "tenon", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    /// Without a command, `up`.
    command: Option<Command>,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Configuration file (TOML); `TENON_CONFIG` names one as well.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print results as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process, on a database of its own.
    ///
    /// Keeps the database, files, mails and keys in the data directory, which it makes when absent. Needs the
    /// programs of a PostgreSQL server, but no running one; with database.url it uses that instead.
    Up(UpOptions),
    /// Serve the API and the web pages.
    ///
    /// Needs database.url, and a database at this release (`tenon migrate`). Listens on the socket that systemd
    /// passes, or else on the configured socket or address.
    Serve(ServiceOptions),
    /// Run jobs: mails, cleaning up, whatever is done after the answer.
    ///
    /// Needs database.url, and a database at this release. Any number may run, on any machine.
    Worker(ServiceOptions),
    /// Enqueue what is done regularly.
    ///
    /// Needs database.url, and a database at this release. Any number may run; one of them leads.
    Scheduler(ServiceOptions),
    /// Administer people's accounts.
    #[command(subcommand)]
    User(UserCommand),
    /// Give workspaces and projects a new owner when theirs is deactivated.
    #[command(subcommand)]
    Owner(OwnerCommand),
    /// Administer personal access tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Fill the instance with believable people, boards, stories, comments and files.
    ///
    /// The same each time, but for ids and times: workspaces, a project of 1 000 stories, one of 2 000 stories over
    /// 40 columns. Nothing is mailed. Refuses an instance that has workspaces already.
    DemoData(DemoOptions),
    /// Look after jobs, queues and schedules.
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// Close the installation while it is worked on, and open it again.
    #[command(subcommand)]
    Maintenance(MaintenanceCommand),
    /// Look after the queue itself.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Make, look at and check backups: the database, files and generated keys of one moment.
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Bring this installation back from a backup: its database, files and generated keys.
    ///
    /// Reads backup.target; nothing may be running on the database. The backup is verified first, restored into a new
    /// database and looked at as its members see it; only then does that take the place of the old one. Refuses to
    /// replace anything without --force.
    Restore(RestoreOptions),
    /// Look after the store of files.
    #[command(subcommand)]
    Storage(StorageCommand),
    /// Archive or fetch segments of PostgreSQL's write-ahead log.
    #[command(subcommand)]
    Wal(WalCommand),
    /// Print the OpenAPI document.
    Openapi {
        /// Print the older 3.0 shape, for generators that know no other.
        #[arg(long = "3.0")]
        older: bool,
    },
    /// Bring the database to this release.
    ///
    /// Applies the migrations that are pending, one process at a time. Refuses a database that a newer release
    /// has used. Without database.url it does so for the database within the data directory.
    Migrate,
    /// Check that everything this installation needs is there.
    ///
    /// Reads the configuration, and tries the database, the queue, the file store, the bus, the mailer and the keys. Changes
    /// nothing but what a first start would make.
    Doctor,
    /// Ask a process of this configuration whether it runs; fails when it does not.
    ///
    /// Asks where metrics.listen says, or else the API, at server.listen or `server.unix_socket`.
    Health(HealthOptions),
    /// Check or explain the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a script that completes commands in a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual, a page for each command.
    Man {
        /// Directory for the pages, such as `/usr/local/share/man/man1`.
        directory: PathBuf,
    },
}

#[derive(Debug, Default, Args)]
struct UpOptions {
    /// Directory for everything Tenon keeps.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Keep everything in a temporary directory, which is removed at the end.
    #[arg(long, conflicts_with = "data_dir")]
    ephemeral: bool,
}

#[derive(Debug, Args)]
struct ServiceOptions {
    /// Address and port that answers /metrics, /health and /readiness; each process of a machine needs its own.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check a configuration file without starting anything.
    ///
    /// Looks at the file alone: not at the environment, and not into the files of secrets that it names.
    Check {
        /// The file to check.
        file: PathBuf,
    },
    /// Print every key with its type, default and meaning, as Markdown.
    Reference,
}

/// Status of a `wal fetch` that could not tell whether the archive has a segment: 126 and above end a recovery, and what
/// is below is taken for the end of the log. From <https://www.postgresql.org/docs/current/continuous-archiving.html>.
const UNTOLD: u8 = 200;

/// Runs the command of this process.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let fetches = matches!(cli.command, Some(Command::Wal(WalCommand::Fetch { .. })));
    let output = Output::new(cli.global.json);
    let run = || -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(dispatch(cli, &output))
    };
    if !fetches {
        return run().map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS);
    }
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) if error.is::<Absent>() => fail(&error),
        Ok(Err(error)) => {
            fail(&error);
            ExitCode::from(UNTOLD)
        }
        // It has said why.
        Err(_) => ExitCode::from(UNTOLD),
    }
}

async fn dispatch(cli: Cli, output: &Output) -> anyhow::Result<()> {
    match cli.command.unwrap_or_else(|| Command::Up(UpOptions::default())) {
        Command::Up(options) => up(&cli.global, options, output).await,
        Command::Serve(options) => commands::serve::run(&cli.global.service(&options)).await,
        Command::Worker(options) => commands::worker::run(&cli.global.service(&options)).await,
        Command::Scheduler(options) => commands::scheduler::run(&cli.global.service(&options)).await,
        Command::User(command) => commands::user::run(command, &cli.global.load()?, output).await,
        Command::Owner(command) => commands::owner::run(command, &cli.global.load()?, output).await,
        Command::Token(command) => commands::token::run(command, &cli.global.load()?, output).await,
        Command::DemoData(options) => commands::demo::run(&options, &cli.global.load()?, output).await,
        Command::Jobs(command) => commands::jobs::run(command, &cli.global.load()?, output).await,
        Command::Maintenance(command) => {
            commands::maintenance::run(command, &cli.global.load()?, output).await
        }
        Command::Queue(command) => commands::queue::run(command, &cli.global.load()?, output).await,
        Command::Backup(command) => commands::backup::run(command, &cli.global.load()?, output).await,
        Command::Restore(options) => commands::restore::run(options, &cli.global.load()?, output).await,
        Command::Storage(command) => commands::storage::run(command, &cli.global.load()?, output).await,
        Command::Wal(command) => commands::wal::run(command, &cli.global.load()?, output).await,
        Command::Openapi { older } => commands::openapi::run(older, output),
        Command::Migrate => commands::migrate::run(&cli.global.load()?, output).await,
        Command::Doctor => commands::doctor::run(&cli.global.load()?, output).await,
        Command::Health(options) => commands::health::run(&options, &cli.global.load()?, output).await,
        Command::Completions { shell } => commands::completions::print(shell, Cli::command()),
        Command::Man { directory } => commands::completions::write_manual(&directory, Cli::command()),
        Command::Config(ConfigCommand::Check { file }) => commands::config::check(file, output),
        Command::Config(ConfigCommand::Reference) => commands::config::reference(output),
    }
}

async fn up(global: &Global, options: UpOptions, output: &Output) -> anyhow::Result<()> {
    let temporary = options.ephemeral.then(commands::up::temporary_dir).transpose()?;
    let mut sources = from_process(global.config.as_deref());
    let data_dir = temporary.as_ref().map(|dir| dir.path().to_owned()).or(options.data_dir);
    if let Some(dir) = data_dir {
        sources.options.push(("--data-dir", "data_dir", dir.display().to_string()));
    }
    if let Some(address) = options.listen {
        sources.options.push(("--listen", "server.listen", address.to_string()));
    }
    let config = sources.load()?;
    let ran = commands::up::run(&config, output).await;
    if temporary.is_some() {
        database::remove_elsewhere(&config.data_dir)?;
    }
    ran
}

impl Global {
    fn load(&self) -> Result<Config, ConfigError> {
        from_process(self.config.as_deref()).load()
    }

    /// Where a process that runs on reads its configuration from, now and whenever it is to again.
    fn service(&self, options: &ServiceOptions) -> Sources {
        let mut sources = from_process(self.config.as_deref());
        if let Some(address) = options.metrics_listen {
            sources.options.push(("--metrics-listen", "metrics.listen", address.to_string()));
        }
        sources
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    output::error(error);
    let code = if error.is::<ConfigError>() { 2 } else { 1 };
    ExitCode::from(code)
}
