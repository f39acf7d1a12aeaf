//! What an administrator can set.
//!
//! These structs are the only declaration of a key: its type, its default and (as its doc comment) its meaning.
//! The reference page, the check for unknown keys and the reading of the environment all follow from them, by
//! way of their JSON schema.

mod keys;
mod layers;
mod ranges;
pub(crate) mod reference;
mod refusals;
mod schedules;
mod units;

use std::{net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_adapters::{blob, bus, cache, limiter, mail, queue};
use tenon_core::{accounts::Registration, secrets::Secret};
use url::Url;

pub(crate) use self::{
    layers::{ConfigError, Sources, from_process},
    schedules::Schedules,
    units::{Network, Rate, Size, Span},
};

/// The whole configuration of a process.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The file it was read from, for programs that start this one again.
    #[serde(skip)]
    pub(crate) file: Option<PathBuf>,
    /// `production` refuses what is only good for trying things out: debug logs, short secrets, a plain-http
    /// public URL, a wildcard origin, files in memory, mails in the log.
    pub(crate) environment: Environment,
    /// Where Tenon keeps what it makes itself: the signing key, and, unless they are configured, the database,
    /// the files and the mails.
    pub(crate) data_dir: PathBuf,
    /// Where people find this installation; links in mails begin with it. Unset, `localhost` with the port of
    /// `server.listen`.
    pub(crate) public_url: Url,
    /// What this installation calls itself in mails and on its pages.
    pub(crate) instance_name: String,
    pub(crate) server: Server,
    pub(crate) database: Database,
    /// Where files are kept.
    #[schemars(extend("default" = {"backend": "filesystem"}))]
    pub(crate) storage: blob::Config,
    /// Where jobs wait.
    #[schemars(extend("default" = {"backend": "postgres"}))]
    pub(crate) queue: queue::Config,
    /// How mail leaves.
    #[schemars(extend("default" = {"backend": "directory"}))]
    pub(crate) mail: mail::Config,
    /// How processes hear of each other's events.
    #[schemars(extend("default" = {"backend": "inprocess"}))]
    pub(crate) bus: bus::Config,
    /// Where calls are counted.
    #[schemars(extend("default" = {"backend": "inprocess"}))]
    pub(crate) limiter: limiter::Config,
    /// Where values are kept that can be had again.
    #[schemars(extend("default" = {"backend": "inprocess"}))]
    pub(crate) cache: cache::Config,
    pub(crate) auth: Auth,
    pub(crate) limits: Limits,
    pub(crate) retention: Retention,
    pub(crate) backup: Backup,
    pub(crate) rate_limits: RateLimits,
    pub(crate) worker: Worker,
    pub(crate) scheduler: Scheduler,
    pub(crate) metrics: Metrics,
    pub(crate) log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: None,
            environment: Environment::default(),
            data_dir: PathBuf::from("./.tenon"),
            public_url: Url::parse("http://localhost:8080").expect("a constant, so a valid URL"),
            instance_name: "Tenon".to_owned(),
            server: Server::default(),
            database: Database::default(),
            storage: blob::Config::default(),
            queue: queue::Config::default(),
            mail: mail::Config::Directory(mail::DirectoryConfig::default()),
            bus: bus::Config::default(),
            limiter: limiter::Config::default(),
            cache: cache::Config::default(),
            auth: Auth::default(),
            limits: Limits::default(),
            retention: Retention::default(),
            backup: Backup::default(),
            rate_limits: RateLimits::default(),
            worker: Worker::default(),
            scheduler: Scheduler::default(),
            metrics: Metrics::default(),
            log: Log::default(),
        }
    }
}

/// What an installation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Environment {
    #[default]
    Development,
    Production,
}

impl Config {
    /// Who may sign up here.
    pub(crate) fn registration(&self) -> Registration {
        self.auth.registration.unwrap_or(match self.environment {
            Environment::Development => Registration::Open,
            Environment::Production => Registration::Invite,
        })
    }
}

