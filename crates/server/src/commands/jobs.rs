//! `tenon jobs`: what an administrator can do about jobs with a shell and without an account.

use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use tenon_app::{
    App,
    job_admin::{self, Counts, Filter, Job, State},
    users::Operator::System,
};
use tenon_core::{Error, ids::JobId, page::Page};
use uuid::Uuid;

use crate::{config::Config, database::Database, output::Output, wiring};

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs, oldest first.
    List {
        /// Only those that are waiting, running, done, dead or cancelled.
        #[arg(long)]
        state: Option<String>,
        /// Only those of this queue.
        #[arg(long)]
        queue: Option<String>,
        /// Only those of this name.
        #[arg(long)]
        name: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        limit: i64,
    },
    /// Show a job with everything that is known of it.
    Show {
        /// Its id.
        job: Uuid,
    },
    /// Try a dead job again, with all its attempts.
    Retry {
        /// Its id.
        job: Uuid,
    },
    /// Forget a dead job.
    Discard {
        /// Its id.
        job: Uuid,
    },
    /// End a waiting job at once, and ask for the end of a running one.
    Cancel {
        /// Its id.
        job: Uuid,
    },
    /// Run a delayed job, or the job of a schedule, now.
    RunNow {
        /// Id of the job, or name of the schedule.
        job: String,
    },
    /// Hand out nothing of a queue until it is resumed.
    Pause {
        /// Its name.
        queue: String,
    },
    /// Hand out jobs of a queue again.
    Resume {
        /// Its name.
        queue: String,
    },
    /// Show how each queue fares.
    Stats,
    /// Show what is done regularly, and when.
    Schedules,
}

/// Runs one of the commands on the database of this installation.
pub(crate) async fn run(command: JobsCommand, config: &Config, output: &Output) -> anyhow::Result<()> {
    let database = Database::open(config).await?;
    let done = async {
        tenon_db::migrations::check(&database.db).await?;
        let app = wiring::app_without_requests(config, database.db.clone()).await?;
        execute(command, &app, output).await
    }
    .await;
    database.close().await?;
    done
}

async fn execute(command: JobsCommand, app: &Arc<App>, output: &Output) -> anyhow::Result<()> {
    match command {
        JobsCommand::List { state, queue, name, limit } => {
            let known = |word: &String| {
                State::parse(word).with_context(|| {
                    format!("there is no state {word}; choose waiting, running, done, dead or cancelled")
                })
            };
            let filter = Filter { state: state.as_ref().map(known).transpose()?, queue, name };
            list(app, &filter, limit, output).await
        }
        JobsCommand::Show { job } => {
            let job = job_admin::get(app, System, job.into()).await?;
            output.print(&view(&job), || {
                serde_json::to_string_pretty(&view(&job)).unwrap_or_else(|_| line(&job))
            })
        }
        JobsCommand::Retry { job } => {
            show(output, "Tries again", &job_admin::retry(app, System, job.into()).await?)
        }
        JobsCommand::Discard { job } => {
            job_admin::discard(app, System, job.into()).await?;
            output.print(&json!({ "id": job }), || format!("Forgot {job}"))
        }
        JobsCommand::Cancel { job } => {
            let job = job_admin::cancel(app, System, job.into()).await?;
            show(output, if job.cancel_asked { "Asked for the end of" } else { "Cancelled" }, &job)
        }
        JobsCommand::RunNow { job } => run_now(app, &job, output).await,
        JobsCommand::Pause { queue } => pause(app, &queue, true, output).await,
        JobsCommand::Resume { queue } => pause(app, &queue, false, output).await,
        JobsCommand::Stats => stats(app, output).await,
        JobsCommand::Schedules => schedules(app, output).await,
    }
}

async fn list(app: &App, filter: &Filter, limit: i64, output: &Output) -> anyhow::Result<()> {
    let found = match job_admin::list(app, System, filter, &Page { limit, after: None }).await {
        Err(Error::Invalid(fields)) => {
            bail!("{}", fields.into_iter().map(|field| field.detail).collect::<Vec<_>>().join("; "))
        }
        found => found?,
    };
    let json: Vec<Value> = found.items.iter().map(view).collect();
    output.print(&json, || match found.items.len() {
        0 => "No jobs.".to_owned(),
        _ => found.items.iter().map(line).collect::<Vec<_>>().join("\n"),
    })
}

