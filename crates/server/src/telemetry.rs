//! What an operator sees: the log, and figures for Prometheus.

pub(crate) mod backups;
pub(crate) mod components;
pub(crate) mod endpoint;
mod json;
mod process;

use std::{io::IsTerminal, time::Duration};

use anyhow::Context;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tenon_db::Db;
use tracing_subscriber::{
    EnvFilter, Registry,
    fmt::{format::JsonFields, writer::BoxMakeWriter},
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

use crate::config::{Log, LogFormat};

/// Edges of the request histogram, in seconds.
const REQUEST_SECONDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0];
/// Edges of other durations: queries and fan-out at the short end, jobs at the long one.
const SECONDS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0];
/// Edges for statements, of which there are many kinds.
const QUERY_SECONDS: [f64; 7] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];
/// How often old values of histograms are let go.
const UPKEEP: Duration = Duration::from_secs(5);

/// Whom a process talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// Somebody at a keyboard: standard output is for what they asked for, the log is beside it, and on a terminal
    /// it keeps quiet about what is well.
    Person,
    /// Whoever supervises it: standard output is the log.
    Service,
}

/// How much is logged, while it is logged.
pub(crate) struct LogLevel {
    filter: reload::Handle<EnvFilter, Registry>,
    unset: &'static str,
}

impl LogLevel {
    /// Logs as much as `config` says from now on, and answers how much that is.
    pub(crate) fn set(&self, config: &Log) -> anyhow::Result<String> {
        let level = config.level.as_deref().unwrap_or(self.unset);
        self.filter.reload(filter(level)?).context("nothing is logged any more")?;
        Ok(level.to_owned())
    }
}

/// Salvo says what we say ourselves, unless it is asked to.
fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::builder()
        .parse(format!("salvo_core=warn,{level}"))
        .with_context(|| format!("log.level: {level} is not a level"))
}

/// Says what is wrong with a level. The filter itself takes any word for a part of the program.
pub(crate) fn check_level(text: &str) -> Result<(), String> {
    let is_level = |word: &str| {
        matches!(word.to_ascii_lowercase().as_str(), "error" | "warn" | "info" | "debug" | "trace")
    };
    let understood = text.split(',').map(str::trim).all(|directive| match directive.rsplit_once('=') {
        Some((part, level)) => !part.is_empty() && (is_level(level) || level == "off"),
        None => is_level(directive),
    });
    if understood && filter(text).is_ok() {
        return Ok(());
    }
    Err(format!(
        "{text:?} is no level; it is error, warn, info, debug or trace, and may go on with parts of the program, as in \
         info,tenon_http=debug"
    ))
}

/// Sends the log where it belongs, in the configured shape.
pub(crate) fn log(config: &Log, face: Face) -> anyhow::Result<LogLevel> {
    let terminal = match face {
        Face::Person => std::io::stderr().is_terminal(),
        Face::Service => std::io::stdout().is_terminal(),
    };
    let unset = if terminal && face == Face::Person { "warn" } else { "info" };
    let level = config.level.as_deref().unwrap_or(unset);
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let text = match config.format {
        LogFormat::Auto => terminal,
        LogFormat::Json => false,
        LogFormat::Text => true,
    };
    let writer = match face {
        Face::Person => BoxMakeWriter::new(std::io::stderr),
        Face::Service => BoxMakeWriter::new(std::io::stdout),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    if text {
        registry.with(layer.with_ansi(terminal).with_target(false)).try_init()?;
    } else {
        registry.with(layer.fmt_fields(JsonFields::new()).event_format(json::Lines)).try_init()?;
    }
    Ok(LogLevel { filter: handle, unset })
}

/// The recorded figures.
#[derive(Clone)]
pub(crate) struct Figures {
    handle: PrometheusHandle,
    database: Option<Db>,
}

impl Figures {
    /// Starts recording; once a process.
    pub(crate) fn record() -> anyhow::Result<Self> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(
                Matcher::Full("http_request_duration_seconds".to_owned()),
                &REQUEST_SECONDS,
            )?
            .set_buckets_for_metric(Matcher::Full("db_query_duration_seconds".to_owned()), &QUERY_SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .install_recorder()
            .context("cannot record metrics")?;
        describe();
        gauge!("build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self { handle, database: None })
    }

    /// The same figures, and those of the connections to `database`.
    #[must_use]
    pub(crate) fn with_database(self, database: Db) -> Self {
        Self { database: Some(database), ..self }
    }

    /// All figures in Prometheus' text format.
    fn render(&self) -> String {
        process::measure();
        if let Some(database) = &self.database {
            let status = database.status();
            gauge!("db_pool_connections", "state" => "idle").set(status.idle);
            gauge!("db_pool_connections", "state" => "busy")
                .set(status.connections.saturating_sub(status.idle));
            gauge!("db_pool_connections_max").set(status.max);
        }
        self.handle.render()
    }

    /// Lets go of old values for as long as it is polled.
    pub(crate) async fn upkeep(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.handle.run_upkeep();
        }
    }
}

fn describe() {
    describe_gauge!("build_info", "The running release.");
    describe_counter!("http_requests_total", "Requests answered, by route and status.");
    describe_histogram!("http_request_duration_seconds", Unit::Seconds, "Time to answer a request.");
    describe_gauge!("http_requests_in_progress", "Requests being answered.");
    describe_gauge!("http_connections", "Open connections of clients.");
    describe_counter!("http_accept_errors_total", "Connections that the system refused to hand over.");
    describe_histogram!(
        "db_query_duration_seconds",
        Unit::Seconds,
        "Time of a statement, by what it does to which table."
    );
    describe_histogram!("db_pool_wait_seconds", Unit::Seconds, "Time to get a connection to the database.");
    describe_gauge!("db_pool_connections", "Connections to the database, by state.");
    describe_gauge!("db_pool_connections_max", "Most connections to the database that this process holds.");
    describe_gauge!("ws_connections", "Open websockets.");
    describe_histogram!("ws_fanout_seconds", Unit::Seconds, "Time from a change to its delivery.");
    describe_gauge!("queue_jobs", "Jobs, by queue and state.");
    describe_gauge!("queue_oldest_age_seconds", Unit::Seconds, "Age of the oldest job that could run.");
    describe_histogram!("job_duration_seconds", Unit::Seconds, "Time to run a job, by outcome.");
    describe_gauge!("scheduler_leader", "1 on the process that schedules, else 0.");
    describe_histogram!("scheduler_tick_lag_seconds", Unit::Seconds, "Time from a tick to its job.");
    describe_counter!("mail_sent_total", "Mails handed over, by outcome.");
    describe_counter!("storage_operations_total", "Operations on the file store, by kind and outcome.");
    describe_gauge!("maintenance_mode", "1 while the installation is being maintained, else 0.");
    describe_counter!("rate_limited_total", "Requests refused for being too many, by class.");
    backups::describe();
    components::describe();
    describe_gauge!("process_resident_memory_bytes", Unit::Bytes, "Memory of the process.");
    describe_counter!("process_cpu_seconds_total", Unit::Seconds, "Processor time of the process.");
    describe_gauge!("process_start_time_seconds", Unit::Seconds, "When the process began, since 1970.");
    describe_gauge!("process_max_fds", "Most files and sockets the process may open.");
    describe_gauge!("process_threads", "Threads of the process.");
    describe_gauge!("process_open_fds", "Open files and sockets of the process.");
}