/// The HTTP listener.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Server {
    /// Address and port to listen on. A socket passed by systemd is used instead of it.
    pub(crate) listen: SocketAddr,
    /// A unix socket to listen on instead of `listen`.
    pub(crate) unix_socket: Option<PathBuf>,
    /// Proxies whose `X-Forwarded-For` and `X-Correlation-ID` are believed: addresses or networks.
    pub(crate) trusted_proxies: Vec<Network>,
    /// Origins other than `public_url` whose pages may call the API.
    pub(crate) cors_origins: Vec<String>,
    /// How long a request may take; uploads, downloads and websockets are exempt.
    #[schemars(extend("minimum" = "1s", "maximum" = "1h"))]
    pub(crate) request_timeout: Span,
    /// Whether answers are compressed; a proxy in front may do it instead.
    pub(crate) compression: bool,
    /// How long connections are still accepted after the process was asked to stop, while its readiness answers 503: longer
    /// than a balancer takes to notice. `0s` closes the listener at once, so that a balancer is refused and tries another
    /// process. It comes before `shutdown_grace`, and does not matter to sockets that systemd keeps open.
    #[schemars(extend("minimum" = "0s", "maximum" = "10m"))]
    pub(crate) drain: Span,
    /// How long requests and jobs that run may go on after the process was asked to stop.
    #[schemars(extend("minimum" = "0s", "maximum" = "1h"))]
    pub(crate) shutdown_grace: Span,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            unix_socket: None,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            request_timeout: Span::seconds(30),
            compression: true,
            drain: Span::seconds(0),
            shutdown_grace: Span::seconds(30),
        }
    }
}

/// The database.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Database {
    /// `postgres://user:password@host/database`, or `postgres:///database?host=/run/postgresql` for a unix
    /// socket. Over the network it is encrypted when the server can, and the certificate verified: `?sslmode=verify-full` insists
    /// on it, `sslmode=disable` does without, and `sslrootcert=/path` names the authorities (PEM) instead of the public
    /// ones. Unset, `tenon up` runs a PostgreSQL of its own within `data_dir`.
    pub(crate) url: Option<Secret>,
    /// Password to sign in with, for a `url` without one.
    pub(crate) password: Option<Secret>,
    /// Directory of the programs `postgres` and `initdb` for the PostgreSQL that `tenon up` runs. Unset, they
    /// are looked for in the usual places.
    pub(crate) bin_dir: Option<PathBuf>,
    /// Account that the PostgreSQL of `tenon up` runs as when Tenon is started by root.
    pub(crate) run_as: Option<String>,
    /// Most connections that one process holds.
    #[schemars(extend("minimum" = 1, "maximum" = 1000))]
    pub(crate) pool_size: u32,
    /// How long to wait for a connection when all are in use.
    #[schemars(extend("minimum" = "100ms", "maximum" = "10m"))]
    pub(crate) acquire_timeout: Span,
    /// How long a statement may run.
    #[schemars(extend("minimum" = "1s", "maximum" = "1h"))]
    pub(crate) statement_timeout: Span,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            password: None,
            bin_dir: None,
            run_as: None,
            pool_size: 16,
            acquire_timeout: Span::seconds(5),
            statement_timeout: Span::seconds(30),
        }
    }
}

impl Database {
    /// Puts the password into the URL, from where everybody takes it.
    fn take_password(&mut self) {
        if let (Some(url), Some(password)) = (&self.url, self.password.take()) {
            let joint = if url.expose().contains('?') { '&' } else { '?' };
            // Of a form's text only the space differs.
            let encoded: String =
                url::form_urlencoded::byte_serialize(password.expose().as_bytes()).collect();
            let whole = format!("{}{joint}password={}", url.expose(), encoded.replace('+', "%20"));
            self.url = Some(Secret::from(whole));
        }
    }
}

/// Accounts and sessions.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Auth {
    /// Keys that sign access tokens, each `name:secret` with at least 32 bytes of base64url secret. The first
    /// signs, all are accepted: put a new one first, and remove the old one when its tokens have expired. Unset,
    /// one is made on the first start and kept within `data_dir`.
    pub(crate) signing_keys: Vec<Secret>,
    /// How long an access token is good for.
    #[schemars(extend("minimum" = "1m", "maximum" = "1d"))]
    pub(crate) access_token_ttl: Span,
    /// How long a session lasts that nobody uses.
    #[schemars(extend("minimum" = "10m", "maximum" = "3650d"))]
    pub(crate) refresh_token_ttl: Span,
    /// How long a refresh token that was used is still taken for a lost answer rather than for theft.
    #[schemars(extend("minimum" = "0s", "maximum" = "5m"))]
    pub(crate) refresh_grace: Span,
    /// Who may sign up. Unset, `invite` in production and `open` in development.
    pub(crate) registration: Option<Registration>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            signing_keys: Vec::new(),
            access_token_ttl: Span::minutes(15),
            refresh_token_ttl: Span::days(30),
            refresh_grace: Span::seconds(10),
            registration: None,
        }
    }
}