async fn run_now(app: &App, job: &str, output: &Output) -> anyhow::Result<()> {
    if let Ok(id) = job.parse::<Uuid>() {
        return show(output, "Runs now:", &job_admin::run_now(app, System, id.into()).await?);
    }
    let id: JobId = job_admin::run_schedule(app, System, job).await?;
    output.print(&json!({ "id": id }), || format!("Runs {job} now, as job {id}"))
}

async fn pause(app: &App, queue: &str, paused: bool, output: &Output) -> anyhow::Result<()> {
    job_admin::pause(app, System, queue, paused).await?;
    output.print(&json!({ "queue": queue, "is_paused": paused }), || {
        format!("{} {queue}", if paused { "Paused" } else { "Resumed" })
    })
}

async fn stats(app: &App, output: &Output) -> anyhow::Result<()> {
    let queues = job_admin::queues(app, System).await?;
    let json: Vec<Value> = queues
        .iter()
        .map(|q| {
            let jobs: Vec<Value> = q.names.iter().map(|(name, counts)| figures(name, *counts)).collect();
            let mut queue = figures(&q.queue, q.counts);
            queue["is_paused"] = q.paused.into();
            queue["ready_since"] = json!(q.ready_since);
            queue["jobs"] = jobs.into();
            queue
        })
        .collect();
    output.print(&json, || {
        let counts = |c: &Counts| format!("{} waiting, {} running, {} dead", c.waiting, c.running, c.dead);
        let lines = |q: &job_admin::QueueFigures| {
            let paused = if q.paused { ", paused" } else { "" };
            let queue = format!("{}: {}{paused}", q.queue, counts(&q.counts));
            let names = q.names.iter().map(|(name, of)| format!("  {name}: {}", counts(of)));
            std::iter::once(queue).chain(names).collect::<Vec<_>>().join("\n")
        };
        if queues.is_empty() {
            return "No queue has a job.".to_owned();
        }
        queues.iter().map(lines).collect::<Vec<_>>().join("\n")
    })
}

fn figures(name: &str, counts: Counts) -> Value {
    json!({ "name": name, "waiting": counts.waiting, "running": counts.running, "dead": counts.dead })
}

async fn schedules(app: &App, output: &Output) -> anyhow::Result<()> {
    let schedules = job_admin::schedules(app, System).await?;
    let json: Vec<Value> = schedules
        .iter()
        .map(|s| {
            json!({ "name": s.schedule.name(), "cron": s.schedule.timetable.cron.to_string(),
                    "time_zone": s.schedule.timetable.zone, "is_enabled": s.schedule.is_enabled,
                    "last_tick": s.last_tick, "last_job": s.last_job, "next_tick": s.next_tick })
        })
        .collect();
    output.print(&json, || {
        let line = |s: &job_admin::ScheduleState| {
            let last = s.last_tick.map_or_else(|| "never".to_owned(), |tick| tick.to_rfc3339());
            let next = s.next_tick.map_or_else(|| "never: switched off".to_owned(), |tick| tick.to_rfc3339());
            let (name, timetable) = (s.schedule.name(), &s.schedule.timetable);
            format!("{name}: {} {}, last {last}, next {next}", timetable.cron, timetable.zone.as_str())
        };
        schedules.iter().map(line).collect::<Vec<_>>().join("\n")
    })
}

fn show(output: &Output, done: &str, job: &Job) -> anyhow::Result<()> {
    output.print(&view(job), || format!("{done} {}", line(job)))
}

fn view(job: &Job) -> Value {
    json!({
        "id": job.id,
        "queue": job.queue,
        "name": job.name,
        "payload": job.payload,
        "state": job.state,
        "priority": job.priority,
        "run_at": job.run_at,
        "attempts": job.attempts,
        "max_attempts": job.max_attempts,
        "correlation_id": job.correlation_id,
        "worker": job.worker,
        "lock": job.lock,
        "unique_key": job.unique_key,
        "cancel_asked": job.cancel_asked,
        "progress": job.progress,
        "progress_note": job.progress_note,
        "error": job.error,
        "errors": job.errors,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    })
}

fn line(job: &Job) -> String {
    let error = job.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
    format!(
        "{} {} {}, {}, {}/{}{error}",
        job.id, job.queue, job.name, job.state, job.attempts, job.max_attempts
    )
}
