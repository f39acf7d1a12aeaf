//! `tenon restore`.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Value, json};

use super::doctor;
use crate::{
    backup::{self, Files, Goal, Moment, Recovered, Restored, Target, Timeline, Wish},
    config::Config,
    database::Database,
    output::Output,
};

#[derive(Debug, Args)]
pub(crate) struct RestoreOptions {
    /// The backup; when absent the newest one that was not made by a restore, or the newest base backup from before the moment.
    #[arg(long, value_name = "ID")]
    from: Option<String>,
    /// Restore this moment instead, from a base backup and the archived write-ahead log: 2026-11-20T21:30:00Z.
    #[arg(long, value_name = "TIME", group = "moment", conflicts_with = "files_only")]
    to_time: Option<DateTime<Utc>>,
    /// The same as far as the archived log goes: after the loss of the database's disk.
    #[arg(long, group = "moment", conflicts_with_all = ["files_only", "timeline"])]
    to_latest: bool,
    /// With --to-time: which past is meant, when the cluster was recovered to a moment since the base backup.
    #[arg(long, value_enum, default_value_t, requires = "to_time")]
    timeline: Timeline,
    /// With --to-time or --to-latest: prepare this directory for a server of yours, instead of the one that `tenon up` runs.
    #[arg(long, value_name = "DIR", requires = "moment")]
    into: Option<PathBuf>,
    /// Only give the storage the files that the database refers to and the storage lacks.
    #[arg(long, conflicts_with = "from")]
    files_only: bool,
    /// Replace what is there. A backup of it is made first; with --to-time or --to-latest it is moved aside.
    #[arg(long)]
    force: bool,
    /// With --force: make no backup of what is replaced, but keep it as a database of another name.
    #[arg(long, requires = "force")]
    without_safety_backup: bool,
}

/// Brings this installation back.
pub(crate) async fn run(options: RestoreOptions, config: &Config, output: &Output) -> anyhow::Result<()> {
    let target = Target::open(config).await?;
    let goal = options.goal();
    if let (Some(goal), Some(dir)) = (&goal, &options.into) {
        return prepare(config, &target, goal, dir, output).await;
    }
    let (mut shown, text, lost) = if let Some(goal) = goal {
        let recovered = backup::recover(config, &target, &goal, options.force).await?;
        (recovered_object(&recovered), recovered_text(&recovered), recovered.files.lost)
    } else if options.files_only {
        let database = Database::open(config).await?;
        let files = backup::restore_files(config, &database.db, &target).await;
        database.close().await?;
        let files = files?;
        (json!({ "files": files_object(&files) }), files_text(&files), files.lost)
    } else {
        let wish =
            Wish { from: options.from, force: options.force, without_safety: options.without_safety_backup };
        let database = Database::open(config).await?;
        let restored = backup::restore(config, &database, &target, &wish).await;
        database.close().await?;
        let restored = restored?;
        (restored_object(&restored), restored_text(&restored), restored.files.lost)
    };
    let findings = doctor::examine_all(config).await?;
    shown["doctor"] = serde_json::to_value(&findings)?;
    output.print(&shown, || format!("{text}\n{}", doctor::as_text(&findings)))?;
    anyhow::ensure!(
        lost.is_empty(),
        "neither the storage nor a backup has these files that the database refers to: {}",
        lost.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ")
    );
    doctor::well(&findings)
}

impl RestoreOptions {
    /// What is recovered from the log; none when a whole backup is to be restored.
    fn goal(&self) -> Option<Goal> {
        let (moment, timeline) = match self.to_time {
            Some(to) => (Moment::At(to), self.timeline),
            // What came after the last recovery is what is missed.
            None if self.to_latest => (Moment::Latest, Timeline::Latest),
            None => return None,
        };
        let from = self.from.clone().filter(|id| id != "newest");
        Some(Goal { moment, timeline, from })
    }
}

async fn prepare(
    config: &Config,
    target: &Target,
    goal: &Goal,
    dir: &Path,
    output: &Output,
) -> anyhow::Result<()> {
    let manifest = backup::prepare(config, target, goal, dir).await?;
    let shown = json!({
        "base": manifest.id,
        "postgres": manifest.postgres,
        "to_time": time(goal.moment),
        "directory": dir,
    });
    output.print(&shown, || {
        format!(
            "Prepared {} from the base backup {}. Give it to the account of PostgreSQL {} and start the server on it: it \
             replays the log up to {} and goes on from there. Then run `tenon migrate` and `tenon restore --files-only`.",
            dir.display(),
            manifest.id,
            manifest.postgres,
            goal.moment
        )
    })
}

fn restored_object(restored: &Restored) -> Value {
    json!({
        "id": restored.manifest.id,
        "snapshot_at": restored.manifest.snapshot_at,
        "counts": restored.manifest.counts,
        "files": files_object(&restored.files),
        "seen_by_members": restored.seen,
        "migrations": restored.migrations,
        "safety_backup": restored.safety,
        "replaced_database": restored.kept_database,
        "replaced_keys": restored.kept_keys,
        "seconds": (restored.finished_at - restored.started_at).as_seconds_f64(),
    })
}

fn restored_text(restored: &Restored) -> String {
    let mut said = vec![format!(
        "Restored the backup {} of {} in {:.1} s: {} people, {} workspaces, {} projects, {} stories. {}",
        restored.manifest.id,
        restored.manifest.snapshot_at.format("%Y-%m-%d %H:%M:%S UTC"),
        (restored.finished_at - restored.started_at).as_seconds_f64(),
        restored.manifest.counts.users,
        restored.manifest.counts.workspaces,
        restored.manifest.counts.projects,
        restored.manifest.counts.stories,
        files_text(&restored.files),
    )];
    if let Some(id) = &restored.safety {
        said.push(format!("What was there is the backup {id}, which is restored only with --from."));
    }
    if let Some(name) = &restored.kept_database {
        said.push(format!("What was there is the database {name}."));
    }
    if let Some(path) = &restored.kept_keys {
        said.push(format!("The keys that were there are in {}.", path.display()));
    }
    said.join(" ")
}

/// None stands for the end of the log.
const fn time(moment: Moment) -> Option<DateTime<Utc>> {
    match moment {
        Moment::At(at) => Some(at),
        Moment::Latest => None,
    }
}

fn recovered_object(recovered: &Recovered) -> Value {
    json!({
        "base": recovered.manifest.id,
        "to_time": time(recovered.moment),
        "files": files_object(&recovered.files),
        "seen_by_members": recovered.seen,
        "migrations": recovered.migrations,
        "replaced_cluster": recovered.kept_cluster,
        "replaced_keys": recovered.kept_keys,
        "seconds": (recovered.finished_at - recovered.started_at).as_seconds_f64(),
    })
}

fn recovered_text(recovered: &Recovered) -> String {
    let mut said = vec![format!(
        "Recovered {} from the base backup {} in {:.1} s. {}",
        match recovered.moment {
            Moment::At(_) => recovered.moment.to_string(),
            Moment::Latest => "all that is in the archive".to_owned(),
        },
        recovered.manifest.id,
        (recovered.finished_at - recovered.started_at).as_seconds_f64(),
        files_text(&recovered.files),
    )];
    if let Some(path) = &recovered.kept_cluster {
        said.push(format!("What was there is in {}.", path.display()));
    }
    said.join(" ")
}

fn files_object(files: &Files) -> Value {
    json!({ "present": files.present, "restored": files.restored, "lost": files.lost })
}

fn files_text(files: &Files) -> String {
    format!("The storage had {} files, and got {}.", files.present, files.restored)
}