/// How much there may be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// Largest attachment.
    #[schemars(extend("minimum" = "1KiB", "maximum" = "100GiB"))]
    pub(crate) attachment_bytes: Size,
    /// Most workflows of a project.
    #[schemars(extend("minimum" = 1, "maximum" = 1000))]
    pub(crate) workflows_per_project: u32,
    /// Most statuses of a workflow.
    #[schemars(extend("minimum" = 1, "maximum" = 1000))]
    pub(crate) statuses_per_workflow: u32,
    /// Most live connections (websockets) of one user in one process.
    #[schemars(extend("minimum" = 1, "maximum" = 10000))]
    pub(crate) live_connections_per_user: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attachment_bytes: Size::mebibytes(100),
            workflows_per_project: 8,
            statuses_per_workflow: 50,
            live_connections_per_user: 32,
        }
    }
}

/// How long things are kept that nobody needs any more.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Retention {
    /// What was deleted, until it is gone for good.
    #[schemars(extend("minimum" = "1s", "maximum" = "36500d"))]
    pub(crate) trash: Span,
    /// The log of a person whose account is gone. Logs of workspaces and projects are kept: they are the history.
    #[schemars(extend("minimum" = "1s", "maximum" = "36500d"))]
    pub(crate) log: Span,
    /// The bytes of removed files, so that files are there for any moment that is restored; at least
    /// `backup.keep.point_in_time`.
    #[schemars(extend("minimum" = "1s", "maximum" = "36500d"))]
    pub(crate) backup_window: Span,
    /// Accounts whose address was never verified.
    #[schemars(extend("minimum" = "1h", "maximum" = "3650d"))]
    pub(crate) unverified: Span,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            trash: Span::days(30),
            log: Span::days(30),
            backup_window: Span::days(35),
            unverified: Span::days(7),
        }
    }
}

/// Backups.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Backup {
    /// Where backups go: best another machine, at least another disk than that of the database.
    #[schemars(extend("default" = {"backend": "filesystem"}))]
    pub(crate) target: blob::Config,
    /// Public keys of age (`age1…`) that backups are encrypted to; each of their private keys opens them. Empty, backups
    /// are not encrypted, and whoever reads the target reads everything.
    pub(crate) recipients: Vec<String>,
    /// Private keys of age (`AGE-SECRET-KEY-1…`), one a line, that open encrypted backups. Needed to restore and for
    /// the drill, not to make backups.
    pub(crate) identity: Option<Secret>,
    /// Whether the PostgreSQL that `tenon up` runs archives its write-ahead log to the target, for restoring to any
    /// moment. A PostgreSQL of yours needs `archive_command = 'tenon wal push %p'`.
    pub(crate) archive_wal: bool,
    pub(crate) keep: Keep,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            target: blob::Config::Filesystem(blob::FilesystemConfig {
                directory: PathBuf::from("./.tenon/backups"),
            }),
            recipients: Vec::new(),
            identity: None,
            archive_wal: false,
            keep: Keep::default(),
        }
    }
}

/// How many backups are kept: all of the last 24 hours, and the newest of each of so many days, weeks and months that
/// have one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Keep {
    /// Days of which a backup is kept.
    #[schemars(extend("minimum" = 0, "maximum" = 3650))]
    pub(crate) daily: u32,
    /// Weeks of which a backup is kept.
    #[schemars(extend("minimum" = 0, "maximum" = 520))]
    pub(crate) weekly: u32,
    /// Months of which a backup is kept.
    #[schemars(extend("minimum" = 0, "maximum" = 1200))]
    pub(crate) monthly: u32,
    /// How far back any moment can be restored, from base backups and the write-ahead log; at most
    /// `retention.backup_window`.
    #[schemars(extend("minimum" = "0s", "maximum" = "36500d"))]
    pub(crate) point_in_time: Span,
}

impl Default for Keep {
    fn default() -> Self {
        Self { daily: 7, weekly: 4, monthly: 12, point_in_time: Span::days(14) }
    }
}

/// How often a caller may call.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RateLimits {
    /// Without credentials, per address.
    #[schemars(extend("minimum" = "1/1s", "maximum" = "1000000000/1d"))]
    pub(crate) anonymous: Rate,
    /// With a session, per person.
    #[schemars(extend("minimum" = "1/1s", "maximum" = "1000000000/1d"))]
    pub(crate) session: Rate,
    /// With a personal access token, per token.
    #[schemars(extend("minimum" = "1/1s", "maximum" = "1000000000/1d"))]
    pub(crate) token: Rate,
    /// Asking for mail without being signed in (signing up, a new password), per client address; and failures to show a
    /// secret of a mailed link, an invitation or a session. Signing in has limits of its own.
    #[schemars(extend("minimum" = "1/1s", "maximum" = "1000000000/1d"))]
    pub(crate) login: Rate,
    /// Failed sign-ins at one account from one client address. One that succeeds does not count.
    #[schemars(extend("minimum" = "1/1s", "maximum" = "1000000000/1d"))]
    pub(crate) sign_in_pair: Rate,
    /// Failed sign-ins at one account from all addresses. Beyond it nobody is locked out: each sign-in at the account is
    /// delayed by `sign_in_account_delay`.
    #[schemars(extend("minimum" = "1/1s", "maximum" = "1000000000/1d"))]
    pub(crate) sign_in_account: Rate,
    /// By how much.
    #[schemars(extend("minimum" = "0s", "maximum" = "10s"))]
    pub(crate) sign_in_account_delay: Span,
    /// Failed sign-ins from one client address, at any account.
    #[schemars(extend("minimum" = "1/1s", "maximum" = "1000000000/1d"))]
    pub(crate) sign_in_address: Rate,
    /// So many more for each account that has signed in from that address in the last 30 days: an office shares one.
    #[schemars(extend("minimum" = 0, "maximum" = 1000))]
    pub(crate) sign_in_address_per_account: u32,
    /// Asking for one kind of mail without being signed in, for one email address from one client address.
    #[schemars(extend("minimum" = "1/1s", "maximum" = "1000000000/1d"))]
    pub(crate) request_pair: Rate,
    /// The same for all email addresses from one client address.
    #[schemars(extend("minimum" = "1/1s", "maximum" = "1000000000/1d"))]
    pub(crate) request_address: Rate,
    /// Mails of one kind to one address that somebody asked for who is not signed in.
    #[schemars(extend("minimum" = "1/1s", "maximum" = "1000000000/1d"))]
    pub(crate) request_mails: Rate,
    /// Mails of one person to people who are not members yet: invitations, and changes of the email address.
    #[schemars(extend("minimum" = "1/1s", "maximum" = "1000000000/1d"))]
    pub(crate) mail_sender: Rate,
    /// The same of an account younger than `new_sender_age`. Administrators of the instance are never new.
    #[schemars(extend("minimum" = "1/1s", "maximum" = "1000000000/1d"))]
    pub(crate) mail_new_sender: Rate,
    /// How long an account is new.
    #[schemars(extend("minimum" = "0s", "maximum" = "3650d"))]
    pub(crate) new_sender_age: Span,
    /// Mails of all people of this instance to people who are not members yet.
    #[schemars(extend("minimum" = "1/1s", "maximum" = "1000000000/1d"))]
    pub(crate) mail_instance: Rate,
    /// Such mails to one address, over all workspaces and senders.
    #[schemars(extend("minimum" = "1/1s", "maximum" = "1000000000/1d"))]
    pub(crate) mail_recipient: Rate,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            anonymous: Rate::per_minute(120),
            session: Rate::per_minute(1200),
            token: Rate::per_minute(1200),
            login: Rate::per_minute(10),
            sign_in_pair: Rate::per(10, Span::minutes(15)),
            sign_in_account: Rate::per(50, Span::minutes(60)),
            sign_in_account_delay: Span::seconds(2),
            sign_in_address: Rate::per(100, Span::minutes(15)),
            sign_in_address_per_account: 10,
            request_pair: Rate::per(10, Span::minutes(15)),
            request_address: Rate::per(100, Span::minutes(15)),
            request_mails: Rate::per(5, Span::minutes(60)),
            mail_sender: Rate::per(250, Span::days(1)),
            mail_new_sender: Rate::per(50, Span::days(1)),
            new_sender_age: Span::days(3),
            mail_instance: Rate::per(1000, Span::minutes(60)),
            mail_recipient: Rate::per(10, Span::days(1)),
        }
    }
}

/// Running jobs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Worker {
    /// Queues to take jobs from; empty means all.
    pub(crate) queues: Vec<String>,
    /// Jobs that run at once.
    #[schemars(extend("minimum" = 1, "maximum" = 1000))]
    pub(crate) concurrency: u32,
}

impl Default for Worker {
    fn default() -> Self {
        Self { queues: Vec::new(), concurrency: 8 }
    }
}

/// What is done regularly.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Scheduler {
    pub(crate) schedules: Schedules,
}

/// Figures for Prometheus.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Metrics {
    /// Address and port that answers `GET /metrics`, `/health` and `/readiness`, best on loopback. Unset, there is
    /// none.
    pub(crate) listen: Option<SocketAddr>,
    /// Bearer token that a reader of the figures must show; needed when `listen` is not on loopback.
    pub(crate) token: Option<Secret>,
}

/// The log on standard output; that of `tenon up` is on standard error.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// Shape of a line.
    pub(crate) format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`; also per part of the program: `info,tenon_http=debug`. Unset,
    /// `info`, but `warn` for `tenon up` on a terminal.
    pub(crate) level: Option<String>,
}

/// Shape of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// Readable on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}
